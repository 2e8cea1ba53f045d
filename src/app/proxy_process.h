// The proxy's process: one thread moves its clients' bytes, another one listens to the agent of this node.
#pragma once

#include "config/node_config.h"

namespace keel::app {

// Runs until SIGTERM or SIGINT. SIGHUP reads certificates anew. Returns the exit code.
int run_proxy(config::NodeConfig const& config);

}  // namespace keel::app
