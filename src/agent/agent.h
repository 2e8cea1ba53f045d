// The agent of one node: everything between the cluster's machine and the world, on one thread.
#pragma once

#include <functional>

#include "agent/desk.h"
#include "runtime/http.h"

namespace keel::agent {

// Made once when the agent begins; it lives until the agent's end.
using MakeHandler = std::function<runtime::HttpHandler(Desk&)>;

// Runs until SIGTERM or SIGINT (orderly: see stopping.h; a second one hurries). SIGHUP reloads. Returns the exit code.
int run_agent(config::NodeConfig const& config, MakeHandler const& make_handler);

}  // namespace keel::agent
