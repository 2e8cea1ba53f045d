// Puts the files of a backup into an empty directory: from its tar, or, of an incremental one, block by block out of
// all the backups that it is built on.
#pragma once

#include "archive/base_backup.h"
#include "postgres/bound.h"

namespace keel::archive {

// What is needed of the repository's lists, read and checked before anything is written.
struct Parts {
    struct Source {
        Backup backup;
        BlockList list;            // of an incremental one
        std::uint32_t number = 0;  // as in BlockFile::from
    };
    BlockList list;  // of an incremental backup; without sources it is a full one
    std::vector<Source> sources;
};
// corrupt when something is not there that the backup is built on.
Result<Parts> find_parts(Repository const& repository, Backup const& backup);

// Makes every file and folder anew; all of it is on disk then. Whether the files are right is for the manifest.
Status assemble(Repository const& repository, Backup const& backup, Parts const& parts, std::string const& directory,
                BackupProgress const& progress, postgres::Bound const& bound);

}  // namespace keel::archive
