#include "archive/tail.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace keel::archive {

namespace {

constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kOffsetDigits = 8;
constexpr std::string_view kEnding = ".zst";

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

}  // namespace

std::string tail_piece_name(TailPiece const& piece) {
    return fmt::format("{:08x}-{:08x}-{}{}", piece.from, piece.to, piece.sha256, kEnding);
}

std::optional<TailPiece> parse_tail_piece(std::string_view name) {
    if (name.size() != 2 * (kOffsetDigits + 1) + kHashDigits + kEnding.size() || !name.ends_with(kEnding))
        return std::nullopt;
    auto const from = name.substr(0, kOffsetDigits);
    auto const to = name.substr(kOffsetDigits + 1, kOffsetDigits);
    auto const hash = name.substr(2 * (kOffsetDigits + 1), kHashDigits);
    if (name[kOffsetDigits] != '-' || name[2 * kOffsetDigits + 1] != '-') return std::nullopt;
    if (!is_hex(from) || !is_hex(to) || !is_hex(hash)) return std::nullopt;
    TailPiece out{0, 0, std::string(hash)};
    std::from_chars(from.begin(), from.end(), out.from, 16);
    std::from_chars(to.begin(), to.end(), out.to, 16);
    if (out.from >= out.to) return std::nullopt;
    return out;
}

std::vector<TailPiece> chain_of(std::vector<TailPiece> pieces) {
    std::vector<TailPiece> out;
    std::uint64_t have = 0;
    for (;;) {
        TailPiece const* best = nullptr;
        for (auto const& one : pieces)
            if (one.from <= have && one.to > (best != nullptr ? best->to : have)) best = &one;
        if (best == nullptr) return out;
        have = best->to;
        out.push_back(*best);
    }
}

}  // namespace keel::archive
