// The agent's desk as the web's: the API knows the agent only through it.
#pragma once

#include <string>

#include "runtime/http.h"

namespace keel::agent {
class Desk;
}

namespace keel::app {

// The API's handler; it keeps the API itself alive. `desk` must outlive it.
runtime::HttpHandler api_handler(agent::Desk& desk, std::string version);

}  // namespace keel::app
