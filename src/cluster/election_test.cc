#include "cluster/election.h"

#include <gtest/gtest.h>

namespace keel::cluster {
namespace {

NodeId const kA{"a"}, kB{"b"}, kC{"c"};

// Three data nodes; a led epoch 3 on timeline 2 and either b or c must have each commit; epoch 4 is being elected.
Record three() {
    Record record;
    record.epoch = Epoch{4};
    record.phase = Phase::revoking;
    record.coordinator = kB;
    for (auto const& id : {kA, kB, kC}) {
        record.members[id] = Member{
            .name = id.value, .kind = Kind::data, .peer = "", .api = "", .postgres = "", .tags = {}, .broken = ""};
        record.voters.insert(id);
    }
    record.sync = {Mode::quorum, {kB, kC}, 1, kA};
    record.lineage = {{Timeline{1}, Timeline{0}, Lsn{0}, Epoch{1}, kA, Fate::live},
                      {Timeline{2}, Timeline{1}, Lsn{100}, Epoch{3}, kA, Fate::live}};
    return record;
}

Grant report(std::uint64_t lsn, std::uint32_t timeline = 2) {
    Grant grant;
    grant.epoch = Epoch{4};
    grant.vote = grant.fenced = grant.in_recovery = grant.whole = true;
    grant.timeline = Timeline{timeline};
    grant.flush = grant.replay = Lsn{lsn};
    return grant;
}

Grant down(std::uint64_t lsn) {
    Grant grant = report(lsn);
    grant.in_recovery = grant.whole = false;
    return grant;
}

struct Row {
    char const* sentence;
    std::map<NodeId, Grant> grants;
    NodeId winner;
    void (*change)(Record&) = nullptr;
};

TEST(Election, ChoosesOnlyWhoHasEveryAcknowledgedCommit) {
    NodeId const nobody;
    auto const lonely = [](Record& r) { r.sync = {Mode::quorum, {kA}, 1, kA}; };
    auto const two_of_two = [](Record& r) { r.sync.quorum = 2; };
    auto const async = [](Record& r) { r.sync = {Mode::async, {kA}, 1, kA}; };
    std::vector<Row> const rows{
        {"the most advanced of all fenced members", {{kB, report(200)}, {kC, report(201)}}, kC, nullptr},
        {"equal: the lowest id, so that all nodes agree", {{kB, report(200)}, {kC, report(200)}}, kB, nullptr},
        {"one of two sync members may lack what the other acknowledged", {{kB, report(200)}}, nobody, nullptr},
        {"with W = 2 every member has it", {{kA, down(0)}, {kB, report(200)}}, kB, two_of_two},
        {"no majority of voters, no election", {{kC, report(200)}}, nobody, two_of_two},
        {"the deposed leader, fenced, is full coverage", {{kA, report(205)}, {kB, report(200)}}, kA, nullptr},
        {"a deposed leader that is down cannot say how far its WAL reaches",
         {{kA, down(90)}, {kB, report(200)}},
         nobody,
         nullptr},
        {"only the leader has everything: nobody else", {{kB, report(200)}, {kC, report(200)}}, nobody, lonely},
        {"only the leader has everything: the leader itself", {{kA, report(200)}, {kB, report(200)}}, kA, lonely},
        {"async: the most advanced that answers", {{kB, report(200)}, {kC, report(201)}}, kC, async},
        {"a higher LSN on an older timeline is not newer",
         {{kA, report(150)}, {kB, report(180)}, {kC, report(190, 1)}},
         kB,
         nullptr},
        {"nofailover is never promoted",
         {{kB, report(200)}, {kC, report(200)}},
         kC,
         [](Record& r) { r.members[kB].tags.nofailover = true; }},
        {"and blocks when it alone has the newest WAL",
         {{kB, report(201)}, {kC, report(200)}},
         nobody,
         [](Record& r) { r.members[kB].tags.nofailover = true; }},
        {"priority decides among equals",
         {{kB, report(200)}, {kC, report(200)}},
         kC,
         [](Record& r) { r.members[kC].tags.priority = 5; }},
        {"among equals another failure domain than the old leader's",
         {{kB, report(200)}, {kC, report(200)}},
         kC,
         [](Record& r) {
             r.members[kA].tags.domain = r.members[kB].tags.domain = "rack 1";
             r.members[kC].tags.domain = "rack 2";
         }},
        {"priority does not lose commits",
         {{kB, report(201)}, {kC, report(200)}},
         kB,
         [](Record& r) { r.members[kC].tags.priority = 5; }},
        {"a broken member comes after the sound",
         {{kB, report(200)}, {kC, report(200)}},
         kC,
         [](Record& r) { r.members[kB].broken = "stalled"; }},
        {"a broken member is better than none",
         {{kB, report(201)}, {kC, report(200)}},
         kB,
         [](Record& r) { r.members[kB].broken = "stalled"; }},
        {"the operator's target wins among equals",
         {{kB, report(200)}, {kC, report(200)}},
         kC,
         [](Record& r) { r.handover = Handover{kC, 0, false, ""}; }},
        {"an operator may accept the loss",
         {{kB, report(200)}, {kA, down(0)}},
         kB,
         [](Record& r) { r.handover = Handover{{}, 0, true, "op"}; }},
    };
    for (auto const& row : rows) {
        Record record = three();
        if (row.change != nullptr) row.change(record);
        Choice const choice = choose(record, {kB, row.grants, Lsn{200}});
        EXPECT_EQ(choice.winner.value, row.winner.value) << row.sentence << ": " << choice.reason;
    }
}

TEST(Election, AForcedChoiceSaysThatItMayLoseCommits) {
    Record record = three();
    record.handover = Handover{{}, 0, true, "op"};
    EXPECT_TRUE(choose(record, {kB, {{kB, report(200)}, {kA, down(0)}}, Lsn{200}}).loses_commits);
    EXPECT_FALSE(choose(record, {kB, {{kB, report(200)}, {kC, report(200)}}, Lsn{200}}).loses_commits);
}

TEST(Election, AsyncRefusesACandidateBeyondTheLagLimit) {
    Record record = three();
    record.sync = {Mode::async, {kA}, 1, kA};
    record.settings.failover_lag_bytes_max = 50;
    EXPECT_EQ(choose(record, {kB, {{kB, report(200)}, {kC, report(190)}}, Lsn{260}}).winner, NodeId{});
    EXPECT_EQ(choose(record, {kB, {{kB, report(200)}, {kC, report(190)}}, Lsn{250}}).winner, kB);
}

TEST(Election, APreferredCandidateFetchesWhatItLacks) {
    Record record = three();
    Ballot ballot{kB, {{kB, report(201)}, {kC, report(200)}}, Lsn{201}};
    EXPECT_FALSE(plan_catch_up(record, ballot)) << "an id is no preference";
    record.members[kC].tags.priority = 1;
    auto const plan = plan_catch_up(record, ballot);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->candidate, kC);
    EXPECT_EQ(plan->order.source, kB);
    EXPECT_EQ(plan->order.lsn, Lsn{201});
    EXPECT_FALSE(plan->needed);
    ballot.grants[kC] = report(201);
    EXPECT_FALSE(plan_catch_up(record, ballot));
}

TEST(Election, WalOnANodeThatMayNotBePromotedIsFetched) {
    Record record = three();
    record.members[kB].tags.nofailover = true;
    auto const plan = plan_catch_up(record, {kB, {{kB, report(201)}, {kC, report(200)}}, Lsn{201}});
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->candidate, kC);
    EXPECT_TRUE(plan->needed);
}

TEST(Election, TheNextSyncSetHoldsThoseWhoHaveAllOfTheWinnersWal) {
    Record const record = three();
    SyncSet const equal = sync_after(record, {kB, {{kB, report(200)}, {kC, report(200)}}, Lsn{200}}, kB);
    EXPECT_EQ(equal.members, (std::set<NodeId>{kC}));
    EXPECT_EQ(equal.owner, kB);
    SyncSet const behind = sync_after(record, {kB, {{kB, report(200)}, {kC, report(199)}}, Lsn{200}}, kB);
    EXPECT_EQ(behind.members, (std::set<NodeId>{kB})) << "nobody else may be promoted before it caught up";
}

TEST(Election, PromisesAreFirmWhereFencingStandbysDoesNotStopTheLeader) {
    Record record = three();
    EXPECT_FALSE(promises_are_firm(record));
    record.sync = {Mode::quorum, {kA}, 1, kA};
    EXPECT_TRUE(promises_are_firm(record));
    record.sync = {Mode::async, {kA}, 1, kA};
    EXPECT_TRUE(promises_are_firm(record));
}

TEST(Lineage, WalBeyondAForkIsNotTheClusters) {
    auto const lineage = three().lineage;
    EXPECT_TRUE(is_ancestor(lineage, Timeline{1}, Lsn{100}));
    EXPECT_FALSE(is_ancestor(lineage, Timeline{1}, Lsn{101}));
    EXPECT_TRUE(is_ancestor(lineage, Timeline{2}, Lsn{1'000'000}));
    EXPECT_FALSE(is_ancestor(lineage, Timeline{9}, Lsn{1}));
}

// Timeline 4 grew out of 3, whose promotion was never confirmed: its server had died, and still had the newest WAL.
TEST(Lineage, AConfirmedPromotionMakesAllItsForebearsLive) {
    auto lineage = three().lineage;
    lineage.push_back({Timeline{3}, Timeline{2}, Lsn{200}, Epoch{4}, kB, Fate::planned});
    lineage.push_back({Timeline{4}, Timeline{2}, {}, Epoch{5}, kC, Fate::planned});
    lineage.push_back({Timeline{5}, Timeline{3}, {}, Epoch{6}, kA, Fate::planned});
    confirm_newest(lineage, Lsn{300});
    EXPECT_TRUE(is_ancestor(lineage, Timeline{3}, Lsn{300}));
    EXPECT_FALSE(is_ancestor(lineage, Timeline{3}, Lsn{301}));
    EXPECT_FALSE(is_ancestor(lineage, Timeline{4}, Lsn{1}, true)) << "burnt";
    EXPECT_EQ(live_path(lineage).back().fork, Lsn{300});
}

TEST(Lineage, APlannedTimelineCountsInAnElectionOnly) {
    auto lineage = three().lineage;
    lineage.push_back({Timeline{3}, Timeline{2}, Lsn{200}, Epoch{4}, kB, Fate::planned});
    EXPECT_FALSE(is_ancestor(lineage, Timeline{3}, Lsn{210}));
    EXPECT_TRUE(is_ancestor(lineage, Timeline{3}, Lsn{210}, true));
    lineage.back().fate = Fate::burnt;
    EXPECT_FALSE(is_ancestor(lineage, Timeline{3}, Lsn{210}, true));
    EXPECT_TRUE(is_ancestor(lineage, Timeline{2}, Lsn{900})) << "a burnt branch ends nothing";
}

}  // namespace
}  // namespace keel::cluster
