// The processes that a drill may kill: found by what pgkeel itself wrote down about them and checked against /proc, so
// that nothing is hit that merely has the node's directory open.
#pragma once

#include "cli/drill_plan.h"
#include "config/node_config.h"
#include "runtime/asio.h"

namespace keel::cli::drill {

// Those of this node that the fault hits, parents first; none for a switchover. not_found, corrupt: they are not what
// they should be, and nobody may be killed.
Result<std::vector<Process>> find_processes(config::NodeConfig const& config, Fault fault);

// SIGKILL to what find_processes() finds now; who was hit.
Result<std::vector<Process>> kill_processes(runtime::Io& io, config::NodeConfig const& config, Fault fault);

}  // namespace keel::cli::drill
