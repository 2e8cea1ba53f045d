// The lease: what a leader may count on, and what a voter has promised. Durations of the own clock only; clocks of two
// nodes are never compared (docs/PROTOCOL.md, "The lease").
#pragma once

#include <map>
#include <set>

#include "cluster/record.h"

namespace keel::cluster {

// Clock rates differ by at most this many parts per million from true time.
inline constexpr int kClockRatePpm = 1000;
// What it takes from the deadline to a server that no longer acknowledges.
inline constexpr Duration kKillMargin = 50ms;

// The leader's side: which voters answered, and when the answered question was asked.
class Lease {
  public:
    void begin(Epoch epoch);
    Epoch epoch() const { return epoch_; }
    // `sent`: when the RENEW that this voter granted left us, on our clock.
    void granted(NodeId const& voter, Instant sent);
    // Until when no other epoch can have the promises of a majority; Instant{} without a majority.
    Instant deadline(std::set<NodeId> const& voters, Duration lease) const;

  private:
    Epoch epoch_;
    std::map<NodeId, Instant> granted_;
};

// The voter's side. Its epoch floor is durable; the promise is not, so a voter that just started keeps firm promises
// it cannot remember by waiting for a lease's length.
class Promise {
  public:
    // `memory_from`: before this instant a promise to anybody may exist that was forgotten in a restart.
    explicit Promise(Instant memory_from) : free_from_(memory_from) {}
    void give(Epoch epoch, Instant now, Duration lease);
    // The leader that held the promise gave it back.
    void release(Epoch epoch, Instant now);
    bool over(Epoch wanted, Instant now) const { return epoch_ >= wanted || now >= free_from_; }
    Instant over_at() const { return free_from_; }

  private:
    Epoch epoch_;
    Instant free_from_;
};

}  // namespace keel::cluster
