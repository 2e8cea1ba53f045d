#include "runtime/scope.h"

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <set>

#include "base/assert.h"
#include "runtime/log.h"

namespace keel::runtime {

namespace {

struct Child {
    std::string name;
    std::function<Task<void>()> make;
    asio::cancellation_signal cancel;
};

}  // namespace

struct Scope::State {
    explicit State(Io& io_) : io(io_), idle(io_) {}

    Io& io;
    Event idle;
    bool cancelled = false;
    std::set<std::shared_ptr<Child>> children;
    std::map<std::string, LoopCount> counts;
};

namespace {

void launch(std::shared_ptr<Scope::State> const& state, std::shared_ptr<Child> const& child, Task<void> task) {
    state->children.insert(child);
    state->counts[child->name].running = true;
    auto ended = [state, child](std::exception_ptr const& thrown) {
        auto& count = state->counts[child->name];
        count.running = false;
        if (thrown && !(state->cancelled && is_cancelled(thrown))) {
            ++count.failures;
            log::error("runtime", "{} failed: {}", child->name, describe(thrown));
        }
        state->children.erase(child);
        if (state->children.empty()) state->idle.notify();
    };
    asio::co_spawn(state->io, std::move(task), asio::bind_cancellation_slot(child->cancel.slot(), std::move(ended)));
}

Task<void> run_once(std::shared_ptr<Scope::State> state, std::shared_ptr<Child> child) {
    ++state->counts[child->name].starts;
    co_await child->make();
}

Task<std::exception_ptr> run_caught(Child& child) {
    try {
        co_await child.make();
    } catch (...) {
        co_return std::current_exception();
    }
    co_return nullptr;
}

Task<void> run_again_and_again(std::shared_ptr<Scope::State> state, std::shared_ptr<Child> child, Backoff backoff) {
    Duration wait = backoff.first;
    while (!state->cancelled) {
        ++state->counts[child->name].starts;
        auto const started = std::chrono::steady_clock::now();
        auto const thrown = co_await run_caught(*child);
        if (state->cancelled) break;
        if (std::chrono::steady_clock::now() - started >= backoff.healthy_after) wait = backoff.first;
        if (thrown) {
            ++state->counts[child->name].failures;
            log::error("runtime", "{} failed: {}; it starts again in {} ms", child->name, describe(thrown),
                       to_ms(wait));
        }
        co_await sleep_for(wait);
        wait = thrown ? std::min(wait * 2, backoff.most) : backoff.first;
    }
}

}  // namespace

Scope::Scope(Io& io) : state_(std::make_shared<State>(io)) {}

Scope::~Scope() { drain(); }

void Scope::drain() {
    if (state_->children.empty()) return;
    KEEL_ASSERT(!state_->io.get_executor().running_in_this_thread());
    cancel();
    state_->io.restart();
    while (!state_->children.empty() && state_->io.run_one() > 0) continue;
}

void Scope::spawn(std::string name, std::function<Task<void>()> make) {
    if (state_->cancelled) return;
    auto const child = std::make_shared<Child>(std::move(name), std::move(make));
    launch(state_, child, run_once(state_, child));
}

void Scope::supervise(std::string name, std::function<Task<void>()> make, Backoff backoff) {
    if (state_->cancelled) return;
    auto const child = std::make_shared<Child>(std::move(name), std::move(make));
    launch(state_, child, run_again_and_again(state_, child, backoff));
}

// Boost 1.81 posts a cancellation that comes from outside of its executor with a bare pointer into the coroutine, which
// may have ended by then (co_spawn_cancellation_handler): so it is given from inside only.
void Scope::cancel() {
    state_->cancelled = true;
    asio::dispatch(state_->io, [state = state_] {
        auto const children = state->children;
        for (auto const& child : children) child->cancel.emit(asio::cancellation_type::all);
    });
}

bool Scope::cancelled() const { return state_->cancelled; }

Task<void> Scope::close() {
    cancel();
    while (!state_->children.empty()) co_await state_->idle.wait_uncancelled();
}

std::size_t Scope::running() const { return state_->children.size(); }
std::map<std::string, LoopCount> const& Scope::counts() const { return state_->counts; }

bool is_cancelled(std::exception_ptr const& error) {
    try {
        if (error) std::rethrow_exception(error);
    } catch (boost::system::system_error const& thrown) {
        return thrown.code() == asio::error::operation_aborted;
    } catch (...) {
    }
    return false;
}

std::string describe(std::exception_ptr const& error) {
    try {
        if (error) std::rethrow_exception(error);
    } catch (std::exception const& thrown) {
        return thrown.what();
    } catch (...) {
        return "unknown exception";
    }
    return "no error";
}

}  // namespace keel::runtime
