#include "archive/manifest.h"

#include "base/json.h"

namespace keel::archive {

namespace {

std::string text_of(boost::json::object const& one, char const* key) {
    auto const* value = one.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

Result<std::map<std::string, ManifestFile>> parse_manifest(std::string_view text) {
    auto const bad = [] { return fail(Code::corrupt, "the backup_manifest cannot be read"); };
    KEEL_TRY(auto const tree, json::parse(text));
    auto const* files = tree.is_object() ? tree.get_object().if_contains("Files") : nullptr;
    if (files == nullptr || !files->is_array()) return bad();
    std::map<std::string, ManifestFile> out;
    for (auto const& one : files->get_array()) {
        if (!one.is_object()) return bad();
        auto const& fields = one.get_object();
        auto const path = text_of(fields, "Path");
        auto const* size = fields.if_contains("Size");
        // "Encoded-Path" is for names that are no UTF-8; a server has none unless somebody put it there.
        if (path.empty() || size == nullptr || !size->is_int64() || size->get_int64() < 0) return bad();
        ManifestFile file{static_cast<std::uint64_t>(size->get_int64()), {}};
        if (text_of(fields, "Checksum-Algorithm") == "SHA256") file.sha256 = text_of(fields, "Checksum");
        out[path] = std::move(file);
    }
    return out;
}

}  // namespace keel::archive
