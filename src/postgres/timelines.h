// Timelines: history files (backend manual, "Timelines"; format of timeline.c) and which of them owns a WAL position.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace keel::postgres {

// One line of a history file: `timeline` was left at `until`, its first byte that belongs to the next one.
struct Ancestor {
    Timeline timeline;
    Lsn until;
    bool operator==(Ancestor const&) const = default;
};
using History = std::vector<Ancestor>;  // oldest first; the timeline whose history it is is not in it

// "0000000A.history"
std::string history_name(Timeline timeline);
// WAL segment file name.
std::string segment_name(Timeline timeline, std::uint64_t number, std::uint64_t segment_bytes);

// corrupt: a line that PostgreSQL would not accept either.
Result<History> parse_history(std::string_view text);

// A history file that claims a number and leads nowhere: PostgreSQL's search for the newest timeline counts it, and no
// server ever follows it, because no timeline is in its history (rescanLatestTimeLine: "not a child of").
std::string claim_text(Timeline timeline);
bool is_claim(std::string_view text);

// The timeline that owns the byte before `end`, seen from `newest` with its history. So a standby that only learnt of a
// new timeline, but has no WAL of it, is still on the old one.
Timeline owner_of(Timeline newest, History const& history, Lsn end);

// Where the two part: the last position that both have. Both know `a` and `b` with their histories.
Lsn fork_of(Timeline a, History const& history_a, Timeline b, History const& history_b);

// ---- files in <data>/pg_wal
Result<History> read_history(std::string const& data, Timeline timeline);  // timeline 1: empty
std::set<Timeline> history_files(std::string const& data);

// The timeline of the last WAL on disk, for the position `end` of its end. pg_control's timeline lags (it is that of
// the last restartpoint), history files run ahead (a standby fetches them before any WAL of the new timeline arrives),
// but the segment file that holds the byte before `end` exists for every timeline that this node has WAL of at that
// place. `at_least`: a timeline known to be on disk, such as pg_control's.
Timeline timeline_on_disk(std::string const& data, Lsn end, std::uint64_t segment_bytes, Timeline at_least);

// Real histories above `current` that branch off elsewhere than at `end`, where this node's WAL ends. A running server
// may already aim at one of them, and would name it as the parent of the timeline that a promotion begins. (One that
// branches off exactly at `end` is harmless: nothing of it is here, and nothing before it differs.)
std::vector<Timeline> foreign_histories(std::string const& data, Timeline current, Lsn end);

// Claims every free number below `target`, so that a promotion picks exactly `target` (findNewestTimeLine probes upward
// from the current timeline and takes the first free number). invalid when `target` is not above `current`; conflict
// when it or something above it is taken. Returns what was written; give it to withdraw_claims() when the promotion is
// not asked for after all.
Result<std::vector<Timeline>> claim_below(std::string const& data, Timeline current, Timeline target);
void withdraw_claims(std::string const& data, std::vector<Timeline> const& claims);
// Before a start: claims above every real history are left over from a promotion that never was; PostgreSQL would
// refuse to start ("requested timeline is not a child of this server's history").
void drop_dangling_claims(std::string const& data);

}  // namespace keel::postgres
