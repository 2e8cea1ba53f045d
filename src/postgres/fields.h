// Text of a server's answer to values. What is no number gives the value `otherwise`.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

namespace keel::postgres {

inline std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        auto const at = std::min(text.find(separator), text.size());
        out.push_back(text.substr(0, at));
        text.remove_prefix(std::min(at + 1, text.size()));
    }
    return out;
}

template <class T = std::int64_t>
T number(std::string_view text, T otherwise = {}, int base = 10) {
    T out = otherwise;
    if constexpr (std::is_floating_point_v<T>)
        std::from_chars(text.data(), text.data() + text.size(), out);
    else
        std::from_chars(text.data(), text.data() + text.size(), out, base);
    return out;
}

}  // namespace keel::postgres
