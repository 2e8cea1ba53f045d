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

// A complete base backup. It is written last: a backup without it does not exist.
struct Backup {
    std::string label;  // 20261126T030000Z-anna
    std::string node;
    std::string system_id;
    int server_version = 0;
    std::uint64_t segment_bytes = 0;
    Timeline timeline;
    Lsn start;  // WAL from here ...
    Lsn end;    // ... to here makes it consistent
    std::int64_t begun_unix_ms = 0;
    std::int64_t ended_unix_ms = 0;
    std::uint64_t bytes = 0;         // of the tar
    std::uint64_t stored_bytes = 0;  // compressed
    std::string sha256;              // of what is stored
    std::string manifest_sha256;
};
BOOST_DESCRIBE_STRUCT(Backup, (),
                      (label, node, system_id, server_version, segment_bytes, timeline, start, end, begun_unix_ms,
                       ended_unix_ms, bytes, stored_bytes, sha256, manifest_sha256))
// Refuses what cannot be one.
Result<Backup> parse_backup(std::string_view text);

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
