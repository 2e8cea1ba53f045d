// A few thousand seeds hold every invariant, and each deliberate fault is found by the invariant that it breaks.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "campaign.h"

namespace keel::sim {
namespace {

constexpr std::uint64_t kSeeds = 2500;

TEST(Simulator, HoldsEveryInvariantAndHeals) {
    std::atomic<std::uint64_t> next = 1;
    std::atomic<std::uint64_t> failed = 0;
    std::mutex guard;
    Counts total;
    auto const work = [&] {
        Counts mine;
        for (std::uint64_t seed = next++; seed <= kSeeds && failed == 0; seed = next++) {
            Outcome const outcome = run_seed(seed);
            mine.add(outcome.counts);
            if (outcome.failure) failed = seed;
        }
        std::lock_guard const lock(guard);
        total.add(mine);
    };
    std::thread other(work);
    work();
    other.join();
    ASSERT_EQ(failed, 0U) << retell(failed);
    fmt::print("{}", summary(total, kSeeds, 0));
    // A simulator that never fails over proves nothing.
    EXPECT_GT(total.failovers, kSeeds);
    EXPECT_GT(total.rewinds, kSeeds / 4);
    EXPECT_GT(total.blocked, kSeeds / 10);
    EXPECT_GT(total.switchovers, kSeeds / 10);
    EXPECT_GT(total.sync_commits, total.commits / 4);
    for (int fault = 0; fault < kFaults; ++fault) {
        EXPECT_GT(total.faults[fault], 0U) << name_of(static_cast<Fault>(fault));
    }
}

TEST(Simulator, RunsTheSameSeedTheSameWay) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Outcome const once = run_seed(seed);
        Outcome const again = run_seed(seed);
        EXPECT_EQ(std::memcmp(&once.counts, &again.counts, sizeof(Counts)), 0) << "seed " << seed;
    }
}

struct Expected {
    char const* defect;
    char const* invariant;  // that has to notice; others may, earlier, but are no proof
};
void PrintTo(Expected const& expected, std::ostream* out) { *out << expected.defect; }

class Finds : public testing::TestWithParam<Expected> {};

TEST_P(Finds, TheDeliberateFault) {
    constexpr std::uint64_t kBound = 4000;
    for (std::uint64_t seed = 1; seed <= kBound; ++seed) {
        Outcome const outcome = run_seed(seed, GetParam().defect);
        if (!outcome.failure || !outcome.failure->invariant.starts_with(GetParam().invariant)) continue;
        fmt::print("{}\n", headline(seed, *outcome.failure));
        return;
    }
    FAIL() << GetParam().invariant << " did not notice " << GetParam().defect << " in " << kBound << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Defects, Finds,
                         testing::Values(Expected{"skip_barrier", "I1 C"}, Expected{"promise_forgotten", "register"},
                                         Expected{"wall_clock_lease", "I2"}, Expected{"no_cut", "I4"},
                                         Expected{"unplanned_timeline", "I3"}, Expected{"no_guardian", "I2"},
                                         Expected{"compare_lsn_only", "I4"}, Expected{"sync_order_reversed", "I1 C"},
                                         Expected{"skip_catch_up", "I1 C2"}, Expected{"no_coverage", "I4"},
                                         Expected{"soft_promises", "I2"}, Expected{"reuse_timelines", "I3"}),
                         [](auto const& info) { return std::string("finds_") + info.param.defect; });

}  // namespace
}  // namespace keel::sim
