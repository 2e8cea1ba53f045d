// The root of a node's process tree: starts agent, guardian, proxy and archiver, and starts them again when they die.
// No network, no PostgreSQL.
#pragma once

#include "config/node_config.h"

namespace keel::agent {

// Sub-commands of this program that the tree starts, each with "--dir DIRECTORY"; all but the proxy's are hidden.
inline constexpr char const* kAgentCommand = "agent";
inline constexpr char const* kGuardianCommand = "guardian";
inline constexpr char const* kProxyCommand = "proxy";
inline constexpr char const* kArchiverCommand = "archiver";

// In the foreground, until SIGTERM or SIGINT (the agent ends in order, then the guardian; a second signal hurries) or
// until the agent says that starting it again is of no use. Returns the exit code.
int run_tree(config::NodeConfig const& config);

}  // namespace keel::agent
