// Which backups may go, and which WAL with them: whatever is kept can be restored to every point as before. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "archive/catalogue.h"

namespace keel::archive {

// A backup is kept when either says so.
struct Retention {
    std::uint32_t fulls = 0;  // so many of the newest full ones that can be restored
    std::uint32_t days = 0;   // every moment of so many days can be restored
};

// Nothing of this backup and of those that it needs, and no WAL from `start` on, may go: it is pinned, or at work.
struct Hold {
    std::string label;
    Lsn start;
    std::int64_t until_unix_ms = 0;  // 0: until it is taken away
    std::string why;
    std::vector<std::string> chain = {};  // as in Backup
};
BOOST_DESCRIBE_STRUCT(Hold, (), (label, start, until_unix_ms, why, chain))
bool holds(Hold const& hold, std::string const& label);

// What a repository holds.
struct Stock {
    std::vector<Backup> backups;
    std::vector<Hold> holds;
    Lineage lineage;            // the newest
    std::vector<Range> ranges;  // of it
    std::set<SegmentId> segments, tails;
    std::int64_t last_commit_unix_ms = 0;  // in the WAL; 0: not known
};

// The clock of the machine where an expiry runs may be wrong, and the repository knows later than which it must be, and
// about how late: by its newest backup or commit.
struct ClockCheck {
    std::int64_t newest_unix_ms = 0;
    bool behind = false;  // what is there would be of the future
    bool ahead = false;   // nothing has come for so long that it is either wrong, or something else is
};
ClockCheck check_clock(Stock const& stock, Retention const& retention, std::int64_t now_unix_ms);
// conflict when nobody may count days by it.
Status check_days(ClockCheck const& clock, std::int64_t now_unix_ms);
// By a clock that may be ahead none is over.
bool is_over(Hold const& hold, ClockCheck const& clock, std::int64_t now_unix_ms);

struct Expiry {
    struct Kept {
        Backup backup;
        std::string why;
    };
    std::vector<Kept> kept;                  // oldest first
    std::vector<Backup> backups;             // that go, in this order
    Lsn wal_from;                            // no WAL before it is kept, of any timeline; the start of a segment
    std::vector<SegmentId> segments, tails;  // that go; in this order, so that one that is cut short leaves no hole
    ClockCheck clock;
};
// invalid when the retention keeps nothing; conflict when it counts days and the clock cannot be right. When no backup
// can be restored, nothing goes.
Result<Expiry> plan_expiry(Stock const& stock, Retention const& retention, std::int64_t now_unix_ms);

}  // namespace keel::archive
