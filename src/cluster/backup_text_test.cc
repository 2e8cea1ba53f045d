#include <gtest/gtest.h>

#include "cluster/status.h"

namespace keel::cluster {
namespace {

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kNow = std::int64_t{20'000} * 24 * kHour;

BackupStatus sound() {
    BackupStatus out;
    out.archive.unix_ms = kNow;
    out.archive.newest = "20241003T190000Z-bela";
    out.archive.newest_unix_ms = kNow - 5 * kHour;
    out.lag_bytes = 0;
    JobStatus full;
    full.kind = "full";
    full.next_unix_ms = kNow + kHour;
    out.jobs = {full};
    return out;
}

TEST(BackupText, SaysHowOldTheNewestIsAndHowFarTheArchive) {
    EXPECT_EQ(backup_text(sound(), kNow),
              "the newest is 5 h old; the archive has everything; next full 2024-10-04 01:00Z");
    auto one = sound();
    one.lag_bytes = 2048;
    one.archive.newest_unix_ms = kNow - 3 * 24 * kHour;
    EXPECT_EQ(backup_text(one, kNow),
              "the newest is 3 days old; the archive is 2.0 kB behind; next full 2024-10-04 01:00Z");
}

TEST(BackupText, SaysWhyNot) {
    auto one = sound();
    one.archive.newest_unix_ms = 0;
    one.archive.trouble = "no route to host";
    one.jobs[0].next_unix_ms = kNow - kHour;
    one.jobs[0].failures = 2;
    one.jobs[0].bad = JobEnd{kNow, kNow, {}, "no room", {}};
    EXPECT_EQ(backup_text(one, kNow),
              "no backup yet; the archive is in trouble: no route to host; full failed 2 times: no room");
    one.archive.trouble.clear();
    one.archive.hole = "WAL is missing";
    one.jobs[0].running_on = "bela";
    EXPECT_EQ(backup_text(one, kNow), "no backup yet; the archive has a hole: WAL is missing; full runs on bela");
    BackupStatus nothing;
    nothing.standing_seconds = 300;
    nothing.trouble = "no such zone";
    EXPECT_EQ(backup_text(nothing, kNow),
              "the archiver has not looked yet; the archive stands still for 5 min; nothing runs: no such zone");
}

}  // namespace
}  // namespace keel::cluster
