// Blocking calls (libpq, fsync) run on a worker thread, one after the other; the coroutine that asked goes on
// afterwards on its own thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "runtime/asio.h"

namespace keel::runtime {

// One named thread with a queue. Must be destroyed before the io_context of the coroutines that wait for it.
class Worker {
  public:
    explicit Worker(std::string name);
    // Finishes the job that runs, drops the rest (their callers get an exception), joins.
    ~Worker();
    Worker(Worker const&) = delete;
    Worker& operator=(Worker const&) = delete;

    // Fire and forget; `job` must not throw.
    void post(std::function<void()> job);
    std::size_t queued() const;

    struct State;
    std::shared_ptr<State> const& state() const { return state_; }

  private:
    std::shared_ptr<State> state_;
};

namespace detail {
// Runs `job` on the worker and waits for its end. Rethrows what it threw. A cancelled caller whose job has not begun
// takes it back and throws operation_aborted; one whose job runs waits for it.
Task<void> run_job(std::shared_ptr<Worker::State> worker, std::function<void()> job);
}  // namespace detail

// `work()` on the worker's thread; its result, or its exception, comes back here.
template <class Work, class T = std::invoke_result_t<Work&>>
Task<T> run_blocking(Worker& worker, Work work) {
    if constexpr (std::is_void_v<T>) {
        co_await detail::run_job(worker.state(), [&work] { work(); });
    } else {
        std::optional<T> result;
        co_await detail::run_job(worker.state(), [&work, &result] { result.emplace(work()); });
        co_return std::move(*result);
    }
}

}  // namespace keel::runtime
