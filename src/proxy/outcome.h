// What can be said of a transaction whose server was lost while it committed, by what the cluster's record knows of the
// promotions since.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace keel::proxy {

// A reign that is part of the history: the xid below which everything was decided before its leader's own first one.
struct Reign {
    Epoch epoch;
    std::uint64_t first_xid = 0;  // 0: not known
};

enum class Judgement {
    ask,            // the present primary knows: pg_xact_status()
    not_committed,  // its commit is not in the history
    unknown         // the xid may have been given again since: nobody can say
};
// `reigns`: those of the history, oldest first. `now`: the epoch of the present primary.
Judgement judge_lost(std::uint64_t xid, Epoch lost_in, Epoch now, std::vector<Reign> const& reigns);

}  // namespace keel::proxy
