// What is wrong now, told from what one agent knows: pure functions of a sight.
#pragma once

#include <map>
#include <set>

#include "alert/settings.h"
#include "cluster/status.h"

namespace keel::alert {

// Of the node that looks, and of nobody else: its disk, its connections, its certificate.
std::vector<Condition> local_conditions(cluster::Sight const& sight, Settings const& settings);

// Of the cluster as it looks from here: judged by whoever speaks.
std::vector<Condition> cluster_conditions(cluster::Sight const& sight, cluster::ClusterStatus const& status,
                                          Settings const& settings);

// Wall clocks. `ahead`: by member's name, how many seconds its clock is ahead of ours, as far as it is known.
std::vector<Condition> clock_conditions(std::string const& self, std::map<std::string, double> const& ahead,
                                        Settings const& settings);

// Who delivers: the leader, as long as one reigns; without one, the first of the data members that hear each other. So
// in a divided cluster both parts have one: better told twice than not at all.
bool speaks(cluster::Sight const& sight, cluster::ClusterStatus const& status);

// Names of the members that are not heard from here.
std::set<std::string> silent_members(cluster::ClusterStatus const& status);

// The reign as the record has it; epoch 0 while none is stable.
struct Reign {
    std::uint64_t epoch = 0;
    std::string leader;
    bool asked_for = false;  // by an operator
    std::string why;         // what the record says of it
    bool whole = false;      // nothing is wrong with the cluster now
};
// `planned_for_ms`: the time of the switchover that was last seen planned, while it still was; 0: none, or at once.
Reign reign_of(cluster::Sight const& sight, cluster::ClusterStatus const& status, std::int64_t planned_for_ms);

}  // namespace keel::alert
