#include "cluster/lease.h"

#include <algorithm>
#include <vector>

namespace keel::cluster {

void Lease::begin(Epoch epoch) {
    if (epoch == epoch_) return;
    epoch_ = epoch;
    granted_.clear();
}

void Lease::granted(NodeId const& voter, Instant sent) {
    auto& last = granted_[voter];
    last = std::max(last, sent);
}

Instant Lease::deadline(std::set<NodeId> const& voters, Duration lease) const {
    std::vector<Instant> sent;
    for (auto const& voter : voters) {
        if (auto const found = granted_.find(voter); found != granted_.end()) sent.push_back(found->second);
    }
    std::size_t const needed = majority(voters.size());
    if (sent.size() < needed) return {};
    std::ranges::sort(sent, std::greater<>{});
    // Twice the rate error: the voter's clock may be fast while ours is slow.
    return sent[needed - 1] + lease - lease * (2 * kClockRatePpm) / 1'000'000 - kKillMargin;
}

void Promise::give(Epoch epoch, Instant now, Duration lease) {
    epoch_ = std::max(epoch_, epoch);
    free_from_ = std::max(free_from_, now + lease);
}

void Promise::release(Epoch epoch, Instant now) {
    if (epoch >= epoch_) free_from_ = std::min(free_from_, now);
}

}  // namespace keel::cluster
