#include "alert/courier.h"

#include <algorithm>

#include "alert/testing.h"

namespace keel::alert {
namespace {

Verdict delivered() {
    Verdict out;
    out.delivered = true;
    return out;
}

// A channel at once, and one after ten minutes.
struct Escalating {
    Escalating() {
        auto boss = Desk::channel("boss", Severity::warning);
        boss.after = 600s;
        desk.settings.channels.push_back(boss);
        desk.fire();
    }
    // "firing resolved" of all that this channel is given.
    std::string given(std::string const& name) {
        auto const& channel = *std::ranges::find(desk.settings.channels, name, &Channel::name);
        Courier courier;
        auto const parcel = next_parcel(desk.book, channel, courier, desk.look.now_ms);
        std::string out;
        for (auto const& line : parcel ? parcel->lines : std::vector<Line>())
            out += std::string(out.empty() ? "" : " ") + boost::describe::enum_to_string(line.word, "?");
        return out;
    }
    Desk desk;
};

TEST(Escalation, WhoIsNextHearsOfWhatNobodyAcknowledges) {
    Escalating two;
    two.desk.at(604);
    EXPECT_EQ(two.given("boss"), "");
    EXPECT_TRUE(two.desk.at(605));
    EXPECT_EQ(two.given("boss"), "escalated");
    EXPECT_EQ(two.given("hook"), "firing") << "who was told first is not told of it";
    EXPECT_FALSE(two.desk.at(700)) << "once";
    two.desk.look.conditions = {Desk::condition("disk", "anna", Severity::critical)};
    two.desk.at(701);
    two.desk.look.conditions.clear();
    two.desk.at(800);
    two.desk.at(900);
    EXPECT_EQ(two.given("boss"), "escalated worse resolved") << "and from then on of all";
}

TEST(Escalation, NotOfWhatIsAcknowledgedSilencedOrOverInTime) {
    Escalating first;
    ASSERT_TRUE(acknowledge(first.desk.book, "disk", "dba"));
    first.desk.at(605);
    first.desk.at(2000);
    EXPECT_EQ(first.given("boss"), "");
    Escalating other;
    ASSERT_TRUE(silence(other.desk.book, {"disk", kStart + 1'000'000, "dba", ""}, kStart + 5000));
    other.desk.at(700);
    EXPECT_EQ(other.given("boss"), "");
    other.desk.at(1001);
    EXPECT_EQ(other.given("boss"), "escalated") << "when the silence is over";
    Escalating third;
    third.desk.look.conditions.clear();
    third.desk.at(300);
    third.desk.at(310);
    third.desk.at(2000);
    EXPECT_EQ(third.given("boss"), "") << "nor of its end";
    EXPECT_EQ(third.given("hook"), "firing resolved");
}

TEST(Escalation, AnotherSpeakerGoesOnWithTheSameBook) {
    Escalating two;
    auto const copy = decode_book(encode(two.desk.book));
    ASSERT_TRUE(copy);
    two.desk.book = *copy;
    two.desk.at(605);
    EXPECT_EQ(two.given("boss"), "escalated");
    two.desk.book = *decode_book(encode(two.desk.book));
    EXPECT_FALSE(two.desk.at(606));
}

TEST(Courier, EachChannelGetsWhatItWantsAndOnce) {
    Desk desk;
    desk.settings.channels = {Desk::channel("all", Severity::info), Desk::channel("pager", Severity::critical)};
    desk.fire({Desk::condition("disk", "anna"), Desk::condition("disk", "bela", Severity::critical)});
    Courier all, pager;
    auto const first = next_parcel(desk.book, desk.settings.channels[0], all, desk.look.now_ms);
    auto const second = next_parcel(desk.book, desk.settings.channels[1], pager, desk.look.now_ms);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->lines.size(), 2U);
    EXPECT_EQ(second->lines.size(), 1U);
    EXPECT_TRUE(settle(desk.book, desk.settings.channels[0], all, *first, delivered(), desk.look.now_ms));
    EXPECT_EQ(desk.book.outbox.size(), 1U) << "the pager has it still open";
    EXPECT_FALSE(next_parcel(desk.book, desk.settings.channels[0], all, desk.look.now_ms + 60'000));
    EXPECT_TRUE(settle(desk.book, desk.settings.channels[1], pager, *second, delivered(), desk.look.now_ms));
    EXPECT_TRUE(desk.book.outbox.empty());
}

TEST(Courier, BacksOffAndHonoursWhatItIsAskedFor) {
    Desk desk;
    desk.fire();
    Courier courier;
    auto const& channel = desk.settings.channels[0];
    auto now = desk.look.now_ms;
    Verdict bad;
    bad.text = "no route";
    auto parcel = next_parcel(desk.book, channel, courier, now);
    ASSERT_TRUE(parcel);
    EXPECT_FALSE(settle(desk.book, channel, courier, *parcel, bad, now));
    EXPECT_FALSE(next_parcel(desk.book, channel, courier, now + 900));
    now += 1000;
    parcel = next_parcel(desk.book, channel, courier, now);
    ASSERT_TRUE(parcel);
    settle(desk.book, channel, courier, *parcel, bad, now);
    EXPECT_FALSE(next_parcel(desk.book, channel, courier, now + 1900)) << "twice as long";
    now += 2000;
    parcel = next_parcel(desk.book, channel, courier, now);
    ASSERT_TRUE(parcel);
    bad.retry_after = 40s;
    settle(desk.book, channel, courier, *parcel, bad, now);
    EXPECT_FALSE(next_parcel(desk.book, channel, courier, now + 39'900));
    EXPECT_TRUE(next_parcel(desk.book, channel, courier, now + 40'000));
    EXPECT_EQ(courier.problem, "no route");
}

TEST(Courier, GivesUpWhatIsRefusedOrTooOldAndSaysSo) {
    Desk desk;
    desk.fire();
    Courier courier;
    auto const& channel = desk.settings.channels[0];
    auto now = desk.look.now_ms;
    Verdict refused;
    refused.refused = true;
    for (int i = 0; i < 5; ++i, now += 60'000) {
        auto const parcel = next_parcel(desk.book, channel, courier, now);
        ASSERT_TRUE(parcel) << i;
        EXPECT_EQ(settle(desk.book, channel, courier, *parcel, refused, now), i == 4);
    }
    EXPECT_TRUE(desk.book.outbox.empty());
    EXPECT_EQ(desk.book.dropped, 1U);
}

TEST(Courier, TelegramGetsFewerThanTwentyAMinute) {
    Desk desk;
    Channel channel = desk.settings.channels[0];
    channel.kind = Kind::telegram;
    Courier courier;
    int sent = 0;
    for (std::int64_t ms = 0; ms < 60'000; ms += 100) {
        Notice notice;
        notice.number = desk.book.next_number++;
        notice.lines.resize(1);
        notice.open = {channel.name};
        desk.book.outbox.assign(1, notice);
        auto const parcel = next_parcel(desk.book, channel, courier, kStart + ms);
        if (!parcel) continue;
        ++sent;
        settle(desk.book, channel, courier, *parcel, delivered(), kStart + ms);
    }
    EXPECT_EQ(sent, 18);
}

TEST(Courier, WhatHadToWaitGoesAsOneMessage) {
    Desk desk;
    for (int i = 0; i < 50; ++i) {
        Notice notice;
        notice.number = desk.book.next_number++;
        notice.lines.resize(1);
        notice.open = {"hook"};
        desk.book.outbox.push_back(notice);
    }
    Courier courier;
    auto const parcel = next_parcel(desk.book, desk.settings.channels[0], courier, kStart);
    ASSERT_TRUE(parcel);
    EXPECT_EQ(parcel->numbers.size(), 50U);
    EXPECT_EQ(parcel->lines.size(), 30U);
    EXPECT_EQ(parcel->more, 20U);
}

}  // namespace
}  // namespace keel::alert
