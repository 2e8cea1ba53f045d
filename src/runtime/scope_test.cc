#include "runtime/scope.h"

#include <latch>
#include <thread>

#include "runtime/blocking.h"
#include "runtime/testing.h"

namespace keel::runtime {
namespace {

using testing::run;
using testing::until;

TEST(Scope, WaitsForItsChildrenAndCancelsThem) {
    Io io;
    Scope scope(io);
    int ended = 0;
    struct AtEnd {
        int& count;
        ~AtEnd() { ++count; }
    };
    for (int i = 0; i < 3; ++i) {
        scope.spawn("sleeper", [&]() -> Task<void> {
            AtEnd const at_end{ended};
            co_await sleep_for(1h);
        });
    }
    run(io, [](Scope& one, int& count) -> Task<void> {
        co_await sleep_for(1ms);
        EXPECT_EQ(one.running(), 3u);
        co_await one.close();
        EXPECT_EQ(count, 3);
    }(scope, ended));
    EXPECT_EQ(scope.running(), 0u);
}

TEST(Scope, ItsDestructorRunsTheLoopUntilTheChildrenHaveEnded) {
    Io io;
    bool ended = false;
    {
        Scope scope(io);
        scope.spawn("sleeper", [&]() -> Task<void> {
            struct AtEnd {
                bool& flag;
                ~AtEnd() { flag = true; }
            } const at_end{ended};
            co_await sleep_for(1h);
        });
        io.run_for(std::chrono::milliseconds(1));
        EXPECT_FALSE(ended);
    }
    EXPECT_TRUE(ended);
}

TEST(Scope, ASupervisedLoopThatThrowsStartsAgainAndIsCounted) {
    Io io;
    Scope scope(io);
    int starts = 0;
    scope.supervise("brittle",
                    [&]() -> Task<void> {
                        if (++starts < 4) throw std::runtime_error("broken");
                        co_await sleep_for(1h);
                    },
                    {.first = 1ms, .most = 2ms});
    run(io, [](Scope& one, int& count) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return count == 4; }));
        co_await one.close();
    }(scope, starts));
    auto const count = scope.counts().at("brittle");
    EXPECT_EQ(count.starts, 4u);
    EXPECT_EQ(count.failures, 3u);
    EXPECT_FALSE(count.running);
}

Task<Result<int>> answer_after(Duration span, bool* ended = nullptr) {
    struct AtEnd {
        bool* flag;
        ~AtEnd() {
            if (flag != nullptr) *flag = true;
        }
    } const at_end{ended};
    co_await sleep_for(span);
    co_return 42;
}

TEST(WithTimeout, GivesTheAnswerThatCameInTime) {
    Io io;
    run(io, []() -> Task<void> {
        auto const result = co_await with_timeout(10s, answer_after(1ms));
        EXPECT_TRUE(result.has_value());
        EXPECT_EQ(result.value_or(0), 42);
    }());
}

TEST(WithTimeout, EndsTheTaskThatIsTooSlowBeforeItReturns) {
    Io io;
    run(io, []() -> Task<void> {
        bool ended = false;
        auto const result = co_await with_timeout(5ms, answer_after(1h, &ended));
        EXPECT_TRUE(ended);
        EXPECT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code, Code::timeout);
    }());
}

TEST(WithTimeout, PassesExceptionsAndTheCallersCancellation) {
    Io io;
    Scope scope(io);
    bool ended = false, went_on = false;
    scope.spawn("caller", [&]() -> Task<void> {
        (void)co_await with_timeout(1h, answer_after(1h, &ended));
        co_await sleep_for(1ms);
        went_on = true;
    });
    run(io, [](Scope& one) -> Task<void> {
        co_await sleep_for(1ms);
        co_await one.close();
        auto const broken = []() -> Task<Result<int>> {
            co_await sleep_for(1ms);
            throw std::runtime_error("broken");
        };
        bool caught = false;
        try {
            (void)co_await with_timeout(10s, broken());
        } catch (std::runtime_error const& thrown) {
            caught = std::string(thrown.what()) == "broken";
        }
        EXPECT_TRUE(caught);
    }(scope));
    EXPECT_TRUE(ended);
    EXPECT_FALSE(went_on);
}

TEST(Event, RemembersANotifyAndWaitsWithALimit) {
    Io io;
    Event event(io);
    run(io, [](Event& one) -> Task<void> {
        one.notify();
        EXPECT_TRUE(co_await one.wait_for(10s));
        EXPECT_FALSE(co_await one.wait_for(1ms));
    }(event));
}

TEST(Worker, RunsElsewhereAndBringsResultsAndExceptionsBack) {
    Io io;
    Worker worker("test");
    run(io, [](Worker& one) -> Task<void> {
        auto const here = std::this_thread::get_id();
        auto const there = co_await run_blocking(one, [] { return std::this_thread::get_id(); });
        EXPECT_NE(there, here);
        EXPECT_EQ(std::this_thread::get_id(), here);
        bool caught = false;
        try {
            co_await run_blocking(one, [] { throw std::runtime_error("broken"); });
        } catch (std::runtime_error const&) {
            caught = true;
        }
        EXPECT_TRUE(caught);
    }(worker));
}

TEST(Worker, ACancelledCallerTakesAWaitingJobBackAndWaitsForARunningOne) {
    Io io;
    std::mutex gate;
    std::atomic<int> ran{0};
    Worker worker("test");
    Scope scope(io);
    gate.lock();
    for (int i = 0; i < 2; ++i) {
        scope.spawn("caller", [&]() -> Task<void> {
            co_await run_blocking(worker, [&] {
                ++ran;
                std::lock_guard const lock(gate);
            });
        });
    }
    run(io, [](Scope& one, std::mutex& mutex, std::atomic<int>& count) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return count == 1; }));
        one.cancel();
        EXPECT_TRUE(co_await until([&] { return one.running() == 1; }));  // the waiting one
        mutex.unlock();
        co_await one.close();
    }(scope, gate, ran));
    EXPECT_EQ(ran, 1);
}

TEST(Worker, ItsEndFailsTheJobsThatStillWait) {
    Io io;
    std::atomic<bool> begun{false};
    std::latch gate(1);
    auto worker = std::make_unique<Worker>("test");
    Scope scope(io);
    std::string failure;
    scope.spawn("first", [&]() -> Task<void> {
        co_await run_blocking(*worker, [&] {
            begun = true;
            gate.wait();
        });
    });
    scope.spawn("second", [&]() -> Task<void> {
        try {
            co_await run_blocking(*worker, [] {});
        } catch (std::runtime_error const& thrown) {
            failure = thrown.what();
        }
    });
    run(io, [](std::unique_ptr<Worker>& one, Scope& all, std::atomic<bool>& flag, std::latch& latch) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return flag.load() && one->queued() == 1; }));
        std::thread release([&] { latch.count_down(); });
        one.reset();
        release.join();
        EXPECT_TRUE(co_await until([&] { return all.running() == 0; }));
    }(worker, scope, begun, gate));
    // The second job may have begun in the moment between the unlock and the end.
    EXPECT_TRUE(failure.empty() || failure == "the worker has ended") << failure;
}

}  // namespace
}  // namespace keel::runtime
