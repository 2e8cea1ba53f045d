// Every command adds itself to the command line; what it does is decided by its own file.
#pragma once

#include <functional>

#include "cli/cli.h"

namespace CLI {
class App;
}

namespace keel::cli {

// What the chosen command runs after the arguments are parsed; returns the exit code.
using Action = std::function<int()>;

}  // namespace keel::cli
