// Something long that Ctrl-C may end at any moment, and what must be done all the same afterwards.
#pragma once

#include <functional>

#include "runtime/asio.h"

namespace keel::cli {

// Runs `play` on `io` until it has ended or SIGINT, SIGTERM or SIGHUP comes, which cancels it; then `after`, if there
// is one, to its end, however often somebody presses Ctrl-C. What else runs on `io` is left as it is. True when a
// signal came before the end of `play`.
bool run_until_signal(runtime::Io& io, std::function<runtime::Task<void>()> play,
                      std::function<runtime::Task<void>()> after = {});

}  // namespace keel::cli
