#include "proxy/figures.h"

#include <gtest/gtest.h>

namespace keel::proxy {
namespace {

TEST(Histogram, SortsByItsUpperEnds) {
    Histogram one;
    one.add(0us);
    one.add(100us);
    one.add(101us);
    one.add(30s);
    one.add(31s);
    EXPECT_EQ(one.buckets.front(), 2U) << "an upper end belongs to its bucket";
    EXPECT_EQ(one.buckets[1], 1U);
    EXPECT_EQ(one.buckets[Histogram::kBounds.size() - 1], 1U);
    EXPECT_EQ(one.buckets.back(), 1U);
    EXPECT_EQ(one.count(), 5U);
    EXPECT_EQ(one.sum, 61s + 201us);
}

TEST(Errors, AreBoundWhateverAFunctionRaises) {
    Errors errors;
    errors.add("23505");
    errors.add("23503");
    errors.add("40001");
    errors.add("AB123");
    errors.add("");
    errors.add("X");
    EXPECT_EQ(errors.by_class(), (std::map<std::string, std::uint64_t>{{"23", 2}, {"40", 1}, {"other", 3}}));
}

TEST(Figures, TellSoManyPoolsApartAndNoMore) {
    Figures figures;
    for (std::size_t i = 0; i < Figures::kPoolsMost; ++i) figures.of("d" + std::to_string(i), "u").queries = 1;
    auto& first = figures.of("d0", "u");
    figures.of("late", "u").queries += 5;
    figures.of("later", "u").queries += 2;
    EXPECT_EQ(figures.pools.size(), Figures::kPoolsMost);
    EXPECT_EQ(figures.other.queries, 7U);
    EXPECT_EQ(&figures.of("d0", "u"), &first);
    EXPECT_EQ(figures.all().queries, Figures::kPoolsMost + 7);
}

TEST(Figures, TellSoManyNamesApartAndNoMore) {
    Figures figures;
    for (int i = 0; i < 1000; ++i) (void)figures.of(std::to_string(i) + std::string(120, 'd'), std::string(120, 'u'));
    EXPECT_LT(figures.pools.size(), 420U);
    EXPECT_GT(figures.pools.size(), 400U);
    Figures another;
    EXPECT_EQ(&another.of(Figures::kOther, "u"), &another.other) << "nobody can be taken for it";
}

TEST(Periods, TellWhatOneWholePeriodHad) {
    Figures figures;
    Periods periods;
    Instant now{1h};
    figures.of("d", "u").queries = 100;
    periods.turn(figures, now);
    EXPECT_EQ(periods.find("d"), nullptr) << "nothing is known before the first one is over";
    figures.of("d", "u").queries = 160;
    figures.of("d", "other").queries = 5;
    periods.turn(figures, now + 59s);
    EXPECT_EQ(periods.find("d"), nullptr);
    periods.turn(figures, now + 61s);
    ASSERT_NE(periods.find("d"), nullptr);
    EXPECT_EQ(periods.find("d")->queries, 65U);
    EXPECT_EQ(periods.length(), 61s);
    periods.turn(figures, now + 130s);
    EXPECT_EQ(periods.find("d")->queries, 0U);
}

TEST(Glance, SumsUpAllPools) {
    Snapshot now;
    now.clients_max = 100;
    now.clients_logging_in = 1;
    now.clients_console = 2;
    for (int i = 1; i <= 2; ++i) {
        PoolState pool;
        pool.clients_active = 1;
        pool.clients_waiting = 2;
        pool.clients_idle = 3;
        pool.servers_active = 4;
        pool.longest_wait = i * 100ms;
        now.pools.push_back(pool);
    }
    now.all.queries = 7;
    now.all.queries_took.add(2ms);
    auto const glance = glance_of(now, 5000);
    EXPECT_EQ(glance.clients_active, 2U);
    EXPECT_EQ(glance.clients_waiting, 4U);
    EXPECT_EQ(glance.clients_idle, 9U) << "those who log in, and the console's, are clients too";
    EXPECT_EQ(glance.servers_active, 8U);
    EXPECT_DOUBLE_EQ(glance.longest_wait_seconds, 0.2);
    EXPECT_EQ(glance.queries, 7U);
    ASSERT_EQ(glance.queries_took.size(), glance.bounds_seconds.size() + 1);
    EXPECT_EQ(glance.queries_took[2], 1U) << "more than 1 ms, up to 5";
}

}  // namespace
}  // namespace keel::proxy
