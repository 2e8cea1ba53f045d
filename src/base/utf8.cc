#include "base/utf8.h"

namespace keel {

namespace {

std::size_t sequence_length(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead < 0xe0) return 2;
    if (lead >= 0xe0 && lead < 0xf0) return 3;
    if (lead >= 0xf0 && lead < 0xf5) return 4;
    return 0;
}

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U; }

}  // namespace

std::size_t character_bytes(std::string_view text) {
    if (text.empty()) return 0;
    auto const lead = static_cast<unsigned char>(text[0]);
    auto const length = sequence_length(lead);
    if (length == 0 || length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if (!continues(text[i])) return 0;
    auto const second = length > 1 ? static_cast<unsigned char>(text[1]) : 0U;
    bool const overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    bool const outside = (lead == 0xed && second >= 0xa0) || (lead == 0xf4 && second >= 0x90);
    return overlong || outside ? 0 : length;
}

std::string replace_bytes(std::string_view text, std::string (*replace)(unsigned char byte)) {
    std::string out;
    while (!text.empty()) {
        auto const whole = text.substr(0, end_of_characters(text));
        out += whole;
        text.remove_prefix(whole.size());
        if (text.empty()) break;
        out += replace(static_cast<unsigned char>(text[0]));
        text.remove_prefix(1);
    }
    return out;
}

std::size_t end_of_characters(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        auto const length = static_cast<unsigned char>(text[at]) < 0x80 ? 1 : character_bytes(text.substr(at));
        if (length == 0) break;
        at += length;
    }
    return at;
}

std::size_t cut_between_characters(std::string_view text, std::size_t at) {
    while (at > 0 && at < text.size() && continues(text[at])) --at;
    return at;
}

}  // namespace keel
