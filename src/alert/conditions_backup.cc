// Conditions of the archive and the backups.
#include <fmt/format.h>

#include "alert/found.h"

namespace keel::alert {

namespace {

using cluster::BackupStatus;

constexpr double kDay = 86'400;

void judge_archive(Found& found, BackupStatus const& backup, std::string const& leader) {
    found.measure(
        "archive", backup.standing_seconds, "", leader,
        fmt::format("WAL has not been archived for {}: {}", span_text(backup.standing_seconds),
                    backup.archive.trouble.empty() ? "the log of " + leader + " says why" : backup.archive.trouble));
    if (!backup.archive.hole.empty())
        found.add("archive_hole", "", "", "the archive has a hole: " + backup.archive.hole);
}

void judge_job(Found& found, cluster::JobStatus const& job) {
    auto const why = job.failures > 0 && job.bad ? "; it failed: " + job.bad->text : std::string();
    if (job.failures > 0 && job.bad)
        found.add("backup_failed", job.kind, "", fmt::format("{} failed: {}", job.kind, job.bad->text));
    if (job.kind == "full")
        found.measure("backup_overdue", job.overdue_seconds, "", "",
                      fmt::format("a full backup has been due for {}{}", span_text(job.overdue_seconds), why));
}

void judge_proof(Found& found, cluster::JobStatus const& job, std::int64_t now_unix_ms) {
    if (job.schedule == cluster::kNoSchedule || job.since_unix_ms == 0) return;
    auto const since = job.good ? job.good->begun_unix_ms : job.since_unix_ms;
    auto const days = static_cast<double>(now_unix_ms - since) / 1000 / kDay;
    found.measure("restore_proof", days, "", "",
                  job.good ? fmt::format("the last proof that a backup can be restored is {:.0f} days old", days)
                           : fmt::format("in {:.0f} days no backup was proven by a restore", days));
}

}  // namespace

void judge_backups(Found& found, cluster::Sight const& sight, cluster::ClusterStatus const& status) {
    if (!status.backup || !status.leader_alive) return;
    judge_archive(found, *status.backup, status.leader);
    if (!status.backup->trouble.empty())
        found.add("backup_failed", "schedule", sight.name, "no backup comes by schedule: " + status.backup->trouble);
    for (auto const& job : status.backup->jobs) {
        judge_job(found, job);
        if (job.kind == "prove") judge_proof(found, job, sight.clock.unix_ms);
    }
}

}  // namespace keel::alert
