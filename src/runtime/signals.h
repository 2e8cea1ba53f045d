// SIGTERM, SIGINT and SIGHUP as things to wait for.
#pragma once

#include <csignal>
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

// Holds SIGINT, SIGTERM and SIGHUP back from this thread: what must not be torn in the middle is done first.
class HeldSignals {
  public:
    HeldSignals();
    ~HeldSignals();
    HeldSignals(HeldSignals const&) = delete;
    HeldSignals& operator=(HeldSignals const&) = delete;

  private:
    sigset_t before_{};
};

}  // namespace keel::runtime
