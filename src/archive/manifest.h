// PostgreSQL's backup_manifest: which files a base backup has, and their checksums (manual, "Backup Manifest Format").
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace keel::archive {

struct ManifestFile {
    std::uint64_t size = 0;
    std::string sha256;  // empty: the file has none
};
// By path. corrupt when it is no manifest.
Result<std::map<std::string, ManifestFile>> parse_manifest(std::string_view text);

}  // namespace keel::archive
