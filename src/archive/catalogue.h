// What a repository holds, and what can be restored from it: ranges of WAL without a hole, backups, the plan. Pure.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive/wal.h"
#include "base/json.h"
#include "postgres/timelines.h"

namespace keel::archive {

// As the name of a folder: there may be others, such as lost+found.
bool is_system_id(std::string_view name);

// Of a backup: "20261126T030000Z-anna". The time has one length, and names of nodes may have dashes in them.
bool is_label_of(std::string_view label, std::string_view node);

enum class BackupKind { full, incremental };
BOOST_DESCRIBE_ENUM(BackupKind, full, incremental)

// A complete base backup. It is written last: a backup without it does not exist.
struct Backup {
    std::string label;  // 20261126T030000Z-anna
    BackupKind kind = BackupKind::full;
    std::vector<std::string> chain;  // incremental: the backups that it needs, from the full one to its parent
    std::string node;
    std::string system_id;
    int server_version = 0;
    std::uint64_t segment_bytes = 0;
    Timeline timeline;
    Lsn start;              // WAL from here ...
    Lsn end;                // ... to here makes it consistent
    Timeline end_timeline;  // another one than at the start, when a standby's primary changed during the backup
    std::int64_t begun_unix_ms = 0;
    std::int64_t ended_unix_ms = 0;
    std::uint64_t bytes = 0;         // of the tar that the server sent: of all files
    std::uint64_t stored_bytes = 0;  // of its own, compressed
    std::string sha256;              // of what is stored
    std::string manifest_sha256;
    std::string blocks_sha256;  // of the list of its blocks (blocks.h); empty: a full of an older version has none
};
BOOST_DESCRIBE_STRUCT(Backup, (),
                      (label, kind, chain, node, system_id, server_version, segment_bytes, timeline, start, end,
                       end_timeline, begun_unix_ms, ended_unix_ms, bytes, stored_bytes, sha256, manifest_sha256,
                       blocks_sha256))
// Refuses what cannot be one.
Result<Backup> parse_backup(std::string_view text);
// The first of its chain that is not among `all`; empty: none, as always of a full one.
std::string missing_link(Backup const& backup, std::vector<Backup> const& all);

// The newest timeline with its history.
struct Lineage {
    Timeline timeline{1};
    postgres::History history;
};

struct Holdings {
    std::uint64_t segment_bytes = 16U << 20U;
    std::set<SegmentId> segments;                             // complete
    std::optional<std::pair<SegmentId, std::uint64_t>> tail;  // the newest timeline's last segment, so many bytes of it
};

// WAL of one lineage without a hole.
struct Range {
    Lsn from;
    Lsn to;
    bool operator==(Range const&) const = default;
};
// Ascending; more than one: there are holes.
std::vector<Range> ranges_of(Holdings const& holdings, Lineage const& lineage);
// The timeline whose file holds the segment, seen from the newest: the one that owns its last byte.
Timeline owner_of_segment(Lineage const& lineage, std::uint64_t number, std::uint64_t segment_bytes);

// Both its ends are in the lineage's history. PostgreSQL asks the same of the server that recovers from it
// (StartupXLOG: the timeline of the checkpoint, and of the end of recovery), and follows a change of timeline between
// them.
bool is_of(Backup const& backup, Lineage const& lineage);
// The cluster has gone on without the backup: its WAL was left behind by the newest timeline.
bool is_left_behind(Backup const& backup, Lineage const& newest);

// The range that holds all of the backup's own WAL; nullptr when it cannot be restored on this lineage.
Range const* range_of(Backup const& backup, std::vector<Range> const& ranges, Lineage const& lineage);

// Whose files of the segment hold the backup's WAL in it, the likeliest first: that of the timeline of its last byte,
// and of a timeline that was left within the segment, though after the backup's end.
std::vector<Timeline> timelines_of(Backup const& backup, std::vector<Lineage> const& lineages, std::uint64_t number);

// WAL that is missing between a backup and the end of what there is.
struct Gap {
    std::string label;
    Range wal;
};
std::vector<Gap> gaps_of(std::vector<Backup> const& backups, std::vector<Range> const& ranges, Lineage const& lineage);

// Where to restore to. Neither: latest.
struct Target {
    std::optional<Lsn> lsn;
    std::optional<std::int64_t> time_us;  // since 1970
};
// "latest", "0/3000148", "2026-11-26 03:00:00[.123456][Z]" (UTC).
Result<Target> parse_target(std::string_view text);
std::string time_text(std::int64_t unix_us);  // UTC, as PostgreSQL reads it

struct Plan {
    Backup backup;
    Lineage lineage;
    Target target;  // never both empty: latest has the LSN of the last record
    Range wal;      // that is read: from the backup's start to the end of what there is
};
// `last` is what the WAL at the end of the last range holds. not_found with the nearest possible target.
Result<Plan> plan_restore(std::vector<Backup> const& backups, std::vector<Range> const& ranges, Lineage const& lineage,
                          Records const& last, Target const& target);

}  // namespace keel::archive
