// synchronous_standby_names as text: the members' UUIDs are the standbys' application_names.
#pragma once

#include <string>
#include <string_view>

#include "cluster/node.h"

namespace keel::postgres {

// A member that does not exist: "ANY 1 (pgkeel_nobody)" lets no commit be acknowledged. A standby always has it, so
// that a server which leaves recovery by any other way than our promotion acknowledges nothing.
inline constexpr char const* kNobody = "pgkeel_nobody";

// Empty for count 0. Members empty: nobody.
std::string render_names(cluster::Names const& names);
// Of what render_names made (nobody becomes an empty set); anything else gives count 0.
cluster::Names parse_names(std::string_view text);
inline cluster::Names nobody() { return {1, {}}; }

// Physical slot of a member: 'pgkeel_' and the UUID with '_' for '-' (slot names allow [a-z0-9_]).
std::string slot_name(NodeId const& id);
// Empty when it is not one of ours.
NodeId slot_owner(std::string_view slot);

}  // namespace keel::postgres
