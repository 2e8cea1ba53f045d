#include "availability/outages.h"

#include <gtest/gtest.h>

namespace keel::availability {
namespace {

constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kStart = 1'793'000'000'000;  // 2026-10-26

class Story {
  public:
    Story() { add(0, 1, "anna", "leader", "anna leads epoch 1"); }
    Story& add(std::int64_t ms, std::uint64_t epoch, char const* node, char const* kind, std::string text = "") {
        cluster::HistoryEvent event;
        event.number = ++number_;
        event.unix_ms = kStart + ms;
        event.epoch = Epoch{epoch};
        event.node = NodeId{node};
        event.kind = kind;
        event.text = std::move(text);
        outages.event(event);
        return *this;
    }
    Story& good(std::int64_t ms) {
        outages.good(kStart + ms);
        return *this;
    }
    Outage only() const {
        EXPECT_EQ(outages.all().size(), 1U);
        return outages.all().empty() ? Outage{} : outages.all().front();
    }
    Outages outages;

  private:
    std::uint64_t number_ = 0;
};

TEST(Outages, AFailoverLastsFromTheLastWordOfTheOldLeader) {
    Story story;
    story.good(300'000).add(400'600, 2, "bela", "revoke", "anna is silent").add(400'610, 2, "bela", "appoint");
    story.add(401'000, 2, "bela", "leader", "bela leads epoch 2");
    EXPECT_EQ(story.only().ms(), 101'000) << "until the phases are told, the last sight of a leader";
    story.add(404'000, 2, "bela", "phases", "change of leader: detect 600 ms, fence 10 ms, promote 390 ms");
    auto const outage = story.only();
    EXPECT_EQ(outage.ms(), 1000);
    EXPECT_EQ(outage.until_ms, kStart + 401'000);
    EXPECT_EQ(outage.why, "anna is silent");
    EXPECT_EQ(outage.cause, Cause::failover);
    EXPECT_EQ(outage.phases, "detect 600 ms, fence 10 ms, promote 390 ms");
}

TEST(Outages, WhereNobodyWasLeftTheLastSightOfALeaderCounts) {
    Story story;
    story.good(300'000).add(7'500'000, 2, "anna", "revoke", "starts anew").add(7'500'400, 2, "anna", "leader");
    story.add(7'503'000, 2, "anna", "phases", "change of leader: detect 0 ms, fence 1 ms, promote 300 ms");
    EXPECT_EQ(story.only().ms(), 7'200'400);
}

TEST(Outages, AClockThatWasAheadHidesNoOutage) {
    Story story;
    story.good(30 * kDay).outages.clock_says(kStart + 300'000);
    story.add(7'500'000, 2, "anna", "revoke", "starts anew").add(7'500'400, 2, "anna", "leader");
    EXPECT_EQ(story.only().ms(), 7'200'400);
}

TEST(Outages, AWinnerThatHadBeenCutOffDoesNotMakeItLonger) {
    Story story;
    story.good(300'000).add(400'000, 1, "anna", "sync", "cleo left the set");
    story.add(401'000, 2, "bela", "revoke").add(401'200, 2, "bela", "leader");
    story.add(404'000, 2, "bela", "phases", "change of leader: detect 250000 ms, promote 200 ms");
    EXPECT_EQ(story.only().ms(), 1200);
}

TEST(Outages, WhatOthersWriteIsNoSignOfTheLeader) {
    Story story;
    story.good(300'000).add(350'000, 1, "cleo", "token", "made");
    story.add(401'000, 2, "bela", "revoke").add(401'200, 2, "bela", "leader");
    EXPECT_EQ(story.only().ms(), 101'200);
}

TEST(Outages, ElectionsOneAfterTheOtherAreOneOutage) {
    Story story;
    story.good(300'000).add(400'000, 2, "bela", "revoke", "anna is silent").good(401'000);
    story.add(403'000, 3, "cleo", "revoke", "bela did not promote").add(404'000, 3, "cleo", "leader");
    EXPECT_EQ(story.only().ms(), 104'000);
    EXPECT_EQ(story.only().why, "anna is silent");
}

TEST(Outages, WhatSomebodyAskedForIsASwitchover) {
    auto const cause_after = [](char const* kind, char const* text) {
        Story story;
        story.add(1000, 1, "anna", kind, text).add(2000, 2, "bela", "revoke").add(2100, 2, "bela", "leader");
        return story.only().cause;
    };
    EXPECT_EQ(cause_after("switchover", "to bela, by root"), Cause::switchover);
    EXPECT_EQ(cause_after("failover", "to bela, by root"), Cause::switchover);
    EXPECT_EQ(cause_after("stop", "anna is being stopped"), Cause::switchover);
    EXPECT_EQ(cause_after("switchover", "taken back, by root"), Cause::failover);
    EXPECT_EQ(cause_after("handover", "refused"), Cause::failover);
    EXPECT_EQ(cause_after("sync", ""), Cause::failover);
}

TEST(Outages, PhasesThatAreNoneChangeNothing) {
    for (auto const* text :
         {"", "change of leader: ", "change of leader: detect", "change of leader: detect x ms",
          "change of leader: detect -5 ms", "change of leader: detect 99999999999999999999 ms", "something else"}) {
        Story story;
        story.good(300'000).add(400'000, 2, "bela", "revoke").add(400'500, 2, "bela", "leader");
        story.add(401'000, 2, "bela", "phases", text);
        EXPECT_EQ(story.only().ms(), 100'500) << text;
    }
}

TEST(Outages, AnAccountCountsWhatLiesInItsSpan) {
    std::vector<Outage> const outages = {{1000, 3000, 2, Cause::failover, "", ""},
                                         {10'000, 10'500, 3, Cause::switchover, "", ""},
                                         {50'000, 70'000, 4, Cause::failover, "", ""}};
    auto const all = account(outages, 0, 100'000);
    EXPECT_DOUBLE_EQ(all.down_seconds, 22.5);
    EXPECT_DOUBLE_EQ(all.availability, 0.775);
    EXPECT_EQ(all.failovers, 2U);
    EXPECT_EQ(all.switchovers, 1U);
    EXPECT_DOUBLE_EQ(*all.mttr_seconds, 7.5);
    EXPECT_DOUBLE_EQ(*all.mtbf_seconds, 77.5 / 3);
    EXPECT_DOUBLE_EQ(all.longest_seconds, 20);
    auto const part = account(outages, 2000, 60'000);
    EXPECT_DOUBLE_EQ(part.down_seconds, 1 + 0.5 + 10);
    auto const quiet = account(outages, 20'000, 40'000);
    EXPECT_EQ(quiet.availability, 1);
    EXPECT_FALSE(quiet.mtbf_seconds);
    EXPECT_EQ(account(outages, 5, 5).availability, 1) << "a span of nothing";
}

TEST(Outages, MonthsOfTheCalendarAndWhatGoesOn) {
    Story story;
    story.good(10 * kDay - 1000).add(10 * kDay, 2, "bela", "revoke").add(10 * kDay + 2000, 2, "bela", "leader");
    auto const now = kStart + 40 * kDay;  // 2026-12-05
    auto const ledger = ledger_of(story.outages, now - 60'000, now);
    ASSERT_EQ(ledger.months.size(), 3U);
    EXPECT_EQ(ledger.months[0].down_seconds, 0);
    EXPECT_EQ(ledger.months[1].down_seconds, 3);
    EXPECT_EQ(ledger.months[2].down_seconds, 60);
    EXPECT_EQ(ledger.days30.from_ms, now - 30 * kDay);
    EXPECT_EQ(ledger.days30.down_seconds, 62) << "the first second of it lies before";
    EXPECT_EQ(ledger.year.from_ms, kStart);
    auto const text = render(ledger, 0.9995);
    EXPECT_NE(text.find("Writes are not possible, for 60.0 s"), std::string::npos) << text;
    EXPECT_NE(text.find("2026-11"), std::string::npos) << text;
}

TEST(Outages, ACalmYearAndNoRecordAtAll) {
    auto const empty = ledger_of(Outages{}, {}, kStart);
    EXPECT_EQ(empty.year.availability, 1);
    EXPECT_EQ(empty.months.size(), 1U);
    EXPECT_NE(render(empty, 0.999).find("no outage"), std::string::npos);
    auto const later = ledger_of(Story().outages, {}, kStart + 800 * kDay);
    EXPECT_EQ(later.months.size(), 13U);
}

TEST(Outages, TooManyForgetTheOldest) {
    Story story;
    for (std::uint64_t i = 2; i < Outages::kMax + 100; ++i)
        story.add(static_cast<std::int64_t>(i) * 10, i, "bela", "leader");
    EXPECT_EQ(story.outages.all().size(), Outages::kMax);
    EXPECT_EQ(story.outages.all().back().epoch, Outages::kMax + 99);
}

}  // namespace
}  // namespace keel::availability
