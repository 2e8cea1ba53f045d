#include "runtime/signals.h"

#include <boost/asio/signal_set.hpp>
#include <csignal>

namespace keel::runtime {

struct Signals::State {
    explicit State(Io& io) : set(io, SIGTERM, SIGINT, SIGHUP) {}
    asio::signal_set set;
};

Signals::Signals(Io& io) : state_(std::make_unique<State>(io)) { std::signal(SIGPIPE, SIG_IGN); }
Signals::~Signals() = default;

Task<int> Signals::next() { co_return co_await state_->set.async_wait(asio::use_awaitable); }

HeldSignals::HeldSignals() {
    sigset_t held;
    ::sigemptyset(&held);
    for (int const one : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&held, one);
    ::pthread_sigmask(SIG_BLOCK, &held, &before_);
}

HeldSignals::~HeldSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace keel::runtime
