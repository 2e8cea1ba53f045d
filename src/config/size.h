// Sizes as people write them: 16MB, 1GB, 512kB, plain bytes. Powers of 1024, as PostgreSQL counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keel::config {

std::optional<std::uint64_t> parse_size(std::string_view text);
// The shortest exact form: 16777216 is "16MB", 1000 is "1000B".
std::string size_text(std::uint64_t bytes);

}  // namespace keel::config
