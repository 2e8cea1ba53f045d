// Full base backups over the replication protocol (BASE_BACKUP of PostgreSQL 15 and up), and proof that what is stored
// is what was taken.
#pragma once

#include <functional>
#include <string>

#include "archive/repository.h"
#include "archive/tar.h"
#include "postgres/place.h"

namespace keel::archive {

// Bytes of the tar so far, and how many are expected (0: not known).
using BackupProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// From the local server. Complete, and so visible, only when the WAL that it needs is in the repository.
Result<Backup> take_backup(postgres::Place const& place, Repository const& repository, BackupProgress const& progress);

// The stored bytes, the manifest, every file's size and checksum, and every WAL segment from its start to its end.
Status verify_backup(Repository const& repository, Backup const& backup, BackupProgress const& progress);

// Reads the tar in pieces, checks the hash of what is stored at the end.
Status read_tar(Repository const& repository, Backup const& backup, TarReader::Sink sink,
                BackupProgress const& progress);
// Checked against its hash.
Result<std::string> read_manifest(Repository const& repository, Backup const& backup);

}  // namespace keel::archive
