#include "cluster/lease.h"

#include <algorithm>
#include <boost/container/small_vector.hpp>

namespace keel::cluster {

void Lease::begin(Epoch epoch) {
    if (epoch == epoch_) return;
    epoch_ = epoch;
    until_.clear();
}

void Lease::granted(NodeId const& voter, Instant sent, Duration lease) {
    // Twice the rate error: the voter's clock may be fast while ours is slow.
    Instant const until = sent + lease - lease * (2 * kClockRatePpm) / 1'000'000 - kKillMargin;
    auto& last = until_[voter];
    last = std::max(last, until);
}

Instant Lease::deadline(std::set<NodeId> const& voters) const {
    // Asked several times with each event: without the heap.
    boost::container::small_vector<Instant, 7> until;
    for (auto const& voter : voters) {
        if (auto const found = until_.find(voter); found != until_.end()) until.push_back(found->second);
    }
    std::size_t const needed = majority(voters.size());
    if (until.size() < needed) return {};
    std::ranges::sort(until, std::greater<>{});
    return until[needed - 1];
}

void Promise::give(Epoch epoch, Instant now, Duration lease) {
    epoch_ = std::max(epoch_, epoch);
    until_ = std::max(until_, now + lease);
}

void Promise::release(Epoch epoch) {
    if (epoch >= helped_) remembers_ = true;
    if (epoch >= epoch_) until_ = {};
}

bool Promise::over(Epoch wanted, Instant now, Duration longest) const {
    bool const past_forgotten = remembers_ || now >= started_ + longest;
    return past_forgotten && (epoch_ >= wanted || now >= until_);
}

}  // namespace keel::cluster
