#include <gtest/gtest.h>

#include <algorithm>

#include "alert/conditions.h"
#include "alert/rules.h"

namespace keel::alert {
namespace {

constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kNow = 20'000 * kDay;

// anna leads, and knows a repository; all is well.
struct Backed {
    Backed() {
        status.member = status.leader_alive = true;
        status.leader = status.told_by = sight.name = "anna";
        status.voters = status.voters_alive = 1;
        status.mode = cluster::Mode::async;
        sight.clock.unix_ms = kNow;
        cluster::JobStatus full{"full", "0 1 * * *", kNow, 0, "", kNow - kDay, {}, {}, 0};
        cluster::JobStatus prove{"prove", "0 4 * * 0", kNow, 0, "", kNow - kDay, {}, {}, 0};
        status.backup = cluster::BackupStatus{"/backup", {}, 0, 0, "", {full, prove}};
    }
    std::string told() const {
        std::string out;
        for (auto const& one : cluster_conditions(sight, status, standard_settings()))
            out += (out.empty() ? "" : " ") + one.rule + (one.severity == Severity::critical ? "!" : "");
        return out;
    }
    cluster::BackupStatus& backup() { return *status.backup; }
    cluster::JobStatus& full() { return status.backup->jobs[0]; }
    cluster::JobStatus& prove() { return status.backup->jobs[1]; }

    cluster::Sight sight;
    cluster::ClusterStatus status;
};

TEST(BackupConditions, AreNoneWhenAllIsWellOrNoRepositoryIsThere) {
    Backed backed;
    EXPECT_EQ(backed.told(), "");
    backed.status.backup.reset();
    EXPECT_EQ(backed.told(), "");
}

TEST(BackupConditions, AnArchiveThatStandsStillOrHasAHole) {
    Backed backed;
    backed.backup().standing_seconds = 299;
    EXPECT_EQ(backed.told(), "");
    backed.backup().standing_seconds = 300;
    EXPECT_EQ(backed.told(), "archive!");
    backed.backup().standing_seconds = 0;
    backed.backup().archive.hole = "WAL is missing";
    EXPECT_EQ(backed.told(), "archive_hole!");
}

TEST(BackupConditions, AFullThatFailsOrIsOverdue) {
    Backed backed;
    backed.full().failures = 1;
    backed.full().bad = cluster::JobEnd{kNow, kNow, {}, "no room", {}};
    EXPECT_EQ(backed.told(), "backup_failed");
    backed.full().overdue_seconds = 21'600;
    EXPECT_EQ(backed.told(), "backup_failed backup_overdue");
    backed.full().failures = 0;
    backed.full().overdue_seconds = 172'800;
    EXPECT_EQ(backed.told(), "backup_overdue!");
}

TEST(BackupConditions, AProofThatIsOldOrNeverCame) {
    Backed backed;
    backed.prove().since_unix_ms = kNow - 15 * kDay;
    EXPECT_EQ(backed.told(), "restore_proof");
    backed.prove().good = cluster::JobEnd{kNow - 14 * kDay, kNow - 14 * kDay, {}, "", {}};
    EXPECT_EQ(backed.told(), "");
    backed.prove().good->begun_unix_ms = kNow - 16 * kDay;
    EXPECT_EQ(backed.told(), "restore_proof");
    backed.prove().schedule = cluster::kNoSchedule;
    EXPECT_EQ(backed.told(), "");
}

TEST(BackupConditions, AZoneThatIsNotKnown) {
    Backed backed;
    backed.backup().trouble = "no such zone";
    EXPECT_EQ(backed.told(), "backup_failed");
}

}  // namespace
}  // namespace keel::alert
