// Background work belongs to a Scope, which cancels it and waits for its end; nothing is detached.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/asio.h"

namespace keel::runtime {

struct Backoff {
    Duration first = 50ms;
    Duration most = 5s;
    // A loop that ran at least this long starts again with `first`.
    Duration healthy_after = 10s;
};

struct LoopCount {
    std::uint64_t starts = 0;
    std::uint64_t failures = 0;  // exceptions, which are logged under the loop's name
    bool running = false;
};

class Scope {
  public:
    explicit Scope(Io& io);
    // drain()
    ~Scope();
    Scope(Scope const&) = delete;
    Scope& operator=(Scope const&) = delete;

    // Runs `make()` once. `make` (and what its lambda captured) lives until the coroutine has ended. An exception is
    // logged and counted.
    void spawn(std::string name, std::function<Task<void>()> make);
    // Runs `make()` again and again until the scope is cancelled, waiting after each end (longer after each failure).
    void supervise(std::string name, std::function<Task<void>()> make, Backoff backoff = {});

    // Asks every child to end; returns at once. Afterwards spawn and supervise do nothing.
    void cancel();
    bool cancelled() const;
    // cancel(), then waits until every child has ended. Not from a child of this scope.
    Task<void> close();
    // Where nobody can co_await: cancels what still runs and runs `io` until it has ended. Inside a handler of `io`
    // nothing may be left (assert): close() first.
    void drain();

    std::size_t running() const;
    std::map<std::string, LoopCount> const& counts() const;

    struct State;

  private:
    std::shared_ptr<State> state_;
};

// True for the exception of a cancelled coroutine.
bool is_cancelled(std::exception_ptr const& error);
std::string describe(std::exception_ptr const& error);

namespace detail {

template <class T>
struct Timed {
    explicit Timed(asio::any_io_executor const& executor) : done(executor) {}
    Event done;
    asio::cancellation_signal cancel;
    std::exception_ptr thrown;
    std::optional<Result<T>> result;
    bool ended = false;
};

}  // namespace detail

// `task`, cancelled when `limit` has passed: then Code::timeout. It always waits for the task's end, so the task may
// use the caller's variables. A cancellation of the caller cancels the task too.
template <class T>
Task<Result<T>> with_timeout(Duration limit, Task<Result<T>> task) {
    auto const executor = co_await asio::this_coro::executor;
    auto const shield = co_await Shield::raise();
    auto const timed = std::make_shared<detail::Timed<T>>(executor);
    asio::co_spawn(
        executor, std::move(task),
        asio::bind_cancellation_slot(timed->cancel.slot(), [timed](std::exception_ptr thrown, Result<T> result) {
            timed->thrown = thrown;
            timed->result = std::move(result);
            timed->ended = true;
            timed->done.notify();
        }));
    bool const in_time = co_await timed->done.wait_quietly(limit);
    if (!timed->ended) timed->cancel.emit(asio::cancellation_type::all);
    while (!timed->ended) co_await timed->done.wait_uncancelled();
    co_await shield.lower();
    if (timed->thrown && (in_time || !is_cancelled(timed->thrown))) std::rethrow_exception(timed->thrown);
    if (!in_time && (timed->thrown || !*timed->result)) {
        co_return fail(Code::timeout, "no answer within " + std::to_string(to_ms(limit)) + " ms");
    }
    co_return std::move(*timed->result);
}

}  // namespace keel::runtime
