#include <fmt/format.h>

#include "cluster/status.h"

namespace keel::cluster {

namespace {

std::string span_text(std::int64_t ms) {
    auto const minutes = ms / 60'000;
    if (minutes < 1) return "less than a minute";
    if (minutes < 120) return fmt::format("{} min", minutes);
    if (minutes < 48 * 60) return fmt::format("{} h", minutes / 60);
    return fmt::format("{} days", minutes / 1440);
}

std::string archive_text(BackupStatus const& status) {
    auto const& seen = status.archive;
    if (!seen.trouble.empty()) return "the archive is in trouble: " + seen.trouble;
    if (!seen.hole.empty()) return "the archive has a hole: " + seen.hole;
    if (status.standing_seconds > 60)
        return fmt::format("the archive stands still for {}",
                           span_text(static_cast<std::int64_t>(status.standing_seconds * 1000)));
    if (!status.lag_bytes) return "the archive's end is not known";
    return *status.lag_bytes == 0 ? "the archive has everything"
                                  : fmt::format("the archive is {} behind", bytes_text(*status.lag_bytes));
}

std::string job_text(JobStatus const& job) {
    if (!job.running_on.empty()) return fmt::format("{} runs on {}", job.kind, job.running_on);
    if (job.failures > 0 && job.bad)
        return fmt::format("{} failed {}: {}", job.kind,
                           job.failures == 1 ? "once" : fmt::format("{} times", job.failures), job.bad->text);
    return {};
}

}  // namespace

std::string backup_text(BackupStatus const& status, std::int64_t now_unix_ms) {
    std::string out = "no backup yet";
    if (status.archive.newest_unix_ms != 0)
        out = fmt::format("the newest is {} old", span_text(now_unix_ms - status.archive.newest_unix_ms));
    else if (status.archive.unix_ms == 0)
        out = "the archiver has not looked yet";
    out += "; " + archive_text(status);
    std::int64_t next = 0;
    for (auto const& job : status.jobs) {
        if (auto const text = job_text(job); !text.empty()) out += "; " + text;
        if (job.kind == "full") next = job.next_unix_ms;
    }
    if (!status.trouble.empty()) return out + "; nothing runs: " + status.trouble;
    if (next > now_unix_ms) out += fmt::format("; next full {}Z", utc_text(next).substr(0, 16));
    return out;
}

}  // namespace keel::cluster
