#include "archive/retention.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

namespace keel::archive {
namespace {

constexpr std::uint64_t kSize = 16U << 20U;
constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kNow = 100 * kDay;

Lsn at(std::uint64_t segment, std::uint64_t more = 0) { return Lsn{segment * kSize + more}; }

// Of segment `from`, taken `age` days ago.
Backup backup(std::string label, std::uint64_t from, std::int64_t age, std::uint32_t timeline = 1) {
    Backup out;
    out.label = std::move(label);
    out.segment_bytes = kSize;
    out.timeline = out.end_timeline = Timeline{timeline};
    out.start = at(from, 40);
    out.end = at(from, 900);
    out.ended_unix_ms = kNow - age * kDay;
    return out;
}

std::vector<std::string> labels(std::vector<Backup> const& all) {
    std::vector<std::string> out;
    for (auto const& one : all) out.push_back(one.label);
    return out;
}

Stock stock_of(std::vector<Backup> backups, std::uint64_t segments) {
    Stock out;
    out.backups = std::move(backups);
    for (std::uint64_t i = 0; i < segments; ++i) out.segments.insert({Timeline{1}, i});
    out.ranges = ranges_of({kSize, out.segments, {}}, out.lineage);
    return out;
}

struct Expiring : testing::Test {
    Stock stock = stock_of({backup("a", 2, 40), backup("b", 4, 20), backup("c", 6, 10), backup("d", 8, 1)}, 10);
};

TEST_F(Expiring, KeepsTheNewestAndTheirWal) {
    auto const plan = plan_expiry(stock, {.fulls = 2, .days = 0}, kNow);
    ASSERT_TRUE(plan);
    EXPECT_EQ(labels(plan->backups), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(plan->wal_from, at(6));
    EXPECT_EQ(plan->segments.size(), 6U);
}

TEST_F(Expiring, KeepsTheBackupBeforeTheDaysToo) {
    auto const plan = plan_expiry(stock, {.fulls = 0, .days = 15}, kNow);
    ASSERT_TRUE(plan);
    EXPECT_EQ(labels(plan->backups), std::vector<std::string>{"a"});  // b reaches the days from 15 to 10
}

TEST_F(Expiring, KeepsTheOnlyOneHoweverOld) {
    auto old = stock_of({backup("a", 2, 40)}, 10);
    old.last_commit_unix_ms = kNow;
    auto const plan = plan_expiry(old, {.fulls = 0, .days = 1}, kNow);
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->backups.empty());
}

TEST_F(Expiring, CountsOnlyWhatCanBeRestored) {
    stock.segments.erase({Timeline{1}, 8});
    stock.ranges = ranges_of({kSize, stock.segments, {}}, stock.lineage);
    auto const plan = plan_expiry(stock, {.fulls = 1, .days = 0}, kNow);
    ASSERT_TRUE(plan);
    EXPECT_EQ(labels(plan->backups), (std::vector<std::string>{"a", "b"}));  // c is the newest good one; d stays
    for (auto const& one : {"a", "b", "c", "d"}) {
        auto const range = std::ranges::find(stock.backups, one, &Backup::label)->start.value / kSize;
        stock.segments.erase({Timeline{1}, range});
    }
    stock.ranges = ranges_of({kSize, stock.segments, {}}, stock.lineage);
    auto const none = plan_expiry(stock, {.fulls = 1, .days = 0}, kNow);
    ASSERT_TRUE(none);
    EXPECT_TRUE(none->backups.empty() && none->segments.empty());
}

TEST_F(Expiring, HoldsKeepABackupAndItsWalUntilTheyEnd) {
    stock.holds = {{"a", at(2, 40), 0, "pinned"}};
    auto plan = plan_expiry(stock, {.fulls = 1, .days = 0}, kNow);
    EXPECT_EQ(labels(plan->backups), (std::vector<std::string>{"b", "c"}));
    EXPECT_EQ(plan->wal_from, at(2));
    stock.holds = {{"not-complete-yet", at(3, 40), kNow + 1, "being taken"}};
    EXPECT_EQ(plan_expiry(stock, {.fulls = 1, .days = 0}, kNow)->wal_from, at(3));
    EXPECT_EQ(plan_expiry(stock, {.fulls = 1, .days = 0}, kNow + 1)->wal_from, at(8));
}

Backup built_on(Backup const& parent, Backup out) {
    out.kind = BackupKind::incremental;
    out.chain = parent.chain;
    out.chain.push_back(parent.label);
    return out;
}

// An hourly incremental must not push the fulls out of "the newest two".
TEST_F(Expiring, CountsFullsAndKeepsWhatIncrementalsAreBuiltOn) {
    auto const& all = stock.backups;
    auto const i1 = built_on(all[1], backup("b1", 5, 18)), i2 = built_on(i1, backup("b2", 5, 17));
    auto const late = built_on(i2, backup("b3", 7, 5));
    auto const on_d = built_on(all[3], backup("d1", 9, 0));
    stock = stock_of({all[0], all[1], i1, i2, all[2], all[3], on_d}, 10);
    auto plan = plan_expiry(stock, {.fulls = 2, .days = 0}, kNow);
    ASSERT_TRUE(plan);
    EXPECT_EQ(labels(plan->backups), (std::vector<std::string>{"b2", "b1", "a", "b"})) << "none before what it needs";
    EXPECT_EQ(plan->wal_from, at(6));
    stock.backups.push_back(late);
    plan = plan_expiry(stock, {.fulls = 2, .days = 0}, kNow);
    EXPECT_EQ(labels(plan->backups), std::vector<std::string>{"a"}) << "b3 is newer than c, and built on b";
    stock.holds = {{"on-a", at(9), 0, "being taken", {"a"}}};
    EXPECT_TRUE(plan_expiry(stock, {.fulls = 2, .days = 0}, kNow)->backups.empty());
}

TEST_F(Expiring, WhatIsBuiltOnSomethingThatIsMissingDoesNotCount) {
    auto lost = built_on(backup("gone", 3, 30), backup("x", 9, 0));
    stock.backups.push_back(lost);
    auto const plan = plan_expiry(stock, {.fulls = 0, .days = 1}, kNow);
    ASSERT_TRUE(plan);
    EXPECT_EQ(labels(plan->backups), (std::vector<std::string>{"a", "b", "c"})) << "d is the last one before the day";
}

// With a clock that was a year ahead, all but one backup was older than the days.
TEST_F(Expiring, DaysAreNotCountedByAWrongClock) {
    auto const refused = [&](std::int64_t now, std::uint32_t days, char const* words) {
        for (std::uint32_t const fulls : {0U, 2U}) {
            auto const plan = plan_expiry(stock, {.fulls = fulls, .days = days}, now);
            ASSERT_FALSE(plan) << words;
            EXPECT_EQ(plan.error().code, Code::conflict);
            EXPECT_THAT(to_string(plan.error()), testing::HasSubstr(words));
        }
    };
    refused(kNow + 365 * kDay, 15, "the newest in the repository is of");
    refused(kNow + 7 * kDay, 15, "the newest in the repository is of");
    refused(kNow + kDay, 1, "the newest in the repository is of");
    refused(kNow - 2 * kDay, 15, "has something of");
    EXPECT_TRUE(plan_expiry(stock, {.fulls = 0, .days = 15}, kNow + 5 * kDay));
    EXPECT_TRUE(plan_expiry(stock, {.fulls = 0, .days = 15}, kNow - kDay - 60'000));  // two clocks are never the same
    for (auto const now : {kNow + 365 * kDay, kNow - 365 * kDay}) {
        auto const plan = plan_expiry(stock, {.fulls = 2, .days = 0}, now);
        ASSERT_TRUE(plan);
        EXPECT_EQ(labels(plan->backups), (std::vector<std::string>{"a", "b"}));
    }
    stock.last_commit_unix_ms = kNow + 300 * kDay;
    EXPECT_TRUE(plan_expiry(stock, {.fulls = 0, .days = 15}, kNow + 301 * kDay));
    refused(kNow + 299 * kDay, 15, "has something of");
}

TEST_F(Expiring, NoHoldIsOverByAClockThatMayBeAhead) {
    stock.holds = {{"a", at(2, 40), kNow + 7 * kDay, "a restore reads it"}};
    auto const now = kNow + 30 * kDay;
    EXPECT_EQ(plan_expiry(stock, {.fulls = 1, .days = 0}, now)->wal_from, at(2));
    stock.last_commit_unix_ms = now;
    EXPECT_EQ(plan_expiry(stock, {.fulls = 1, .days = 0}, now)->wal_from, at(8));
}

TEST_F(Expiring, KeepingNothingIsRefused) { EXPECT_EQ(plan_expiry(stock, {}, kNow).error().code, Code::invalid); }

// Some are built on older ones; of a few something is missing.
void build_chains(std::vector<Backup>& all, std::vector<Hold>& holds, std::mt19937& chance) {
    std::ranges::sort(all, {}, [](Backup const& one) { return one.end; });
    for (std::size_t i = 1; i < all.size(); ++i)
        if (chance() % 3 > 0) all[i] = built_on(all[chance() % i], all[i]);
    if (all.size() > 2 && chance() % 10 == 0) all.erase(all.begin() + static_cast<std::ptrdiff_t>(chance() % 2));
    std::erase_if(holds,
                  [&](Hold const& one) { return std::ranges::find(all, one.label, &Backup::label) == all.end(); });
    for (auto& one : holds) one.chain = std::ranges::find(all, one.label, &Backup::label)->chain;
}

// A history with up to two failovers, holes, backups of any age and kind on any timeline, pins.
Stock any_stock(std::mt19937& chance) {
    auto const pick = [&](std::uint64_t most) { return std::uniform_int_distribution<std::uint64_t>(0, most)(chance); };
    Stock out;
    out.last_commit_unix_ms = kNow;
    auto const end = 5 + pick(25);
    auto const forks = pick(2);
    out.lineage.timeline = Timeline{static_cast<std::uint32_t>(forks + 1)};
    auto const first = at(1 + pick(end / 2), pick(kSize - 1)), second = at(end / 2 + pick(end / 2), pick(kSize - 1));
    if (forks > 0) out.lineage.history.push_back({Timeline{1}, first});
    if (forks > 1) out.lineage.history.push_back({Timeline{2}, std::max(first, second)});
    for (std::uint64_t number = 0; number < end; ++number) {
        if (pick(19) > 0) out.segments.insert({owner_of_segment(out.lineage, number, kSize), number});
        if (pick(4) == 0) out.segments.insert({Timeline{static_cast<std::uint32_t>(1 + pick(forks))}, number});
        if (pick(9) == 0) out.tails.insert({Timeline{1}, number});
    }
    out.ranges = ranges_of({kSize, out.segments, {}}, out.lineage);
    for (auto i = pick(8); i > 0; --i) {
        auto one = backup("backup-" + std::to_string(i), pick(end - 1), static_cast<std::int64_t>(pick(50)));
        one.end = Lsn{one.start.value + 1 + pick(3 * kSize)};
        auto const owner = [&](Lsn end) {
            return pick(9) == 0 ? Timeline{1} : postgres::owner_of(out.lineage.timeline, out.lineage.history, end);
        };
        one.timeline = owner(Lsn{one.start.value + 1});
        one.end_timeline = owner(one.end);
        if (pick(5) == 0) out.holds.push_back({one.label, one.start, pick(1) == 0 ? 0 : kNow + 1, "pinned"});
        out.backups.push_back(std::move(one));
    }
    build_chains(out.backups, out.holds, chance);
    return out;
}

// Wherever an expiry is cut short, nothing that is there has lost what it is built on.
void expect_chains(Stock const& before, Expiry const& plan) {
    auto left = before.backups;
    for (auto const& gone : plan.backups) {
        std::erase_if(left, [&](Backup const& one) { return one.label == gone.label; });
        for (auto const& one : left)
            if (missing_link(one, before.backups).empty()) EXPECT_EQ(missing_link(one, left), "") << one.label;
    }
    for (auto const& hold : before.holds)
        for (auto const& link : hold.chain)
            EXPECT_EQ(std::ranges::count(labels(before.backups), link), std::ranges::count(labels(left), link));
}

// Everything that could be restored from a kept backup still can, after each single removal.
void expect_intact(Stock const& before, Expiry const& plan) {
    auto left = before.segments;
    for (std::size_t removed = 0; removed <= plan.segments.size(); ++removed) {
        if (removed > 0) left.erase(plan.segments[removed - 1]);
        auto const ranges = ranges_of({kSize, left, {}}, before.lineage);
        for (auto const& kept : plan.kept) {
            auto const* was = range_of(kept.backup, before.ranges, before.lineage);
            if (was == nullptr) continue;
            auto const* is = range_of(kept.backup, ranges, before.lineage);
            ASSERT_NE(is, nullptr) << kept.backup.label << " is broken";
            EXPECT_EQ(is->to, was->to);
        }
    }
}

TEST(ExpiryProperty, NeverBreaksWhatIsKept) {
    int went = 0, pinned = 0;
    for (unsigned seed = 0; seed < 6000; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 chance(seed);
        auto const stock = any_stock(chance);
        Retention const retention{.fulls = static_cast<std::uint32_t>(chance() % 4),
                                  .days = static_cast<std::uint32_t>(chance() % 30)};
        if (retention.fulls == 0 && retention.days == 0) continue;
        auto const plan = plan_expiry(stock, retention, kNow);
        ASSERT_TRUE(plan);
        ASSERT_EQ(plan->kept.size() + plan->backups.size(), stock.backups.size());
        expect_intact(stock, *plan);
        expect_chains(stock, *plan);
        std::vector<Backup> kept;
        for (auto const& one : plan->kept) kept.push_back(one.backup);
        for (auto const& hold : stock.holds) {
            EXPECT_THAT(labels(kept), testing::Contains(hold.label));
            ++pinned;
        }
        for (auto const& gone : plan->backups) {
            auto const usable = [&](Backup const& one) {
                return range_of(one, stock.ranges, stock.lineage) != nullptr &&
                       missing_link(one, stock.backups).empty();
            };
            // Never the newest, and enough that can be restored are newer.
            EXPECT_GE(std::ranges::count_if(kept, [&](auto const& one) { return usable(one) && gone.end <= one.end; }),
                      std::max<std::ptrdiff_t>(retention.fulls, 1));
            // Every moment of the days has a backup before it that stays.
            auto const from = kNow - retention.days * kDay;
            if (retention.days > 0 && usable(gone))
                EXPECT_TRUE(std::ranges::any_of(kept, [&](auto const& one) {
                    return usable(one) && one.ended_unix_ms <= from && gone.end <= one.end;
                }));
            ++went;
        }
    }
    EXPECT_GT(went, 1000);
    EXPECT_GT(pinned, 500);
}

}  // namespace
}  // namespace keel::archive
