// Another repository, into which goes what the first one has: all of an archive but what only concerns its own work
// (holds, expiries). Whoever reads there needs nothing of the first.
#pragma once

#include <string>

#include "archive/logical.h"
#include "archive/retention.h"

namespace keel::archive {

struct CopyAsked {
    std::string system;
    std::string cluster_id;
    std::string memory;  // as for Repository::claim
};

struct Copied {
    std::size_t segments = 0;  // files of WAL, histories included
    std::size_t backups = 0, dumps = 0;
    std::uint64_t bytes = 0;  // of backups and dumps, as they are stored
    Lsn wal_to;               // there is WAL up to here; 0: none
};

// May be killed at any moment, and may be at work twice: what is visible in `to` is whole, and the next one goes on.
// WAL comes first, oldest first, then the backups that need it. Every byte is checked by the hash it was stored with.
// conflict when `to` is another cluster's; corrupt when something in `from` is not what was stored.
Result<Copied> copy_archive(Repository const& from, Repository const& to, CopyAsked const& asked);

struct Thinned {
    std::size_t backups = 0, segments = 0, dumps = 0;
};
// By a retention of its own: what is in `from` stays in `to` as well, and what went from `from`, by whatever mistake,
// stays as long as the retention says. 0 days of dumps: none goes.
Result<Thinned> thin_copy(Repository const& from, Repository const& to, std::string const& system,
                          Retention const& retention, std::uint32_t dump_days);

}  // namespace keel::archive
