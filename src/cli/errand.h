// Work that one member was asked for (restart, reinit): waiting until it is done and the member is in its place.
#pragma once

#include <set>

#include "cli/follow.h"

namespace keel::cli {

// kUsage with the names that there are.
Answer<cluster::MemberStatus> member_named(cluster::ClusterStatus const& status, std::string const& name);

// The errand of `asked` is off the record, and the member is healthy again. kNotSafe with the reason when it failed.
Done wait_for_errand(Agent const& agent, std::string const& member, web::Done const& asked, Duration limit);

// What must be there again after each step: the healthy members, and as many synchronous standbys as before. Pure.
struct Wholeness {
    std::set<std::string> healthy;
    std::size_t synchronous = 0;
};
Wholeness wholeness_of(cluster::ClusterStatus const& status);
bool is_restored(cluster::ClusterStatus const& status, Wholeness const& before);

// Until it has been so for two seconds: what a restarted member said before its restart is forgotten by then.
Done wait_until_whole(Agent const& agent, Wholeness const& before, Duration limit);

}  // namespace keel::cli
