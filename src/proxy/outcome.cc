#include "proxy/outcome.h"

namespace keel::proxy {

Judgement judge_lost(std::uint64_t xid, Epoch lost_in, Epoch now, std::vector<Reign> const& reigns) {
    if (xid == 0 || now < lost_in) return Judgement::unknown;
    // The same reign: nobody gave an xid twice.
    if (now == lost_in) return Judgement::ask;
    // A reign that is no part of the history took its xids with it; what it was based on is not compared.
    bool part_of_history = false;
    for (auto const& reign : reigns) {
        if (reign.epoch == lost_in) part_of_history = true;
        if (reign.epoch <= lost_in) continue;
        if (!part_of_history || reign.first_xid == 0) return Judgement::unknown;
        // All that its WAL had seen of the lost reign is below this number.
        if (xid >= reign.first_xid) return Judgement::not_committed;
        if (reign.epoch == now) return Judgement::ask;
    }
    return Judgement::unknown;
}

}  // namespace keel::proxy
