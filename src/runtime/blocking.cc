#include "runtime/blocking.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <boost/asio/prefer.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace keel::runtime {

namespace {

enum class Phase { queued, running, taken_back };

struct Job {
    explicit Job(asio::any_io_executor const& where)
        : executor(asio::prefer(where, asio::execution::outstanding_work.tracked)), done(where) {}

    std::function<void()> work;
    std::atomic<Phase> phase{Phase::queued};
    std::exception_ptr thrown;
    // Below: the waiting coroutine's thread only.
    asio::any_io_executor executor;
    Event done;
    bool ended = false;
};

// Hands the job back to its thread; the worker keeps no reference, so that the event dies where it lives.
void finish(std::shared_ptr<Job> job) {
    auto const executor = job->executor;
    asio::post(executor, [job = std::move(job)] {
        job->ended = true;
        job->done.notify();
    });
}

}  // namespace

struct Worker::State {
    struct Entry {
        std::function<void()> run;
        std::function<void()> drop;  // instead of run, when the worker ends
    };

    std::mutex mutable mutex;
    std::condition_variable wake;
    std::deque<Entry> queue;
    bool ending = false;
    std::thread thread;

    void push(Entry entry) {
        {
            std::lock_guard const lock(mutex);
            if (!ending) {
                queue.push_back(std::move(entry));
                wake.notify_one();
                return;
            }
        }
        if (entry.drop) entry.drop();
    }

    void run() {
        for (;;) {
            Entry entry;
            {
                std::unique_lock lock(mutex);
                wake.wait(lock, [this] { return ending || !queue.empty(); });
                if (ending) return;
                entry = std::move(queue.front());
                queue.pop_front();
            }
            entry.run();
        }
    }
};

Worker::Worker(std::string name) : state_(std::make_shared<State>()) {
    // Signals belong to the main thread: a blocking call here is never interrupted by one.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    state_->thread = std::thread([state = state_.get()] { state->run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_setname_np(state_->thread.native_handle(), name.substr(0, 15).c_str());
}

Worker::~Worker() {
    {
        std::lock_guard const lock(state_->mutex);
        state_->ending = true;
    }
    state_->wake.notify_all();
    state_->thread.join();
    for (auto& entry : state_->queue) {
        if (entry.drop) entry.drop();
    }
    state_->queue.clear();
}

void Worker::post(std::function<void()> job) { state_->push({std::move(job), {}}); }

std::size_t Worker::queued() const {
    std::lock_guard const lock(state_->mutex);
    return state_->queue.size();
}

namespace detail {

Task<void> run_job(std::shared_ptr<Worker::State> worker, std::function<void()> work) {
    auto const shield = co_await Shield::raise();
    auto const job = std::make_shared<Job>(co_await asio::this_coro::executor);
    job->work = std::move(work);
    auto run = [job]() mutable {
        auto phase = Phase::queued;
        if (job->phase.compare_exchange_strong(phase, Phase::running)) {
            try {
                job->work();
            } catch (...) {
                job->thrown = std::current_exception();
            }
        }
        finish(std::move(job));
    };
    auto drop = [job]() mutable {
        job->thrown = std::make_exception_ptr(std::runtime_error("the worker has ended"));
        finish(std::move(job));
    };
    worker->push({std::move(run), std::move(drop)});

    co_await job->done.wait_quietly();
    if (!job->ended) {  // cancelled
        auto phase = Phase::queued;
        bool const taken_back = job->phase.compare_exchange_strong(phase, Phase::taken_back);
        while (!taken_back && !job->ended) co_await job->done.wait_uncancelled();
        if (taken_back)
            job->thrown = std::make_exception_ptr(boost::system::system_error(asio::error::operation_aborted));
    }
    co_await shield.lower();
    if (job->thrown) std::rethrow_exception(job->thrown);
}

}  // namespace detail

}  // namespace keel::runtime
