#include "cli/until_signal.h"

#include <memory>

#include "runtime/scope.h"
#include "runtime/signals.h"

namespace keel::cli {

bool run_until_signal(runtime::Io& io, std::function<runtime::Task<void>()> play,
                      std::function<runtime::Task<void>()> after) {
    bool interrupted = false;
    runtime::Signals signals(io);
    runtime::Event over(io);
    runtime::Scope scope(io);
    scope.spawn("signals", [&]() -> runtime::Task<void> {
        co_await signals.next();
        interrupted = true;
        over.notify();
    });
    scope.spawn("play", [&]() -> runtime::Task<void> {
        // Also when it throws: that is the end of it too.
        auto const tell = std::unique_ptr<runtime::Event, void (*)(runtime::Event*)>(
            &over, [](runtime::Event* event) { event->notify(); });
        co_await play();
    });
    runtime::asio::co_spawn(
        io,
        [&]() -> runtime::Task<void> {
            co_await over.wait();
            co_await scope.close();
            if (after) co_await after();
            io.stop();  // Child objects may wait for processes that still run
        },
        runtime::asio::detached);
    io.run();
    return interrupted;
}

}  // namespace keel::cli
