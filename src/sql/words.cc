#include "sql/words.h"

#include <array>

namespace keel::sql {

namespace {

struct Entry {
    std::string_view text;
    Category category;
};

constexpr Entry kEntries[] = {{"", Category::none},
#define KEEL_SQL_WORD(name, text, category) {text, Category::category},
                              KEEL_SQL_WORDS(KEEL_SQL_WORD)
#undef KEEL_SQL_WORD
};
constexpr std::size_t kCount = std::size(kEntries);
static_assert(kCount <= 256, "Word is one byte");
constexpr std::size_t kLongest = 17;  // current_timestamp

// Open addressing, a quarter full: most words of a text, being no keywords, meet an empty slot at once.
constexpr std::size_t kSlots = 1024;
constexpr std::size_t slot_of(std::uint32_t hash) { return (hash ^ (hash >> 15U)) % kSlots; }

constexpr std::array<std::uint8_t, kSlots> kTable = [] {
    std::array<std::uint8_t, kSlots> table{};
    for (std::size_t i = 1; i < kCount; ++i) {
        std::uint32_t hash = kWordSeed;
        for (char const c : kEntries[i].text) hash = hash_word(hash, static_cast<unsigned char>(c));
        std::size_t slot = slot_of(hash);
        while (table[slot] != 0) slot = (slot + 1) % kSlots;
        table[slot] = static_cast<std::uint8_t>(i);
    }
    return table;
}();

constexpr bool same(std::string_view lower, std::string_view text) {
    if (lower.size() != text.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char const c = text[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) != lower[i]) return false;
    }
    return true;
}

}  // namespace

Word find_word(std::string_view text, std::uint32_t hash) {
    if (text.size() > kLongest) return Word::none;
    for (std::size_t slot = slot_of(hash); kTable[slot] != 0; slot = (slot + 1) % kSlots)
        if (same(kEntries[kTable[slot]].text, text)) return static_cast<Word>(kTable[slot]);
    return Word::none;
}

Category category_of(Word word) { return kEntries[static_cast<std::size_t>(word)].category; }

}  // namespace keel::sql
