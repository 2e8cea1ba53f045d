// Base backups over the replication protocol (BASE_BACKUP of PostgreSQL 15 and up), and proof that what is stored is
// what was taken.
#pragma once

#include <functional>
#include <string>

#include "archive/blocks.h"
#include "archive/repository.h"
#include "postgres/place.h"

namespace keel::archive {

// Bytes of the tar so far, and how many are expected (0: not known).
using BackupProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct BackupAsked {
    postgres::Place place;  // of the local server
    std::string cluster_id;
    BackupKind kind = BackupKind::full;
};
// Complete, and so visible, only when the WAL that it needs is in the repository. An incremental one without a sound
// one to build on is refused before anything is written.
Result<Backup> take_backup(BackupAsked const& asked, Repository const& repository, BackupProgress const& progress);

// What a backup of this node that was killed had stored, and its mark; the caller sees to it that none is at work. What
// somebody holds lacks its description only while an expiry looks for holds.
Status remove_leftovers(Repository const& repository, std::string const& system, std::string const& node);
// What it consists of beside its description.
struct BackupFile {
    std::string name;    // below its folder
    std::string sha256;  // of what is stored; empty: it is checked by its content
    std::uint64_t expected_bytes = 0;
};
std::vector<BackupFile> files_of(Backup const& backup);
// The first of its files that is not there; empty: none.
Result<std::string> missing_file(Repository const& repository, Backup const& backup);
// Makes it visible. conflict when its files, or the backups that it is built on, are not there.
Status complete(Repository const& repository, Backup const& backup);

// The stored bytes, the manifest, every file's size and checksum, and every WAL segment from its start to its end. Of
// an incremental one all that it stores itself, and that the others have what it takes from them by their lists:
// whether they store that is for a verification of each of them. not_found when it has expired meanwhile.
Status verify_backup(Repository const& repository, Backup const& backup, BackupProgress const& progress);

// What it stores itself, in pieces: of a full one the server's tar, of an incremental one its blocks in a row. Its hash
// is checked at the end.
Status read_data(Repository const& repository, Backup const& backup, Bytes const& sink, BackupProgress const& progress);
// Checked against its hash.
Result<std::string> read_manifest(Repository const& repository, Backup const& backup);
Result<BlockList> read_blocklist(Repository const& repository, Backup const& backup);

}  // namespace keel::archive
