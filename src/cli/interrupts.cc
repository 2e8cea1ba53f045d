#include "cli/interrupts.h"

#include <signal.h>

#include <array>

namespace keel::cli {

namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
std::atomic<std::uint64_t> number_of_signals = 0;
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a handler of signals may not wait");

void handle_all(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    for (int const number : kSignals) ::sigaction(number, &action, nullptr);
}

}  // namespace

Interrupts::Interrupts() {
    number_of_signals = 0;
    handle_all([](int) { ++number_of_signals; });
}

Interrupts::~Interrupts() { handle_all(SIG_DFL); }

postgres::Bound Interrupts::bound(Duration span) const { return {span, number_of_signals, 0}; }

bool Interrupts::came() const { return number_of_signals != 0; }

}  // namespace keel::cli
