#include "alert/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alert/courier.h"
#include "alert/rules.h"

namespace keel::alert {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kStart = 1'800'000'000'000;
constexpr std::int64_t kSecond = 1000;

struct Desk {
    Book book;
    Settings settings = standard_settings();
    Look look;

    Desk() {
        settings.channels = {channel("hook", Severity::info)};
        look.now_ms = kStart;
        look.term = 3;
        look.reign = {1, "anna", false, "", true};
        at(0);
    }
    static Channel channel(std::string name, Severity least) {
        Channel out;
        out.name = std::move(name);
        out.least = least;
        out.url = "http://localhost/";
        return out;
    }
    static Condition condition(std::string rule, std::string subject = "", Severity severity = Severity::warning) {
        return {std::move(rule), subject, subject, severity, "text"};
    }
    bool at(double second) {
        look.now_ms = kStart + static_cast<std::int64_t>(second * kSecond);
        return step(book, look, settings);
    }
    // "firing:disk:anna resolved:..." of every notice so far, oldest first.
    std::string told() const {
        std::string out;
        for (auto const& notice : book.outbox) {
            for (auto const& line : notice.lines)
                out += std::string(out.empty() ? "" : " ") + boost::describe::enum_to_string(line.word, "?") + ":" +
                       name_of(line.rule, line.subject);
        }
        return out;
    }
    Alert const* find(std::string const& rule) const {
        for (auto const& one : book.alerts)
            if (one.rule == rule) return &one;
        return nullptr;
    }
};

TEST(Engine, TellsOnlyWhatLastsAsLongAsTheHoldOff) {
    Desk desk;
    desk.look.conditions = {Desk::condition("connections", "anna")};
    EXPECT_TRUE(desk.at(1));
    desk.at(30);
    EXPECT_EQ(desk.told(), "");
    EXPECT_TRUE(desk.at(31));
    EXPECT_EQ(desk.told(), "firing:connections:anna");
    EXPECT_FALSE(desk.at(32)) << "nothing new, nothing to keep";
}

TEST(Engine, WhatEndsWithinTheHoldOffIsNeverTold) {
    Desk desk;
    desk.look.conditions = {Desk::condition("connections", "anna")};
    desk.at(1);
    desk.look.conditions.clear();
    desk.at(10);
    desk.look.conditions = {Desk::condition("connections", "anna")};
    desk.at(32);
    EXPECT_EQ(desk.told(), "") << "the hold-off begins anew";
    EXPECT_EQ(desk.book.alerts.size(), 1U);
}

TEST(Engine, ARecoveryIsToldOnceAndOnlyWhenItLasts) {
    Desk desk;
    desk.look.conditions = {Desk::condition("disk", "anna")};
    desk.at(1);
    desk.at(6);
    desk.look.conditions.clear();
    desk.at(10);
    desk.look.conditions = {Desk::condition("disk", "anna")};
    desk.at(12);
    EXPECT_EQ(desk.told(), "firing:disk:anna") << "coming and going is one alert";
    desk.look.conditions.clear();
    desk.at(20);
    desk.at(25);
    EXPECT_EQ(desk.told(), "firing:disk:anna resolved:disk:anna");
    EXPECT_EQ(desk.book.outbox.back().lines[0].ended_ms, kStart + 20 * kSecond) << "it ended when it was gone first";
    desk.at(60);
    EXPECT_EQ(desk.told(), "firing:disk:anna resolved:disk:anna");
}

TEST(Engine, WorseIsToldAtOnceBetterIsNot) {
    Desk desk;
    desk.look.conditions = {Desk::condition("connections", "anna")};
    desk.at(0);
    desk.at(30);
    desk.look.conditions[0].severity = Severity::critical;
    desk.at(31);
    desk.look.conditions[0].severity = Severity::warning;
    desk.at(32);
    EXPECT_EQ(desk.told(), "firing:connections:anna worse:connections:anna");
}

TEST(Engine, RemindsUntilSomebodyAcknowledges) {
    Desk desk;
    desk.settings.repeat = 60s;
    desk.look.conditions = {Desk::condition("disk", "anna")};
    desk.at(0);
    desk.at(5);
    desk.at(64);
    desk.at(65);
    EXPECT_EQ(desk.told(), "firing:disk:anna still:disk:anna");
    ASSERT_TRUE(acknowledge(desk.book, "disk", "an operator"));
    desk.at(200);
    EXPECT_EQ(desk.told(), "firing:disk:anna still:disk:anna");
    desk.look.conditions.clear();
    desk.at(210);
    desk.at(216);
    EXPECT_EQ(desk.told(), "firing:disk:anna still:disk:anna resolved:disk:anna");
}

TEST(Engine, ANodeThatIsDownSilencesItsLagAndNobodyElses) {
    Desk desk;
    desk.look.conditions = {Desk::condition("member_down", "bela"), Desk::condition("lag_bytes", "bela"),
                            Desk::condition("lag_bytes", "cleo")};
    desk.at(0);
    desk.at(15);
    desk.at(30);
    EXPECT_EQ(desk.told(), "firing:member_down:bela firing:lag_bytes:cleo");
    desk.look.conditions = {Desk::condition("lag_bytes", "bela"), Desk::condition("lag_bytes", "cleo")};
    desk.at(40);
    desk.at(45);
    desk.at(46);
    EXPECT_EQ(desk.told(),
              "firing:member_down:bela firing:lag_bytes:cleo resolved:member_down:bela "
              "firing:lag_bytes:bela")
        << "what is still so when the reason is gone is told";
}

TEST(Engine, ASilenceEndsByItself) {
    Desk desk;
    ASSERT_TRUE(silence(desk.book, {"disk:anna", kStart + 20 * kSecond, "an operator", "known"}, kStart));
    desk.look.conditions = {Desk::condition("disk", "anna"), Desk::condition("disk", "bela")};
    desk.at(0);
    desk.at(5);
    EXPECT_EQ(desk.told(), "firing:disk:bela");
    desk.at(21);
    EXPECT_EQ(desk.told(), "firing:disk:bela firing:disk:anna");
    EXPECT_TRUE(desk.book.silences.empty());
    EXPECT_EQ(silence(desk.book, {"dsk", kStart + 90 * kSecond, "x", ""}, kStart).error().code, Code::not_found);
    EXPECT_EQ(end_silence(desk.book, "disk").error().code, Code::not_found);
    EXPECT_THAT(acknowledge(desk.book, "lag", "x").error().mend, HasSubstr("disk:anna"));
}

TEST(Engine, AFailoverIsToldOnceAndItsEndWhenTheClusterIsWhole) {
    Desk desk;
    desk.look.reign = {2, "bela", false, "bela and cleo have not heard anna for 684 ms", false};
    desk.look.conditions = {Desk::condition("member_down", "anna")};
    desk.at(1);
    EXPECT_EQ(desk.told(), "firing:failover:epoch 2");
    EXPECT_THAT(desk.book.outbox[0].lines[0].text, HasSubstr("bela has taken over from anna: bela and cleo"));
    desk.at(20);
    EXPECT_EQ(desk.told(), "firing:failover:epoch 2") << "that anna is down was part of it";
    desk.look.reign.whole = true;
    desk.look.conditions.clear();
    desk.at(30);
    desk.at(36);
    EXPECT_EQ(desk.told(), "firing:failover:epoch 2 resolved:failover:epoch 2");
}

TEST(Engine, WhoTakesOverTheBookTellsNothingTwice) {
    Desk desk;
    desk.look.reign = {2, "bela", false, "", false};
    desk.at(1);
    Desk other;
    auto const copy = decode_book(encode(desk.book));
    ASSERT_TRUE(copy);
    other.book = *copy;
    other.look = desk.look;
    other.at(2);
    EXPECT_EQ(other.told(), "firing:failover:epoch 2");
    other.look.reign.epoch = 3;
    other.look.reign.leader = "cleo";
    other.at(3);
    EXPECT_EQ(other.told(), "firing:failover:epoch 2 firing:failover:epoch 3");
    other.look.reign.whole = true;
    other.at(4);
    other.at(10);
    EXPECT_EQ(other.told(), "firing:failover:epoch 2 firing:failover:epoch 3 resolved:failover:epoch 3")
        << "the newer failover stands for the older one";
}

TEST(Engine, ASwitchoverIsNoAlertNorIsTheFirstReignThatIsSeen) {
    Desk desk;
    EXPECT_EQ(desk.told(), "");
    desk.look.reign = {2, "bela", true, "", true};
    desk.at(1);
    EXPECT_EQ(desk.told(), "");
    Book fresh;
    EXPECT_TRUE(follow(fresh, desk.look.reign));
    EXPECT_FALSE(follow(fresh, desk.look.reign));
    EXPECT_EQ(fresh.leader, "bela");
}

TEST(Engine, WhatASilentNodeSaidLastStands) {
    Desk desk;
    desk.look.conditions = {Desk::condition("disk", "bela")};
    desk.at(0);
    desk.at(5);
    desk.look.conditions = {Desk::condition("member_down", "bela")};
    desk.look.silent = {"bela"};
    desk.at(30);
    desk.at(45);
    EXPECT_EQ(desk.told(), "firing:disk:bela firing:member_down:bela");
    desk.look.conditions.clear();
    desk.look.silent.clear();
    desk.at(50);
    desk.at(55);
    EXPECT_EQ(desk.told(), "firing:disk:bela firing:member_down:bela resolved:disk:bela resolved:member_down:bela");
}

TEST(Engine, AFloodIsBounded) {
    Desk desk;
    for (int i = 0; i < 1000; ++i) desk.look.conditions.push_back(Desk::condition("slot_retains", std::to_string(i)));
    desk.at(0);
    desk.at(60);
    EXPECT_EQ(desk.book.alerts.size(), kAlertsMax);
    EXPECT_EQ(desk.book.outbox.size(), 1U) << "what changes at one moment is one notice";
    for (int i = 0; i < 300; ++i) {
        desk.look.conditions.assign(1, Desk::condition("disk", "n" + std::to_string(i)));
        desk.at(100 + 10 * i);
        desk.at(105 + 10 * i);
    }
    EXPECT_LE(desk.book.outbox.size(), kOutboxMax);
    EXPECT_GT(desk.book.dropped, 0U);
    EXPECT_LE(desk.book.alerts.size(), kAlertsMax);
    ASSERT_TRUE(decode_book(encode(desk.book)));
}

TEST(Engine, AClockThatWasAheadDoesNotHoldAlertsBack) {
    Desk desk;
    desk.look.conditions = {Desk::condition("disk", "anna")};
    desk.at(3600);
    EXPECT_EQ(desk.told(), "");
    desk.at(0);
    desk.at(5);
    EXPECT_EQ(desk.told(), "firing:disk:anna");
}

TEST(Engine, ANodeThatSpokeForItsPartHandsOverWhatItTold) {
    Desk cut_off;
    cut_off.look.conditions = {Desk::condition("consensus")};
    cut_off.at(0);
    cut_off.at(10);
    EXPECT_EQ(cut_off.told(), "firing:consensus");
    Desk majority;
    majority.look.term = 5;
    majority.look.conditions = {Desk::condition("disk", "bela")};
    majority.at(10);
    ASSERT_TRUE(is_newer(majority.book, cut_off.book));
    auto const told = told_only_in(cut_off.book, majority.book);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_TRUE(take_over(majority.book, told));
    EXPECT_FALSE(take_over(majority.book, told));
    majority.look.conditions.clear();
    majority.at(11);
    majority.at(16);
    EXPECT_EQ(majority.told(), "resolved:consensus");
}

// ---- couriers ----

Verdict delivered() {
    Verdict out;
    out.delivered = true;
    return out;
}

TEST(Courier, EachChannelGetsWhatItWantsAndOnce) {
    Desk desk;
    desk.settings.channels = {Desk::channel("all", Severity::info), Desk::channel("pager", Severity::critical)};
    desk.look.conditions = {Desk::condition("disk", "anna"), Desk::condition("disk", "bela", Severity::critical)};
    desk.at(0);
    desk.at(5);
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
    desk.look.conditions = {Desk::condition("disk", "anna")};
    desk.at(0);
    desk.at(5);
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
    desk.look.conditions = {Desk::condition("disk", "anna")};
    desk.at(0);
    desk.at(5);
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
