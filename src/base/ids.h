// Strong types for the numbers and names that must never be mixed up: epochs, LSNs, timelines, node ids.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keel {

template <class Tag, class T>
struct Strong {
    using value_type = T;
    T value{};
    auto operator<=>(Strong const&) const = default;
};

// Number of a reign: every change of leadership takes the next one by compare-and-swap.
using Epoch = Strong<struct EpochTag, std::uint64_t>;
// Byte position in the write-ahead log (PostgreSQL manual, pg_lsn).
using Lsn = Strong<struct LsnTag, std::uint64_t>;
// PostgreSQL timeline id.
using Timeline = Strong<struct TimelineTag, std::uint32_t>;
// UUID of a node, made once at init or join; also the standby's application_name.
using NodeId = Strong<struct NodeIdTag, std::string>;

// PostgreSQL's own notation, as in 16/B374D848.
std::string to_string(Lsn lsn);
// Empty when the text is not an LSN.
std::optional<Lsn> parse_lsn(std::string_view text);

}  // namespace keel
