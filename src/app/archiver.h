// The archiver process of a node.
#pragma once

#include "config/node_config.h"

namespace keel::app {

// Until it is killed: SIGTERM needs no answer, because what is stored is whole at any moment.
int run_archiver(config::NodeConfig const& config);

}  // namespace keel::app
