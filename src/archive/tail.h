// The beginning of a segment that is not complete, as pieces: each an object <from>-<to>-<sha256>.zst, offsets in hex.
// Two archivers may store the same bytes cut differently. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keel::archive {

struct TailPiece {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::string sha256;  // of the piece itself
    bool operator==(TailPiece const&) const = default;
};
std::string tail_piece_name(TailPiece const& piece);
std::optional<TailPiece> parse_tail_piece(std::string_view name);

// As few of them as give the longest beginning without a hole, in their order.
std::vector<TailPiece> chain_of(std::vector<TailPiece> pieces);

}  // namespace keel::archive
