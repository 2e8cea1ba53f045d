// Deliberate faults of the machine, set only by the simulator's tests: each must be found by an invariant.
#pragma once

namespace keel::cluster {

enum class Mutation {
    none,
    compare_lsn_only,     // the election compares LSNs and ignores the epoch of the last WAL
    sync_order_reversed,  // the record of a change of the sync set is written before the setting, and the other way
                          // round
    skip_catch_up,        // C2 is not waited for: older commits may be on too few members of the new set
    no_coverage,          // the election asks for a majority only, not for |S| - W + 1 fenced members of S
    soft_promises,        // promises are broken for every revocation, in async mode too
    reuse_timelines,      // the planned timeline ignores burnt branches
};

}  // namespace keel::cluster
