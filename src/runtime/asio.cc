#include "runtime/asio.h"

#include <boost/asio/redirect_error.hpp>

namespace keel::runtime {

Task<void> sleep_for(Duration span) {
    asio::steady_timer timer(co_await asio::this_coro::executor, span);
    co_await timer.async_wait(asio::use_awaitable);
}

Event::Event(Io& io) : timer_(io) {}
Event::Event(asio::any_io_executor executor) : timer_(std::move(executor)) {}

void Event::notify() {
    set_ = true;
    timer_.cancel();
}

// A cancelled wait ends without an error here; the next turn of the loop throws, as the cancellation is remembered.
Task<void> Event::wait() {
    while (!set_) {
        boost::system::error_code ignored;
        timer_.expires_at(asio::steady_timer::time_point::max());
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    set_ = false;
}

Task<bool> Event::wait_for(Duration limit) {
    auto const deadline = asio::steady_timer::clock_type::now() + limit;
    boost::system::error_code woken = asio::error::operation_aborted;
    while (!set_ && woken) {
        timer_.expires_at(deadline);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    co_return std::exchange(set_, false);
}

Task<bool> Event::wait_quietly(std::optional<Duration> limit) {
    auto const shield = co_await Shield::raise();
    auto const deadline =
        limit ? asio::steady_timer::clock_type::now() + *limit : asio::steady_timer::time_point::max();
    boost::system::error_code woken = asio::error::operation_aborted;
    while (!set_ && woken) {
        auto const state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) break;
        timer_.expires_at(deadline);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    bool const notified = std::exchange(set_, false);
    co_await shield.lower();
    co_return notified;
}

Task<void> Event::wait_uncancelled() {
    auto const shield = co_await Shield::raise();
    co_await wait();
    co_await shield.lower();
}

Task<Shield> Shield::raise() {
    bool const before = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    co_return Shield(before);
}

Task<void> Shield::lower() const { co_await asio::this_coro::throw_if_cancelled(before_); }

}  // namespace keel::runtime
