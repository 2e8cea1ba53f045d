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
    // `sent`: when the RENEW that this voter granted left us, on our clock; `lease`: what it asked for.
    void granted(NodeId const& voter, Instant sent, Duration lease);
    // Until when no other epoch can have the promises of a majority; Instant{} without a majority.
    Instant deadline(std::set<NodeId> const& voters) const;

  private:
    Epoch epoch_;
    std::map<NodeId, Instant> until_;
};

// The voter's side. Its epoch floor is durable; the promise is not, so a voter that just started keeps the firm
// promises that it cannot remember by waiting for a lease's length.
class Promise {
  public:
    // `helped`: the newest epoch that a former life of this voter may have promised (its durable floor).
    Promise(Instant started, Epoch helped) : started_(started), helped_(helped) {}
    void give(Epoch epoch, Instant now, Duration lease);
    // The leader of `epoch` gave back whatever it was promised. Ends the wait for forgotten promises only when none of
    // a newer epoch can have been forgotten.
    void release(Epoch epoch);
    // True when helping epoch `wanted` breaks no promise. `longest`: the longest lease that may have been forgotten.
    bool over(Epoch wanted, Instant now, Duration longest) const;

  private:
    Instant started_;
    Epoch helped_;
    bool remembers_ = false;
    Epoch epoch_;
    Instant until_;
};

}  // namespace keel::cluster
