// The proxy's process, of a node or alone on an application's host: one thread moves its clients' bytes, another one
// listens to an agent.
#pragma once

#include <string>

#include "config/node_config.h"

namespace keel::app {

// Runs until SIGTERM or SIGINT, or until the cluster has removed this host (agent::kExitLeft). SIGHUP reads
// certificates anew. Returns the exit code.
int run_proxy(config::NodeConfig const& config, std::string const& version);

}  // namespace keel::app
