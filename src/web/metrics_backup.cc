// Metrics: the archive and the backups, as this node sees them.
#include "web/metrics_text.h"

namespace keel::web {

void write_backups(Text& out, cluster::Sight const& sight) {
    auto const status = cluster::status_of(sight).backup;
    if (!status) return;
    auto const now = sight.clock.unix_ms;
    auto const age = [now](std::int64_t unix_ms) { return static_cast<double>(now - unix_ms) / 1000; };
    auto const& seen = status->archive;
    out.gauge("pgkeel_archive_trouble", "1 while this node's archiver cannot do its work.",
              flag(!seen.trouble.empty()));
    if (seen.unix_ms != 0) {
        out.gauge("pgkeel_archive_seen_age_seconds", "How old it is what this node knows of the repository.",
                  age(seen.unix_ms));
        out.gauge("pgkeel_archive_hole", "1 when WAL is missing between the newest backup and the archive's end.",
                  flag(!seen.hole.empty()));
        out.gauge("pgkeel_archive_lsn_bytes", "End of the WAL in the repository.", seen.archived_to.value);
    }
    if (status->lag_bytes) out.gauge("pgkeel_archive_lag_bytes", "WAL that is not archived yet.", *status->lag_bytes);
    out.gauge("pgkeel_archive_standing_seconds", "On the primary: since the archive last had all the WAL there was.",
              status->standing_seconds);
    if (seen.newest_unix_ms != 0)
        out.gauge("pgkeel_backup_newest_age_seconds", "Age of the newest backup.", age(seen.newest_unix_ms));
    auto const each = [&](char const* name, char const* help, auto value) {
        out.family(name, "gauge", help);
        for (auto const& job : status->jobs) value(job, Labels{{"job", job.kind}});
    };
    each("pgkeel_backup_job_overdue_seconds", "Since the job should have begun and did not succeed.",
         [&](auto const& job, Labels const& labels) { out.sample(job.overdue_seconds, labels); });
    each("pgkeel_backup_job_running", "1 while the job is at work on some node.",
         [&](auto const& job, Labels const& labels) { out.sample(flag(!job.running_on.empty()), labels); });
    each("pgkeel_backup_job_failures", "Failures since the last success.",
         [&](auto const& job, Labels const& labels) { out.sample(job.failures, labels); });
    each("pgkeel_backup_job_success_timestamp_seconds", "When it last succeeded, since 1970.",
         [&](auto const& job, Labels const& labels) {
             if (job.good) out.sample(static_cast<double>(job.good->ended_unix_ms) / 1000, labels);
         });
    each("pgkeel_backup_job_failure_timestamp_seconds", "When it last failed, since 1970.",
         [&](auto const& job, Labels const& labels) {
             if (job.bad) out.sample(static_cast<double>(job.bad->ended_unix_ms) / 1000, labels);
         });
    out.family("pgkeel_backup_job_figure", "gauge", "Figures of the last success, such as the seconds of a restore.");
    for (auto const& job : status->jobs) {
        if (!job.good) continue;
        for (auto const& [name, value] : job.good->figures) out.sample(value, {{"job", job.kind}, {"figure", name}});
    }
}

}  // namespace keel::web
