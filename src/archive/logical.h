// Dumps of single databases (pg_dump's custom format) in a repository: portable between versions, unlike base backups,
// and without WAL, so each is of one moment.
//   <system id>/dump/<label>/   dump.zst, and dump.json last of all
#pragma once

#include <string>
#include <vector>

#include "archive/repository.h"
#include "postgres/bound.h"
#include "postgres/place.h"

namespace keel::archive {

struct Dump {
    std::string label;  // 20261126T030000Z-anna-5f3a
    std::string node;
    std::string system_id;
    std::string database;
    int server_version = 0;
    std::int64_t begun_unix_ms = 0;
    std::int64_t ended_unix_ms = 0;
    std::uint64_t bytes = 0;         // as pg_restore reads it
    std::uint64_t stored_bytes = 0;  // compressed
    std::string sha256;              // of what is stored
};
BOOST_DESCRIBE_STRUCT(Dump, (),
                      (label, node, system_id, database, server_version, begun_unix_ms, ended_unix_ms, bytes,
                       stored_bytes, sha256))

// Complete ones, oldest first.
Result<std::vector<Dump>> dumps_of(Repository const& repository, std::string const& system);
// Names of the databases that can be dumped: all but templates.
Result<std::vector<std::string>> databases_of(postgres::Place const& place);
// Of the local server, also a standby. One at a time on a node.
Result<Dump> take_dump(postgres::Place const& place, std::string const& cluster_id, Repository const& repository,
                       std::string const& database, postgres::Bound const& bound);
// Into a new file of mode 0600, for pg_restore; checked against its hash, and gone again when that is wrong.
Status fetch_dump(Repository const& repository, Dump const& dump, std::string const& path);

// Older than so many days, but never the newest of its database.
std::vector<Dump> old_dumps(std::vector<Dump> const& all, std::uint32_t days, std::int64_t now_unix_ms);
Status remove_dump(Repository const& repository, Dump const& dump);

}  // namespace keel::archive
