// The orderly end of a node: a leader hands over first when somebody can take over, then PostgreSQL stops.
#pragma once

#include "agent/desk.h"

namespace keel::agent {

struct Ending {
    Desk& desk;
    Driver& driver;
    Supervisor& supervisor;
    postgres::Server& server;
    bool hurry = false;  // set while it runs: a second signal
};

// Returns when no server process of the node is left (or none could be ended: it is logged). Bounded: 15 s for the
// hand-over, then PostgreSQL's own fast shutdown of at most 20 s.
runtime::Task<void> end_server(Ending& ending);

}  // namespace keel::agent
