// Watching the cluster while what was asked for comes about.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/client.h"

namespace keel::cli {

// Looks at the status until `look` gives an outcome; one line is printed for each phase. kNotSafe when `limit` passed:
// the message names `what`. An agent that does not answer for a moment is waited for.
using Look = std::function<std::optional<Done>(cluster::ClusterStatus const&)>;
Done follow(Agent const& agent, Duration limit, std::string const& what, Look const& look);

// One line about where the cluster stands: "bela takes over, epoch 7". Pure.
std::string phase_line(cluster::ClusterStatus const& status);

// A leader reigns in an epoch after `before`; it is somebody else, and `target` if that is not empty. An end that is
// not this one (given up, or the old one again) is a failure with what the history says. `asked` is the revision of the
// record with the request.
Look until_leader_changed(cluster::ClusterStatus const& before, std::string const& target, std::uint64_t asked);

cluster::MemberStatus const* find_member(cluster::ClusterStatus const& status, std::string const& name);

}  // namespace keel::cli
