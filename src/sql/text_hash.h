// A keyed 128-bit hash of a statement's text: the key of the proxy's caches.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace keel::sql {

// Secret of one process, handed in as random bytes. With it SipHash-2-4 keeps a client from making two texts that share
// a key, by which it could put its statement in the place of another client's; so a hit needs no look at the text.
struct HashKey {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

struct TextHash {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    auto operator<=>(TextHash const&) const = default;
};

TextHash hash_text(HashKey const& key, std::string_view text);

// For unordered_map: the hash is one already.
struct TextHashHash {
    std::size_t operator()(TextHash const& hash) const noexcept { return hash.low; }
};

}  // namespace keel::sql
