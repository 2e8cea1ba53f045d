#include "config/size.h"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace keel::config {

namespace {
constexpr std::array<std::pair<std::string_view, int>, 5> kUnits = {
    {{"TB", 40}, {"GB", 30}, {"MB", 20}, {"kB", 10}, {"B", 0}}};

bool same(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if ((a[i] | 0x20) != (b[i] | 0x20)) return false;
    }
    return true;
}
}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return std::nullopt;
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    while (unit.starts_with(' ')) unit.remove_prefix(1);
    if (unit.empty()) return number;
    for (auto const& [name, shift] : kUnits) {
        // "16M" and "16m" are meant as 16MB, as Patroni's users write it.
        if (!same(unit, name) && !(name.size() == 2 && same(unit, name.substr(0, 1)))) continue;
        if (number > (std::numeric_limits<std::uint64_t>::max() >> shift)) return std::nullopt;
        return number << shift;
    }
    return std::nullopt;
}

std::string size_text(std::uint64_t bytes) {
    for (auto const& [name, shift] : kUnits) {
        if (bytes != 0 && (bytes & ((std::uint64_t{1} << shift) - 1)) == 0)
            return std::to_string(bytes >> shift) + std::string(name);
    }
    return "0B";
}

}  // namespace keel::config
