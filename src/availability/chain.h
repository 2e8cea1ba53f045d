// A cluster whose machines break and come back, as a Markov chain in continuous time: which of them are up, who leads,
// and which servers have every acknowledged commit. Solved exactly, not drawn.
#pragma once

#include <cstdint>
#include <vector>

namespace keel::availability {

// Machines are numbered: servers first, in the order in which they would lead, then witnesses.
struct Chain {
    struct Part {
        double breaks_hour = 0;  // rate while it is up
        double mends_hour = 0;   // rate while it is down
    };
    std::vector<Part> parts;
    std::uint32_t servers = 0;
    std::uint32_t votes = 0;            // the first so many
    std::uint32_t standbys_needed = 0;  // without them writes wait
};

struct Steady {
    double writes = 1;              // share of time in which writes are possible
    double outages_hour = 0;        // how often that ends, changes of leader not counted
    double leader_breaks_hour = 0;  // how often the leader breaks and another takes over at once
};

inline constexpr std::size_t kMachinesMax = 7;

// At most kMachinesMax parts.
Steady steady_state(Chain const& chain);

}  // namespace keel::availability
