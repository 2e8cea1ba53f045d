// SIGTERM, SIGINT and SIGHUP as things to wait for.
#pragma once

#include <memory>

#include "runtime/asio.h"

namespace keel::runtime {

class Signals {
  public:
    // From here on the three no longer end the process, and SIGPIPE is ignored.
    explicit Signals(Io& io);
    ~Signals();
    // The number of the next signal. Throws when cancelled.
    Task<int> next();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace keel::runtime
