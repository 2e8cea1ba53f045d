#include "alert/engine.h"

#include "alert/rules.h"
#include "alert/testing.h"

namespace keel::alert {
namespace {

using testing::HasSubstr;

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
    desk.fire({Desk::condition("disk", "bela")});
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

}  // namespace
}  // namespace keel::alert
