#include "proxy/pool.h"

#include <gtest/gtest.h>

namespace keel::proxy {
namespace {

struct Pooling : ::testing::Test {
    Policy policy;
    Pools pools{policy};
    PoolKey const key{"d", "u", {}};
    Instant now{1h};

    Pooling() {
        policy.pool_size = 2;
        policy.wait_max = 10s;
    }
    PoolActions step() { return pools.step(now); }
    // Opens what is wanted.
    std::vector<std::uint64_t> open() {
        std::vector<std::uint64_t> out;
        for (auto const& one : step().open) {
            pools.ready(one.server, now);
            out.push_back(one.server);
        }
        return out;
    }
};

TEST_F(Pooling, WhoeverCameFirstIsServedFirst) {
    for (std::uint64_t client = 1; client <= 4; ++client) pools.want(client, key, now);
    auto const servers = open();
    ASSERT_EQ(servers.size(), 2U) << "the pool's size is the limit";
    auto const given = step().give;
    ASSERT_EQ(given.size(), 2U);
    EXPECT_EQ(given[0].client, 1U);
    EXPECT_EQ(given[1].client, 2U);
    pools.ready(servers[0], now);
    auto const next = step().give;
    ASSERT_EQ(next.size(), 1U);
    EXPECT_EQ(next[0].client, 3U);
    EXPECT_EQ(pools.take(key), 0U) << "nobody overtakes who waits";
}

TEST_F(Pooling, AnIdleServerIsGivenAtOnceAndTheWarmestFirst) {
    pools.want(1, key, now);
    pools.want(2, key, now);
    auto const servers = open();
    (void)step();
    pools.ready(servers[0], now);
    pools.ready(servers[1], now);
    EXPECT_EQ(pools.take(key), servers[1]);
    EXPECT_EQ(pools.take(key), servers[0]);
    EXPECT_EQ(pools.take(key), 0U);
}

TEST_F(Pooling, AFullQueueIsSaidWithItsFigures) {
    for (std::uint64_t client = 1; client <= 3; ++client) pools.want(client, key, now);
    (void)open();
    (void)step();
    now += 10s;
    auto const turned = step().turn_away;
    ASSERT_EQ(turned.size(), 1U);
    EXPECT_EQ(turned[0].client, 3U);
    EXPECT_EQ(turned[0].code, "53300");
    EXPECT_NE(turned[0].text.find("2 of 2 connections in use"), std::string::npos) << turned[0].text;
}

TEST_F(Pooling, WhileHeldWorkWaitsInOrderAndIsToldWhy) {
    pools.hold("bela is being promoted");
    pools.want(1, key, now);
    pools.want(2, key, now + 5s);
    auto const actions = step();
    EXPECT_TRUE(actions.open.empty());
    EXPECT_TRUE(actions.give.empty());
    now += 10s;
    auto const turned = step().turn_away;
    ASSERT_EQ(turned.size(), 1U);
    EXPECT_EQ(turned[0].code, "57P03");
    EXPECT_NE(turned[0].text.find("bela is being promoted"), std::string::npos);
    pools.hold("");
    (void)open();
    auto const given = step().give;
    ASSERT_EQ(given.size(), 1U);
    EXPECT_EQ(given[0].client, 2U);
}

TEST_F(Pooling, ReadersOfStandbysAreNotHeld) {
    PoolKey const standby{"d", "u", NodeId{"s"}};
    pools.hold("no primary");
    pools.want(1, standby, now);
    EXPECT_EQ(step().open.size(), 1U);
}

TEST_F(Pooling, AReleaseIsPaced) {
    policy.pool_size = 100;
    policy.connecting_max = 3;
    for (std::uint64_t client = 1; client <= 10; ++client) pools.want(client, key, now);
    EXPECT_EQ(step().open.size(), 3U);
    EXPECT_TRUE(step().open.empty());
}

TEST_F(Pooling, AFailureThatPassesIsTriedAgainAndALastingOneIsTold) {
    pools.want(1, key, now);
    auto const first = step().open;
    ASSERT_EQ(first.size(), 1U);
    pools.failed(first[0].server, {false, "57P03", "starting up"}, now);
    EXPECT_TRUE(step().open.empty()) << "not at once";
    now += 20ms;
    auto const again = step().open;
    ASSERT_EQ(again.size(), 1U);
    pools.failed(again[0].server, {true, "3D000", "database \"d\" does not exist"}, now);
    auto const turned = step().turn_away;
    ASSERT_EQ(turned.size(), 1U);
    EXPECT_EQ(turned[0].code, "3D000");
}

TEST_F(Pooling, AnEndOfAReignClosesWhatLedThere) {
    pools.want(1, key, now);
    auto const servers = open();
    (void)step();
    pools.ready(servers[0], now);
    pools.close_primary();
    auto const actions = step();
    ASSERT_EQ(actions.close.size(), 1U);
    EXPECT_EQ(actions.close[0].server, servers[0]);
    EXPECT_EQ(pools.take(key), 0U);
    pools.want(2, key, now);
    EXPECT_EQ(step().open.size(), 1U) << "its place is free again";
}

TEST_F(Pooling, WhatRestsTooLongIsClosed) {
    pools.want(1, key, now);
    auto const servers = open();
    (void)step();
    pools.ready(servers[0], now);
    EXPECT_TRUE(step().close.empty());
    EXPECT_LE(pools.next_time(), now + policy.server_idle_max);
    now += policy.server_idle_max;
    EXPECT_EQ(step().close.size(), 1U);
}

TEST_F(Pooling, OneThatRestsNeedsNoStepBeforeItsTime) {
    pools.want(1, key, now);
    auto const servers = open();
    (void)step();
    EXPECT_FALSE(pools.ready(servers[0], now));
    EXPECT_LE(pools.next_time(), now + policy.server_idle_max);
    EXPECT_EQ(pools.take(key), servers[0]);
    pools.want(2, key, now);
    EXPECT_TRUE(pools.ready(servers[0], now)) << "somebody waits";
    (void)step();
    EXPECT_TRUE(pools.pause("d"));
    EXPECT_TRUE(pools.ready(servers[0], now)) << "it is to be closed";
}

TEST_F(Pooling, WhoLeavesTheQueueIsForgotten) {
    pools.want(1, key, now);
    pools.forget(1);
    EXPECT_TRUE(step().open.empty());
}

TEST_F(Pooling, ADatabasesLimitHoldsOverItsUsers) {
    policy.database_max = 1;
    pools.want(1, key, now);
    pools.want(2, {"d", "other", {}}, now);
    EXPECT_EQ(step().open.size(), 1U);
}

TEST_F(Pooling, WhoRestsMakesRoomInADatabaseThatIsFull) {
    policy.database_max = 1;
    pools.want(1, key, now);
    auto const servers = open();
    (void)step();
    pools.want(2, {"d", "other", {}}, now);
    EXPECT_TRUE(step().open.empty()) << "it is at work";
    EXPECT_TRUE(pools.ready(servers[0], now)) << "somebody waits, if not for this one";
    auto const next = step();
    ASSERT_EQ(next.close.size(), 1U);
    EXPECT_EQ(next.close[0].server, servers[0]);
    EXPECT_EQ(next.open.size(), 1U);
}

TEST_F(Pooling, WhoRestsMakesRoomAtAServerThatIsFull) {
    pools.want(1, key, now);
    pools.want(2, {"e", "u", {"b"}}, now);
    for (auto const server : open()) (void)pools.ready(server, now);
    auto const given = step().give;
    ASSERT_EQ(given.size(), 2U);
    for (auto const& one : given) (void)pools.ready(one.server, now);
    pools.want(3, {"e", "v", {}}, now);
    auto const wanted = step().open;
    ASSERT_EQ(wanted.size(), 1U);
    pools.failed(wanted[0].server, {false, "53300", "sorry, too many clients already"}, now);
    auto const next = step();
    ASSERT_EQ(next.close.size(), 1U) << "of the same node, one";
    EXPECT_FALSE(pools.counts(now).contains(key));
    now += 1s;
    EXPECT_EQ(step().open.size(), 1U) << "and it is tried again";
}

TEST_F(Pooling, WhilePausedNobodyGetsAServerAndWhatComesBackIsClosed) {
    PoolKey const elsewhere{"e", "u", {}};
    pools.want(1, key, now);
    pools.want(2, elsewhere, now);
    auto const servers = open();
    ASSERT_EQ(step().give.size(), 2U);
    EXPECT_TRUE(pools.pause("d"));
    EXPECT_FALSE(pools.pause("d")) << "it is so already";
    pools.want(3, key, now);
    auto const held = step();
    EXPECT_TRUE(held.open.empty() && held.give.empty());
    EXPECT_EQ(pools.servers("d"), 1U);
    pools.ready(servers[0], now);
    pools.ready(servers[1], now);
    auto const after = step();
    ASSERT_EQ(after.close.size(), 1U);
    EXPECT_EQ(after.close[0].server, servers[0]);
    EXPECT_TRUE(after.give.empty());
    EXPECT_EQ(pools.servers("d"), 0U);
    EXPECT_EQ(pools.servers(""), 1U) << "the other database goes on";
    EXPECT_NE(pools.take(elsewhere), 0U);
    EXPECT_TRUE(pools.resume("d"));
    EXPECT_EQ(step().open.size(), 1U);
}

TEST_F(Pooling, WhoWaitsTooLongForAPausedDatabaseIsToldSo) {
    EXPECT_TRUE(pools.pause(""));
    pools.want(1, key, now);
    (void)step();
    now += 10s;
    auto const turned = step().turn_away;
    ASSERT_EQ(turned.size(), 1U);
    EXPECT_EQ(turned[0].code, "57P03");
    EXPECT_NE(turned[0].text.find("paused by an operator"), std::string::npos);
}

}  // namespace
}  // namespace keel::proxy
