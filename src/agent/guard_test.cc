#include "agent/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

namespace keel::agent {
namespace {

using testing::HasSubstr;

constexpr Instant kNow{100s};

DeadlineView armed(Duration left) {
    DeadlineView out;
    out.armed = true;
    out.deadline = kNow + left;
    out.postmaster = 77;
    out.postmaster_start = 7;
    return out;
}

TEST(Guard, JudgesWhichServerTheWordsMean) {
    postgres::ServerProcess const living{.pid = 88, .parent = 1, .start_ticks = 8};
    auto const view = armed(0ms);
    EXPECT_EQ(judge_servers(view, false, false, std::nullopt), Servers::none);
    EXPECT_EQ(judge_servers(view, true, true, std::nullopt), Servers::meant);
    EXPECT_EQ(judge_servers(view, true, true, living), Servers::meant) << "a hung one beside a foreign postmaster.pid";
    EXPECT_EQ(judge_servers(view, true, false, std::nullopt), Servers::meant) << "orphans of a dead postmaster";
    EXPECT_EQ(judge_servers(view, true, false, living), Servers::another) << "a standby that was started since";
    DeadlineView unnamed = view;
    unnamed.postmaster = 0;
    EXPECT_EQ(judge_servers(unnamed, true, false, living), Servers::meant) << "armed for whatever runs";
}

TEST(Guard, DecidesWhatToDoNext) {
    struct Row {
        char const* what;
        DeadlineView view;
        Surroundings around;
        Act expected;
    };
    DeadlineView const calm;
    std::vector<Row> const rows{
        {"nothing is armed", calm, {}, Act::sleep},
        {"nothing is armed and it is asked to end", calm, {.asked_to_end = true}, Act::end},
        {"nothing is armed and the tree is gone", calm, {.orphaned = true}, Act::end},
        {"before the deadline", armed(30ms), {}, Act::sleep},
        {"asked to end while a server may be a primary", armed(30ms), {.asked_to_end = true}, Act::sleep},
        {"the tree is gone while a server may be a primary", armed(30ms), {.orphaned = true}, Act::sleep},
        {"the tree is gone and another guardian is on duty",
         armed(30ms),
         {.orphaned = true, .relieved = true},
         Act::end},
        {"not yet in the words, but of this tree", armed(-1ms), {.relieved = true}, Act::look},
        {"the deadline is over", armed(-1ms), {}, Act::look},
        {"at the deadline itself", armed(0ms), {}, Act::look},
        {"the server runs", armed(-1ms), {.servers = Servers::meant}, Act::strike},
        {"the server runs and it is asked to end",
         armed(-1ms),
         {.servers = Servers::meant, .asked_to_end = true},
         Act::strike},
        {"a standby was started since", armed(-1ms), {.servers = Servers::another}, Act::sleep},
        {"nothing of it is left", armed(-1ms), {.servers = Servers::none}, Act::sleep},
        {"nothing of it is left and the tree is gone",
         armed(-1ms),
         {.servers = Servers::none, .orphaned = true},
         Act::end},
    };
    for (auto row : rows) {
        row.around.now = kNow;
        EXPECT_EQ(decide(row.view, row.around).act, row.expected) << row.what;
    }
}

TEST(Guard, SleepsToTheDeadlineAndNeverSoLongThatItSeemsDead) {
    EXPECT_EQ(decide(armed(30ms), {.now = kNow}).span, 30ms);
    EXPECT_EQ(decide(armed(8s), {.now = kNow}).span, kGuardLooksEvery);
    EXPECT_EQ(decide(armed(1us), {.now = kNow}).span, 1ms);
    EXPECT_EQ(decide({}, {.now = kNow}).span, kGuardLooksEvery);
    EXPECT_LT(2 * kGuardLooksEvery, kGuardSilentMost);
}

TEST(Guard, APulseThatStandsStillIsSilent) {
    Pulse pulse;
    auto now = kNow;
    EXPECT_EQ(pulse.look(1, now), 0ms);
    for (int i = 0; i < 5; ++i) pulse.look(1, now += 100ms);
    EXPECT_EQ(pulse.silent(), 500ms);
    EXPECT_EQ(pulse.look(2, now += 100ms), 0ms);
}

// A virtual machine was suspended for a minute. Its guardian, about to kill a primary whose lease was long over, was
// killed itself by a watcher that woke up first and saw a minute of silence.
TEST(Guard, TimeInWhichTheWatcherSleptItselfAccusesNobody) {
    Pulse pulse;
    pulse.look(1, kNow);
    EXPECT_LE(pulse.look(1, kNow + 60s), 300ms);
    EXPECT_EQ(pulse.look(2, kNow + 61s), 0ms);
    EXPECT_EQ(pulse.look(2, kNow - 5s), 0ms) << "a clock that goes back counts for nothing";
}

TEST(Guard, SaysWhatTheGuardianLacks) {
    DeadlineView view;
    view.real_time = view.in_memory = true;
    EXPECT_EQ(guardian_text(view, 200ms), "on duty");
    EXPECT_THAT(guardian_text(view, 2s), HasSubstr("silent for 2.0 s"));
    view.real_time = false;
    EXPECT_THAT(guardian_text(view, 0ms), HasSubstr("on duty (no real-time priority: "));
    view.in_memory = false;
    EXPECT_THAT(guardian_text(view, 0ms), HasSubstr("no real-time priority, not locked in memory"));
}

class Words : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = "/tmp/pgkeel-words-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        directory = name;
        std::filesystem::create_directory(directory + "/state");
    }
    void TearDown() override {
        DeadlineFile::remove(directory);
        std::filesystem::remove_all(directory);
        for (auto const& file : left) std::filesystem::remove(file);
    }
    std::string directory;
    std::vector<std::string> left;
};

TEST_F(Words, OutliveTheirWriters) {
    {
        auto agent = DeadlineFile::open(directory);
        ASSERT_TRUE(agent);
        EXPECT_FALSE(agent->view().armed);
        agent->server(77, 7);
        agent->arm(kNow);
        agent->heartbeat(kNow - 1s, 42);
    }
    auto guardian = DeadlineFile::open(directory);
    ASSERT_TRUE(guardian);
    auto const view = guardian->view();
    EXPECT_TRUE(view.armed);
    EXPECT_EQ(view.deadline, kNow);
    EXPECT_EQ(view.postmaster, 77);
    EXPECT_EQ(view.incarnation, 42U);
}

// File systems give the inode of a removed directory to the next one: its words, armed and perhaps another user's, must
// not come with it.
TEST_F(Words, EndWithTheirDirectory) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(DeadlineFile::peek(directory));
        auto agent = DeadlineFile::open(directory);
        ASSERT_TRUE(agent);
        agent->arm(kNow);
        left.push_back(DeadlineFile::path_of(directory));
        std::filesystem::remove_all(directory);
        std::filesystem::create_directories(directory + "/state");
    }
}

TEST_F(Words, ShowTheGuardianToWhoeverPeeks) {
    EXPECT_FALSE(DeadlineFile::peek(directory)) << "looking must not make them";
    auto guardian = DeadlineFile::open(directory);
    ASSERT_TRUE(guardian);
    guardian->go_on_duty(99, true, false);
    guardian->beat();
    guardian->beat();
    auto const seen = DeadlineFile::peek(directory);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->guardian, 99);
    EXPECT_EQ(seen->guardian_beats, 2U);
    EXPECT_TRUE(seen->real_time);
    EXPECT_FALSE(seen->in_memory);
    EXPECT_FALSE(DeadlineFile::peek(directory + "/nowhere"));
}

}  // namespace
}  // namespace keel::agent
