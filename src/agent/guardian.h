// The guardian: a tiny process which kills PostgreSQL when the agent has not renewed the deadline in time (F3).
#pragma once

#include "config/node_config.h"

namespace keel::agent {

// Runs until SIGTERM, and then on while the server may be a primary: it ends only when that is over. Started as root it
// takes a real-time priority first and then becomes the node's user. Returns the exit code.
int run_guardian(config::NodeConfig const& config);

}  // namespace keel::agent
