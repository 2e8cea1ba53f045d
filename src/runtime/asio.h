// The one header through which coroutines and timers of Asio come in. Sockets and TLS are in socket.h, for the few
// sources that touch them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "base/result.h"
#include "base/time.h"

namespace keel::runtime {

namespace asio = boost::asio;
using Io = boost::asio::io_context;

// A coroutine on the agent's one thread. Cancelled (Scope::cancel, with_timeout), the co_await it stands in throws
// boost::system::system_error(operation_aborted); let it through, Scope expects it.
template <class T>
using Task = boost::asio::awaitable<T>;

// Throws when cancelled.
Task<void> sleep_for(Duration span);

// Wakes the coroutine that waits for it, at once and without a tick: a notify() before the wait is remembered (once).
// One waiter at a time, and it must not outlive the event. One thread only; from another thread, post the notify().
class Event {
  public:
    explicit Event(Io& io);
    explicit Event(asio::any_io_executor executor);
    void notify();
    // Throws when cancelled.
    Task<void> wait();
    // False when `limit` passed without a notify(). Throws when cancelled.
    Task<bool> wait_for(Duration limit);
    // Does not throw when cancelled: false then, as when `limit` passed.
    Task<bool> wait_quietly(std::optional<Duration> limit = {});
    // Waits even in a cancelled coroutine (to let a child finish); the cancellation is seen by the next co_await.
    Task<void> wait_uncancelled();

  private:
    asio::steady_timer timer_;
    bool set_ = false;
};

// While it is in force, a cancelled coroutine may still co_await (to let what it started come to its end):
//     auto const shield = co_await Shield::raise(); ... co_await shield.lower();
class Shield {
  public:
    static Task<Shield> raise();
    Task<void> lower() const;

  private:
    explicit Shield(bool before) : before_(before) {}
    bool before_;
};

}  // namespace keel::runtime
