#include <charconv>

#include "auth/rules.h"

namespace keel::auth {

namespace {

std::optional<unsigned> number(std::string_view text, int base, unsigned max) {
    if (text.empty() || text.size() > 4 || text.front() == '-' || text.front() == '+') return std::nullopt;
    unsigned value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
    return value;
}

bool parse_v4(std::string_view text, std::uint8_t* out) {
    for (int i = 0; i < 4; ++i) {
        std::size_t const dot = i < 3 ? text.find('.') : text.size();
        if (dot == std::string_view::npos) return false;
        std::string_view const part = text.substr(0, dot);
        // A leading zero is octal to some and decimal to others.
        if (part.size() > 1 && part.front() == '0') return false;
        auto const value = number(part, 10, 255);
        if (!value) return false;
        out[i] = static_cast<std::uint8_t>(*value);
        text.remove_prefix(i < 3 ? dot + 1 : dot);
    }
    return true;
}

// Groups of 16 bits, at most one "::", perhaps IPv4 at the end (RFC 4291, section 2.2).
bool parse_v6(std::string_view text, std::array<std::uint8_t, 16>& out) {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t filled = 0;
    std::optional<std::size_t> gap;
    if (text.starts_with("::")) {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        std::size_t const colon = text.find(':');
        std::string_view const part = text.substr(0, colon);
        if (part.find('.') != std::string_view::npos) {
            if (colon != std::string_view::npos || filled > 12 || !parse_v4(part, bytes.data() + filled)) return false;
            filled += 4;
            text = {};
            break;
        }
        auto const group = number(part, 16, 0xFFFF);
        if (!group || filled > 14) return false;
        bytes[filled++] = static_cast<std::uint8_t>(*group >> 8U);
        bytes[filled++] = static_cast<std::uint8_t>(*group & 0xFFU);
        if (colon == std::string_view::npos) break;
        text.remove_prefix(colon + 1);
        if (text.starts_with(':')) {
            if (gap) return false;
            gap = filled;
            text.remove_prefix(1);
        } else if (text.empty()) {
            return false;
        }
    }
    if (gap ? filled > 14 : filled != 16) return false;
    out = {};
    std::size_t const before = gap.value_or(filled);
    for (std::size_t i = 0; i < before; ++i) out[i] = bytes[i];
    for (std::size_t i = before; i < filled; ++i) out[16 - filled + i] = bytes[i];
    return true;
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
    Address address;
    std::array<std::uint8_t, 4> v4{};
    if (parse_v4(text, v4.data())) {
        address.bytes[10] = address.bytes[11] = 0xFF;
        for (std::size_t i = 0; i < 4; ++i) address.bytes[12 + i] = v4[i];
        address.is_v4 = true;
        return address;
    }
    if (text.find(':') == std::string_view::npos || !parse_v6(text, address.bytes)) return std::nullopt;
    // A socket for both families sees IPv4 clients as mapped.
    address.is_v4 = address.bytes[10] == 0xFF && address.bytes[11] == 0xFF;
    for (std::size_t i = 0; i < 10; ++i) address.is_v4 = address.is_v4 && address.bytes[i] == 0;
    return address;
}

}  // namespace keel::auth
