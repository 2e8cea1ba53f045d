#include "cluster/jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace keel::cluster {
namespace {

using testing::HasSubstr;
using Kind = JobStep::Kind;

NodeId const kA{"a"}, kB{"b"}, kC{"c"};
constexpr std::int64_t kMinute = 60'000, kHour = 60 * kMinute, kDay = 24 * kHour;
constexpr std::int64_t kMidnight = std::int64_t{20'000} * kDay;

// a leads; b and c are standbys. Fulls at one o'clock, expiry after each, no incrementals, no restore tests.
struct Story {
    Story() {
        record.leader = kA;
        for (auto const& id : {kA, kB, kC}) record.members[id].name = id.value;
        record.settings.backup_incremental = record.settings.backup_prove = kNoSchedule;
        at(kMidnight);
        settle();
    }
    Story& at(std::int64_t unix_ms) {
        view.now_unix_ms = unix_ms;
        return *this;
    }
    std::optional<JobStep> step() {
        auto const next = next_job_step(record, view);
        if (next) EXPECT_TRUE(take_job_step(record, *next, view));
        return next;
    }
    // Schedules are taken note of first.
    void settle() {
        while (true) {
            auto const next = next_job_step(record, view);
            if (!next || next->kind != Kind::adopt) return;
            EXPECT_TRUE(take_job_step(record, *next, view));
        }
    }
    NodeId given(JobKind kind) {
        auto const next = step();
        if (!next || next->kind != Kind::give || next->job != kind) return {};
        return next->node;
    }
    void end(JobKind kind, bool good, std::int64_t took_ms = kMinute) {
        auto const run = record.jobs.at(name_of(kind)).run;
        ASSERT_TRUE(run);
        view.now_unix_ms += took_ms;
        end_job(record, kind, {run->begun_unix_ms, view.now_unix_ms, run->node, good ? "done" : "no room", {}}, good);
    }
    Job const& job(JobKind kind) { return record.jobs.at(name_of(kind)); }

    Record record;
    JobView view{kMidnight, {}, {kB, kC}, {}};
};

JobView at(std::int64_t unix_ms) { return {unix_ms, {}, {kB, kC}, {}}; }

TEST(Jobs, AFullIsGivenToAStandbyWhenItsTimeHasComeAndAnExpiryFollowsIt) {
    Story story;
    EXPECT_FALSE(story.at(kMidnight + kHour - 1).step());
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    EXPECT_FALSE(story.at(kMidnight + kHour + kMinute).step()) << "one at a time";
    story.end(JobKind::full, true);
    EXPECT_EQ(story.given(JobKind::expire), kB);
    story.end(JobKind::expire, true);
    EXPECT_FALSE(story.step());
    EXPECT_EQ(story.at(kMidnight + kDay + kHour).given(JobKind::full), kB);
}

TEST(Jobs, WhatWasMissedBeforeTheScheduleWasThereIsNotCaughtUp) {
    Story story;
    story.at(kMidnight + 12 * kHour);
    story.record.settings.backup_full = "0 6 * * *";
    story.settle();
    EXPECT_FALSE(story.step());
    EXPECT_EQ(story.at(kMidnight + kDay + 6 * kHour).given(JobKind::full), kB);
}

TEST(Jobs, RunsThatWereMissedAreCaughtUpOnce) {
    Story story;
    EXPECT_EQ(story.at(kMidnight + 9 * kDay + 5 * kHour).given(JobKind::full), kB);
    story.end(JobKind::full, true);
    EXPECT_EQ(story.given(JobKind::expire), kB);
    story.end(JobKind::expire, true);
    EXPECT_FALSE(story.step());
}

TEST(Jobs, TheLeaderDoesItWhereNoStandbyIsHealthy) {
    Story story;
    story.view.standbys = {};
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kA);
}

TEST(Jobs, AFailureIsTriedAgainElsewhereAfterAPauseThatGrows) {
    Story story;
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    story.end(JobKind::full, false);
    auto const failed = story.view.now_unix_ms;
    EXPECT_FALSE(story.at(failed + 10 * kMinute - 1).step());
    EXPECT_EQ(story.at(failed + 10 * kMinute).given(JobKind::full), kC);
    story.end(JobKind::full, false);
    auto const again = story.view.now_unix_ms;
    EXPECT_FALSE(story.at(again + 20 * kMinute - 1).step());
    EXPECT_EQ(story.at(again + 20 * kMinute).given(JobKind::full), kA);
    for (int i = 0; i < 40; ++i) {
        story.end(JobKind::full, false);
        EXPECT_NE(story.at(story.view.now_unix_ms + 4 * kHour).given(JobKind::full), NodeId{});
    }
    story.end(JobKind::full, true);
    EXPECT_EQ(story.job(JobKind::full).failures, 0U);
    auto const told = std::ranges::count(story.record.history, "backup", &HistoryEvent::kind);
    EXPECT_EQ(told, 2) << "the first failure of a row, and its end";
}

TEST(Jobs, WorkOfANodeThatFallsSilentOrLeavesIsGivenToAnother) {
    Story story;
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    story.view.silent = {kB};
    story.view.standbys = {kC};
    auto const lost = story.step();
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->kind, Kind::lose);
    EXPECT_THAT(lost->why, HasSubstr("b has fallen silent"));
    EXPECT_EQ(story.at(story.view.now_unix_ms + 10 * kMinute).given(JobKind::full), kA);
    story.record.members.erase(kA);
    story.record.leader = kC;
    EXPECT_THAT(story.step()->why, HasSubstr("no member any more"));
}

TEST(Jobs, ANewLeaderGoesOnWithWhatIsUnderWay) {
    Story story;
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    story.record.leader = kB;
    story.view.standbys = {kC};
    EXPECT_FALSE(story.step());
    story.end(JobKind::full, true);
    EXPECT_EQ(story.given(JobKind::expire), kC);
}

TEST(Jobs, WhoeverLostHisWorkCannotEndThatOfAnother) {
    Story story;
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    auto const first = *story.job(JobKind::full).run;
    story.view.silent = {kB};
    (void)story.step();
    story.at(story.view.now_unix_ms + 10 * kMinute);
    EXPECT_NE(story.given(JobKind::full), NodeId{});
    end_job(story.record, JobKind::full, {first.begun_unix_ms, story.view.now_unix_ms, kB, "late", {}}, false);
    EXPECT_TRUE(story.job(JobKind::full).run) << "the second one goes on";
    EXPECT_EQ(story.job(JobKind::full).failures, 1U);
}

TEST(Jobs, OneThatSomebodyHasRunByHandCounts) {
    Story story;
    story.at(kMidnight + kHour + kMinute);
    end_job(story.record, JobKind::full, {kMidnight + kHour, story.view.now_unix_ms, kC, "by hand", {}}, true);
    auto const next = story.step();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->job, JobKind::expire);
}

TEST(Jobs, WhatSomebodyAsksForComesAtOnceAndOnce) {
    Story story;
    story.record.settings.backup_full = kNoSchedule;
    story.settle();
    story.at(kMidnight + 3 * kHour);
    EXPECT_TRUE(ask_job(story.record, JobKind::full, {kC, "an operator", story.view.now_unix_ms}));
    EXPECT_EQ(story.given(JobKind::full), kB);
    story.end(JobKind::full, false);
    EXPECT_FALSE(story.step()) << "a failure pauses it";
    EXPECT_TRUE(ask_job(story.record, JobKind::full, {kC, "an operator", story.view.now_unix_ms + 1}));
    EXPECT_EQ(story.at(story.view.now_unix_ms + 1).given(JobKind::full), kC) << "but not one who asks again";
    story.end(JobKind::full, true);
    EXPECT_EQ(story.given(JobKind::expire), kB);
    story.end(JobKind::expire, true);
    EXPECT_FALSE(story.at(kMidnight + 30 * kDay).step());
}

TEST(Jobs, AScheduleThatIsOffDoesNothing) {
    Story story;
    story.record.settings.backup_full = story.record.settings.backup_expire = kNoSchedule;
    story.settle();
    EXPECT_FALSE(story.at(kMidnight + 30 * kDay).step());
    for (auto const& one : job_statuses(story.record, at(kMidnight + 30 * kDay))) {
        EXPECT_EQ(one.next_unix_ms, 0) << one.kind;
        EXPECT_EQ(one.overdue_seconds, 0) << one.kind;
    }
}

TEST(Jobs, AStepThatTheRecordHasOvertakenIsRefused) {
    Story story;
    story.at(kMidnight + kHour);
    auto const next = next_job_step(story.record, story.view);
    ASSERT_TRUE(next);
    EXPECT_TRUE(take_job_step(story.record, *next, story.view));
    EXPECT_FALSE(take_job_step(story.record, *next, story.view));
}

TEST(Jobs, AnIncrementalComesByTheHourOnceThereIsAFullOne) {
    Story story;
    story.record.settings.backup_expire = kNoSchedule;
    story.record.settings.backup_incremental = Settings().backup_incremental;
    story.settle();
    EXPECT_FALSE(story.at(kMidnight + 31 * kMinute).step()) << "nothing to build on";
    EXPECT_EQ(story.at(kMidnight + 2 * kHour + 31 * kMinute).given(JobKind::full), kB);
    story.end(JobKind::full, true);
    EXPECT_FALSE(story.step()) << "the full one was enough for half past one and two";
    EXPECT_EQ(story.at(kMidnight + 3 * kHour + 30 * kMinute).given(JobKind::incremental), kB);
    story.end(JobKind::incremental, true);
    EXPECT_FALSE(story.at(kMidnight + 4 * kHour).step());
    EXPECT_EQ(story.at(kMidnight + 4 * kHour + 30 * kMinute).given(JobKind::incremental), kB);
    EXPECT_EQ(story.job(JobKind::full).good->begun_unix_ms, kMidnight + 2 * kHour + 31 * kMinute);
}

TEST(Jobs, ACopyGoesBesideABackupOnAnotherNode) {
    Story story;
    EXPECT_FALSE(story.at(kMidnight + 10 * kMinute).step()) << "there is nothing to copy into";
    story.view.copies = true;
    story.settle();
    EXPECT_EQ(story.at(kMidnight + 15 * kMinute).given(JobKind::copy), kB);
    story.end(JobKind::copy, true);
    auto const told = story.record.history.size();
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    EXPECT_EQ(story.given(JobKind::copy), kC);
    EXPECT_FALSE(story.step());
    story.end(JobKind::copy, true);
    EXPECT_EQ(story.record.history.size(), told) << "every few minutes one, which is no news";
    EXPECT_EQ(story.at(kMidnight + kHour + 6 * kMinute).given(JobKind::copy), kC);
    story.end(JobKind::full, true);
    EXPECT_EQ(story.given(JobKind::expire), kB) << "nor does it wait for a copy";
    EXPECT_EQ(job_statuses(story.record, story.view).back().kind, "copy");
}

TEST(Jobs, StatusSaysWhatIsOverdue) {
    Story story;
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    auto const seen = job_statuses(story.record, at(kMidnight + 2 * kHour));
    ASSERT_EQ(seen.size(), 5U);
    EXPECT_EQ(seen[0].kind, "full");
    EXPECT_EQ(seen[0].running_on, "b");
    EXPECT_EQ(seen[0].next_unix_ms, kMidnight + kHour);
    EXPECT_EQ(seen[0].overdue_seconds, 3600);
    EXPECT_EQ(job_statuses(story.record, at(kMidnight))[0].overdue_seconds, 0);
}

// A leader's clock was ten days ahead while a backup ran, and is right again.
TEST(Jobs, AClockThatWasAheadStopsNothing) {
    Story story;
    story.at(kMidnight + 10 * kDay + kHour);
    EXPECT_EQ(story.given(JobKind::full), kB);
    story.end(JobKind::full, true);
    story.at(kMidnight + 2 * kHour);
    EXPECT_EQ(job_statuses(story.record, story.view)[0].overdue_seconds, 3600);
    EXPECT_EQ(story.given(JobKind::full), kB);
    story.end(JobKind::full, true);
    EXPECT_EQ(story.job(JobKind::full).good->ended_unix_ms, story.view.now_unix_ms);
    EXPECT_EQ(story.given(JobKind::expire), kB);
    story.end(JobKind::expire, true);
    EXPECT_FALSE(story.step());
}

TEST(Jobs, WhatWasAskedForByAClockAheadIsGivenOnce) {
    Story story;
    EXPECT_TRUE(ask_job(story.record, JobKind::full, {kC, "an operator", kMidnight + 10 * kDay}));
    EXPECT_EQ(story.given(JobKind::full), kB);
    story.end(JobKind::full, false);
    EXPECT_FALSE(story.step()) << "a failure pauses it";
}

// What a program said before it failed may be in any encoding, and the record must be readable to all.
TEST(Jobs, ATextThatIsNoUtf8LeavesTheRecordReadable) {
    Story story;
    for (auto const* text : {"pg_dump: \xd0\xb7\xd0", "caf\xe9 ferm\xe9", "\xff\xfe", "\xed\xa0\x80 plain"}) {
        end_job(story.record, JobKind::full, {1, story.view.now_unix_ms, kB, text, {}}, true);
        story.record.members[NodeId{std::string("\xc3")}].name = text;
        auto const back = decode_record(encode(story.record));
        ASSERT_TRUE(back) << to_string(back.error());
        EXPECT_THAT(back->jobs.at("full").good->text, HasSubstr("\xef\xbf\xbd"));
        EXPECT_EQ(encode(*back), encode(story.record));
    }
}

TEST(Jobs, TheRecordKeepsThem) {
    Story story;
    EXPECT_EQ(story.at(kMidnight + kHour).given(JobKind::full), kB);
    end_job(story.record, JobKind::prove, {1, 2, kC, "proven", {{"replay_seconds", 1.5}}}, true);
    auto const again = decode_record(encode(story.record));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->jobs.at("full").run->node, kB);
    EXPECT_EQ(again->jobs.at("prove").good->figures.at("replay_seconds"), 1.5);
}

TEST(Jobs, SchedulesAreChecked) {
    EXPECT_TRUE(check_schedule(JobKind::full, "off"));
    EXPECT_TRUE(check_schedule(JobKind::full, "0 1 * * *"));
    EXPECT_FALSE(check_schedule(JobKind::full, "after full"));
    EXPECT_TRUE(check_schedule(JobKind::expire, "after full"));
    EXPECT_FALSE(check_schedule(JobKind::prove, "daily"));
    Settings const standard;
    for (auto const kind : {JobKind::full, JobKind::incremental, JobKind::expire, JobKind::dump, JobKind::prove})
        EXPECT_TRUE(check_schedule(kind, schedule_of(standard, kind)));
}

}  // namespace
}  // namespace keel::cluster
