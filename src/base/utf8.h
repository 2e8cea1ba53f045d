// Characters of UTF-8, in bytes that may be anything.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace keel {

// Bytes of the character that `text` begins with. 0: it begins with none: what is cut off, overlong, a surrogate or
// beyond Unicode is no character.
std::size_t character_bytes(std::string_view text);

// The text, with what `replace` makes of each byte that is no character.
std::string replace_bytes(std::string_view text, std::string (*replace)(unsigned char byte));

// Up to where it is characters only; its size: all of it.
std::size_t end_of_characters(std::string_view text);

// The byte at `at`, or the nearest before it, that continues no character: where a text may be cut.
std::size_t cut_between_characters(std::string_view text, std::size_t at);

}  // namespace keel
