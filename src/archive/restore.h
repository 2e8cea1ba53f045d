// Restores into an empty directory: the plan first, then the files, then a server that replays WAL up to the target
// and proves by its start that it got there.
#pragma once

#include <string>

#include "archive/base_backup.h"

namespace keel::archive {

// Of the repository as it is now. Checks that every WAL file that is needed is there; changes nothing.
Result<Plan> find_plan(Repository const& repository, std::string const& system, Target const& target);

struct RestoreTo {
    std::string directory;      // empty or absent
    std::string binaries;       // of PostgreSQL
    std::string fetch_command;  // restore_command, with %f and %p
};
// Refuses anything but an empty directory. When it fails later, what it made stays for a look, and its server is down.
Status restore(Repository const& repository, Plan const& plan, RestoreTo const& to, BackupProgress const& progress);
Status check_empty(std::string const& directory);

// restore_command of PostgreSQL: one file to `path`. not_found only when it is known to be absent.
Status fetch_wal(Repository const& repository, std::string const& system, std::string const& name,
                 std::string const& path);

}  // namespace keel::archive
