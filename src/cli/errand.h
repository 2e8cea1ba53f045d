// Work that one member was asked for (restart, reinit): waiting until it is done and the member is in its place.
#pragma once

#include <set>

#include "cli/follow.h"

namespace keel::cli {

// kUsage with the names that there are.
Answer<cluster::MemberStatus> member_named(cluster::ClusterStatus const& status, std::string const& name);

// The errand of `asked` is off the record, and the member is healthy again. kNotSafe with the reason when it failed.
Done wait_for_errand(Agent const& agent, std::string const& member, web::Done const& asked, Duration limit);

// Names of the members that are healthy; and whether all of these are, with a leader that reigns. Pure.
std::set<std::string> healthy_members(cluster::ClusterStatus const& status);
bool is_restored(cluster::ClusterStatus const& status, std::set<std::string> const& healthy_before);

}  // namespace keel::cli
