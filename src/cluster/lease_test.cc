#include "cluster/lease.h"

#include <gtest/gtest.h>

namespace keel::cluster {
namespace {

Instant at(Duration since_boot) { return Instant(since_boot); }
NodeId const kA{"a"}, kB{"b"}, kC{"c"};
std::set<NodeId> const kThree{kA, kB, kC};
constexpr Duration kLongest = 8s;

TEST(Lease, HasNoDeadlineWithoutAMajority) {
    Lease lease;
    lease.begin(Epoch{7});
    lease.granted(kA, at(10s), 1500ms);
    EXPECT_EQ(lease.deadline(kThree), Instant{});
}

TEST(Lease, CountsFromTheSendTimeOfTheAnswerThatMadeTheMajority) {
    Lease lease;
    lease.begin(Epoch{7});
    lease.granted(kA, at(10s), 1500ms);
    lease.granted(kB, at(9s), 1500ms);
    // 9 s + 1500 ms - 2 * 1000 ppm of it - 50 ms
    EXPECT_EQ(lease.deadline(kThree), at(9s + 1500ms - 3ms - 50ms));
    lease.granted(kC, at(9500ms), 1500ms);
    EXPECT_EQ(lease.deadline(kThree), at(9500ms + 1500ms - 3ms - 50ms));
}

TEST(Lease, AnAnswerOfANonVoterOrAnOlderEpochCountsNothing) {
    Lease lease;
    lease.begin(Epoch{7});
    lease.granted(kA, at(10s), 1500ms);
    lease.granted(NodeId{"stranger"}, at(10s), 1500ms);
    EXPECT_EQ(lease.deadline(kThree), Instant{});
    lease.granted(kB, at(10s), 1500ms);
    lease.begin(Epoch{8});
    EXPECT_EQ(lease.deadline(kThree), Instant{});
}

TEST(Lease, ALateAnswerNeverShortensIt) {
    Lease lease;
    lease.begin(Epoch{1});
    lease.granted(kA, at(10s), 1500ms);
    lease.granted(kA, at(8s), 1500ms);
    EXPECT_EQ(lease.deadline({kA}), at(10s + 1500ms - 3ms - 50ms));
}

TEST(Promise, HoldsForTheLeaseAndNotBeyond) {
    Promise promise(at(0s), Epoch{4});
    promise.give(Epoch{4}, at(100s), 1500ms);
    EXPECT_FALSE(promise.over(Epoch{5}, at(101499ms), kLongest));
    EXPECT_TRUE(promise.over(Epoch{5}, at(101500ms), kLongest));
}

TEST(Promise, ToTheEpochItselfIsNoObstacle) {
    Promise promise(at(0s), Epoch{4});
    promise.give(Epoch{5}, at(100s), 1500ms);
    EXPECT_TRUE(promise.over(Epoch{5}, at(100s), kLongest));
}

TEST(Promise, ARestartedVoterWaitsForWhatItMayHaveForgotten) {
    Promise promise(at(100s), Epoch{4});
    EXPECT_FALSE(promise.over(Epoch{5}, at(107999ms), kLongest))
        << "of the longest profile: it may have been changed since";
    EXPECT_TRUE(promise.over(Epoch{5}, at(108s), kLongest));
}

TEST(Promise, IsVoidWhenTheLeaderGivesItBack) {
    Promise promise(at(100s), Epoch{4});
    promise.give(Epoch{4}, at(100s), 1500ms);
    promise.release(Epoch{3});
    EXPECT_FALSE(promise.over(Epoch{5}, at(100100ms), kLongest)) << "an older reign's release gives nothing back";
    promise.release(Epoch{4});
    EXPECT_TRUE(promise.over(Epoch{5}, at(100100ms), kLongest));
}

TEST(Promise, AnOldReleaseDoesNotEndTheWaitForWhatWasForgottenLater) {
    Promise promise(at(100s), Epoch{7});
    promise.release(Epoch{5});
    EXPECT_FALSE(promise.over(Epoch{8}, at(101s), kLongest));
    promise.release(Epoch{7});
    EXPECT_TRUE(promise.over(Epoch{8}, at(101s), kLongest));
}

}  // namespace
}  // namespace keel::cluster
