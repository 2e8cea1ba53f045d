#include "base/ids.h"

#include <fmt/format.h>

#include <charconv>

namespace keel {

std::string to_string(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn.value >> 32, lsn.value & 0xFFFFFFFFU); }

std::optional<Lsn> parse_lsn(std::string_view text) {
    auto const slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    auto const half = [](std::string_view digits) -> std::optional<std::uint64_t> {
        std::uint32_t value = 0;
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
        if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
        return value;
    };
    auto const high = half(text.substr(0, slash));
    auto const low = half(text.substr(slash + 1));
    if (!high || !low) return std::nullopt;
    return Lsn{(*high << 32) | *low};
}

}  // namespace keel
