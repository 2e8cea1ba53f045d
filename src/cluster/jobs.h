// Backups, expiries, dumps, restore tests and copies by schedule, once per cluster: the leader gives each to a member
// by the record, and that member writes there how it ended. Pure.
#pragma once

#include <set>

#include "base/zone.h"
#include "cluster/operations.h"

namespace keel::cluster {

enum class JobKind { full, incremental, expire, dump, prove, copy };
BOOST_DESCRIBE_ENUM(JobKind, full, incremental, expire, dump, prove, copy)
inline char const* name_of(JobKind kind) { return boost::describe::enum_to_string(kind, "?"); }

inline constexpr char const* kNoSchedule = "off";
inline constexpr char const* kAfterFull = "after full";
std::string const& schedule_of(Settings const& settings, JobKind kind);
// What may stand there: a cron expression, "off", and for an expiry "after full".
Status check_schedule(JobKind kind, std::string_view text);

// What the leader knows beside the record.
struct JobView {
    std::int64_t now_unix_ms = 0;
    Zone zone;
    std::vector<NodeId> standbys;  // healthy, in the order in which they come into question
    std::set<NodeId> silent;       // for so long that their work counts as lost
    bool copies = false;           // other repositories are configured
};

// What is to be done next; nothing most of the time.
struct JobStep {
    enum class Kind { adopt, give, lose };
    Kind kind = Kind::adopt;  // adopt: a schedule is new or another one
    JobKind job = JobKind::full;
    NodeId node;      // give: to whom
    std::string why;  // lose
};
std::optional<JobStep> next_job_step(Record const& record, JobView const& view);
// conflict when the record has gone on, and the step is none any more.
Status take_job_step(Record& record, JobStep const& step, JobView const& view);

// As soon as nothing else of these is under way, whatever the schedule says.
Status ask_job(Record& record, JobKind kind, Caller const& caller);

// By the member itself, also for what somebody has run by hand: `good` or not. Of a run that is no more under way, or
// that is another's by now, a failure is dropped, and a success counts.
void end_job(Record& record, JobKind kind, JobEnd const& end, bool good);

// What is told of one kind.
struct JobStatus {
    std::string kind;
    std::string schedule;
    std::int64_t next_unix_ms = 0;  // 0: not known, or off
    double overdue_seconds = 0;     // since the first time that should have been kept and was not
    std::string running_on;         // name; empty: it does not run
    std::int64_t since_unix_ms = 0;
    std::optional<JobEnd> good, bad;
    std::uint32_t failures = 0;
};
BOOST_DESCRIBE_STRUCT(JobStatus, (),
                      (kind, schedule, next_unix_ms, overdue_seconds, running_on, since_unix_ms, good, bad, failures))
std::vector<JobStatus> job_statuses(Record const& record, JobView const& view);

// What the archiver of a node has seen of the repository.
struct ArchiveReport {
    std::int64_t unix_ms = 0;         // when it looked
    std::string trouble;              // why it archives nothing, or cannot look; empty: fine
    std::string newest;               // label of the newest backup; empty: none
    std::int64_t newest_unix_ms = 0;  // when it was begun; 0: none
    Lsn archived_to;                  // without a hole from there, on the newest timeline
    std::string hole;                 // between the newest backup and the end; empty: none
};
BOOST_DESCRIBE_STRUCT(ArchiveReport, (), (unix_ms, trouble, newest, newest_unix_ms, archived_to, hole))

// A backup or dump that the repository holds.
struct KeptBackup {
    std::string label;
    std::string kind;      // "full", "incremental" or "dump"
    std::string database;  // of a dump
    std::int64_t begun_unix_ms = 0, ended_unix_ms = 0;
    std::uint64_t bytes = 0, stored_bytes = 0;
    bool restorable = false;   // all that it needs is there
    bool reaches_end = false;  // and all from there to the archive's end: every moment since can be restored
};
BOOST_DESCRIBE_STRUCT(KeptBackup, (),
                      (label, kind, database, begun_unix_ms, ended_unix_ms, bytes, stored_bytes, restorable,
                       reaches_end))
// At most so many are told of, the newest.
inline constexpr std::size_t kKeptMost = 200;

// The same look in full.
struct ArchiveSight {
    ArchiveReport report;
    std::vector<KeptBackup> kept;  // oldest first
};
BOOST_DESCRIBE_STRUCT(ArchiveSight, (), (report, kept))

// The backups as one node sees them. None where no repository is configured.
struct BackupStatus {
    std::string repository;
    ArchiveReport archive;
    std::optional<std::uint64_t> lag_bytes;  // WAL that is not archived yet
    double standing_seconds = 0;             // the leader's: since the archive last had all that there was
    std::string trouble;                     // of the schedules: a time zone that is not known
    std::vector<JobStatus> jobs;
};
BOOST_DESCRIBE_STRUCT(BackupStatus, (), (repository, archive, lag_bytes, standing_seconds, trouble, jobs))

// "newest 5 h old, archive 12 kB behind; next full 2026-11-30 01:00Z".
std::string backup_text(BackupStatus const& status, std::int64_t now_unix_ms);

}  // namespace keel::cluster
