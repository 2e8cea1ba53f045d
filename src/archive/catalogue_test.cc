#include "archive/catalogue.h"

#include <gmock/gmock.h>

namespace keel::archive {
namespace {

constexpr std::uint64_t kSize = 16U << 20U;
Lsn at(std::uint64_t segment, std::uint64_t more = 0) { return Lsn{segment * kSize + more}; }
SegmentId seg(std::uint32_t timeline, std::uint64_t number) { return {Timeline{timeline}, number}; }
Lineage const kSecond{Timeline{2}, {{Timeline{1}, at(3, 500)}}};

TEST(Ranges, TheSegmentWithTheForkIsTheNewTimelines) {
    Holdings holdings{kSize, {seg(1, 1), seg(1, 2), seg(1, 3), seg(2, 3)}, {{seg(2, 4), 100}}};
    EXPECT_EQ(ranges_of(holdings, kSecond), (std::vector<Range>{{at(1), at(4, 100)}}));
    holdings.segments.erase(seg(2, 3));  // the old timeline's own file is no substitute
    EXPECT_EQ(ranges_of(holdings, kSecond), (std::vector<Range>{{at(1), at(3)}, {at(4), at(4, 100)}}));
}

TEST(Ranges, AMissingSegmentIsAHole) {
    Holdings const holdings{kSize, {seg(1, 1), seg(1, 3)}, {}};
    EXPECT_EQ(ranges_of(holdings, {}), (std::vector<Range>{{at(1), at(2)}, {at(3), at(4)}}));
}

struct Planning : testing::Test {
    Planning() {
        old.label = "old";
        old.timeline = old.end_timeline = Timeline{1};
        old.start = at(1);
        old.end = at(1, 900);
        old.ended_unix_ms = 1'000'000;
        recent = old;
        recent.label = "recent";
        recent.start = at(2);
        recent.end = at(2, 900);
        recent.ended_unix_ms = 2'000'000;
        last.last = at(4, 64);
        last.last_commit_us = 3'000'000'000;
    }
    Result<Plan> plan(Target const& target, std::vector<Range> const& ranges = {{at(1), at(4, 100)}}) {
        return plan_restore({old, recent}, ranges, kSecond, last, target);
    }
    Backup old, recent;
    Records last;
};

TEST_F(Planning, LatestCarriesTheLastRecord) {
    auto const found = plan({});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->backup.label, "recent");
    EXPECT_EQ(found->target.lsn, at(4, 64));
}

// A standby's backup ends where its last record does; `last` is where that one begins.
TEST_F(Planning, LatestIsThereRightAfterABackupOfAnIdleServer) {
    recent.end = at(4, 100);
    recent.end_timeline = Timeline{2};
    auto const found = plan({});
    ASSERT_TRUE(found) << to_string(found.error());
    EXPECT_EQ(found->backup.label, "recent");
    EXPECT_EQ(found->target.lsn, at(4, 64));
    EXPECT_EQ(plan({at(4, 63), {}})->backup.label, "old");
    EXPECT_FALSE(plan({at(4, 65), {}}));
}

TEST_F(Planning, TheNewestBackupBeforeTheTarget) {
    EXPECT_EQ(plan({at(2, 100), {}})->backup.label, "old");
    EXPECT_EQ(plan({at(2, 900), {}})->backup.label, "recent");
    EXPECT_EQ(plan({{}, 1'500'000'000})->backup.label, "old");
}

TEST_F(Planning, WhatCannotBeReachedIsRefusedWithWhatCan) {
    for (Target const& target :
         {Target{at(1, 100), {}}, Target{at(4, 65), {}}, Target{{}, 999'000'000}, Target{{}, 3'000'000'000}}) {
        auto const found = plan(target);
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().code, Code::not_found);
        EXPECT_THAT(found.error().mend, testing::HasSubstr("possible are:"));
    }
}

TEST_F(Planning, NoBackupReachesAcrossAHole) { EXPECT_FALSE(plan({}, {{at(1), at(3)}, {at(4), at(4, 100)}})); }

// A standby's, whose primary changed while it was taken: it was called good, and could neither be restored nor
// verified.
TEST_F(Planning, ABackupMayCrossAChangeOfTimeline) {
    recent.start = at(3, 40);
    recent.end = at(3, 900);
    recent.end_timeline = Timeline{2};
    EXPECT_EQ(plan({})->backup.label, "recent");
    EXPECT_FALSE(is_left_behind(recent, kSecond));
    EXPECT_FALSE(is_left_behind(recent, {}));  // WAL of the second timeline is yet to come
    for (auto const& gap : gaps_of({recent}, {{at(3), at(3, 600)}}, kSecond)) EXPECT_EQ(gap.wal.to, at(3, 900));
    EXPECT_EQ(gaps_of({recent}, {{at(3), at(3, 600)}}, kSecond).size(), 1U);
}

TEST_F(Planning, ABackupOfATimelineThatWasLeftBeforeItsEndIsNone) {
    recent.start = at(3, 40);
    recent.end = at(3, 900);  // still on the first, which was left at 500
    EXPECT_TRUE(is_left_behind(recent, kSecond));
    EXPECT_EQ(plan({})->backup.label, "old");
    recent.start = at(3, 600);
    recent.end_timeline = Timeline{2};
    EXPECT_TRUE(is_left_behind(recent, kSecond));
    EXPECT_EQ(plan({})->backup.label, "old");
}

// A standby's backup that ended just before a failover: its segment became the next timeline's.
TEST_F(Planning, TheWalOfABackupMayBeInTheFileOfTheNextTimeline) {
    using testing::ElementsAre;
    std::vector<Lineage> const lineages{{Timeline{1}, {}}, kSecond};
    recent.start = at(2, 900);
    recent.end = at(3, 400);
    recent.segment_bytes = kSize;
    EXPECT_THAT(timelines_of(recent, lineages, 2), ElementsAre(Timeline{1}));
    EXPECT_THAT(timelines_of(recent, lineages, 3), ElementsAre(Timeline{2}, Timeline{1}));
    recent.end = at(3, 900);
    recent.end_timeline = Timeline{2};
    EXPECT_THAT(timelines_of(recent, lineages, 3), ElementsAre(Timeline{2}));  // the first's has other bytes there
    recent.end_timeline = Timeline{1};
    EXPECT_THAT(timelines_of(recent, {kSecond}, 3), ElementsAre(Timeline{1}));  // of no lineage that is known
}

TEST(Backups, WithoutATimelineOfTheEndHaveThatOfTheStart) {
    auto const read = parse_backup(R"({"label": "l", "segment_bytes": 16777216, "timeline": 4, "start": "0/28",)"
                                   R"( "end": "0/99"})");
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_EQ(read->end_timeline, Timeline{4});
}

TEST(Targets, AreReadAndWritten) {
    EXPECT_FALSE(parse_target("yesterday"));
    EXPECT_FALSE(parse_target("2026-13-01 00:00:00Z"));
    EXPECT_EQ(parse_target("0/3000148")->lsn, Lsn{0x3000148});
    EXPECT_EQ(time_text(*parse_target("2026-11-26 03:04:05.25Z")->time_us), "2026-11-26 03:04:05.250000+00");
}

}  // namespace
}  // namespace keel::archive
