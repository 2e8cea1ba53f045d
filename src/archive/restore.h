// Restores into an empty directory: the plan first, then the files, then a server that replays WAL up to the target
// and proves by its start that it got there.
#pragma once

#include <functional>
#include <string>

#include "archive/base_backup.h"
#include "archive/lone_server.h"
#include "postgres/bound.h"

namespace keel::archive {

// Of the repository as it is now. Checks that every WAL file that is needed is there; changes nothing.
Result<Plan> find_plan(Repository const& repository, std::string const& system, Target const& target);
// With one of these backups.
Result<Plan> find_plan(Repository const& repository, std::string const& system, std::vector<Backup> const& backups,
                       Target const& target);

struct RestoreTo {
    std::string directory;      // empty or absent
    std::string binaries;       // of PostgreSQL
    std::string fetch_command;  // restore_command, with %f and %p
    bool beside = false;  // a server of the cluster works on this machine: this one is small, and keeps out of its way
    // At the server, once it has reached the target.
    std::function<Status(LoneServer const&)> look = {};
};
struct RestoreTook {
    Duration files{};   // to unpack and check them
    Duration replay{};  // from the server's start to the target
    Duration look{};
};
// Refuses anything but an empty directory. When it fails later, or is ended by the bound, what it made stays for a
// look, and its server is down.
Result<RestoreTook> restore(Repository const& repository, Plan const& plan, RestoreTo const& to,
                            BackupProgress const& progress, postgres::Bound const& bound);
Status check_empty(std::string const& directory);
// A restored server stands alone, by what is written at the end of its postgresql.auto.conf. That goes: somebody else
// says from now on whom it follows.
Status end_standing_alone(std::string const& directory);

// restore_command of PostgreSQL: one file to `path`. not_found only when it is known to be absent.
Status fetch_wal(Repository const& repository, std::string const& system, std::string const& name,
                 std::string const& path);

}  // namespace keel::archive
