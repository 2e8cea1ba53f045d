// A few thousand seeds hold every invariant, and each deliberate fault is found.
#include <gtest/gtest.h>

#include "campaign.h"

namespace keel::sim {
namespace {

constexpr std::uint64_t kSeeds = 3000;

TEST(Simulator, HoldsEveryInvariantAndHeals) {
    Counts total;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        Outcome const outcome = run_seed(seed);
        ASSERT_FALSE(outcome.failure) << retell(seed);
        total.add(outcome.counts);
    }
    fmt::print("{}", summary(total, kSeeds, 0));
    // A simulator that never fails over proves nothing.
    EXPECT_GT(total.failovers, kSeeds);
    EXPECT_GT(total.rewinds, kSeeds / 4);
    EXPECT_GT(total.blocked, kSeeds / 10);
    EXPECT_GT(total.switchovers, 0U);
    EXPECT_GT(total.sync_commits, total.commits / 4);
    for (int fault = 0; fault < kFaults; ++fault)
        EXPECT_GT(total.faults[fault], 0U) << name_of(static_cast<Fault>(fault));
}

TEST(Simulator, RunsTheSameSeedTheSameWay) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Outcome const once = run_seed(seed);
        Outcome const again = run_seed(seed);
        EXPECT_EQ(std::memcmp(&once.counts, &again.counts, sizeof(Counts)), 0) << "seed " << seed;
    }
}

class Finds : public testing::TestWithParam<std::string> {};

TEST_P(Finds, TheDeliberateFault) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        if (auto const outcome = run_seed(seed, GetParam()); outcome.failure) {
            fmt::print("{}\n", headline(seed, *outcome.failure));
            return;
        }
    }
    FAIL() << GetParam() << " was not noticed in " << kSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Defects, Finds, testing::ValuesIn(defect_names()),
                         [](auto const& info) { return "finds_" + info.param; });

}  // namespace
}  // namespace keel::sim
