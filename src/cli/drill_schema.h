// The one place in the user's cluster that a drill writes to: a schema of its own, made and dropped by it.
//
// Whose: by default pgkeel_monitor's, which logs in by the node's certificate, on every member, to the database
// postgres and to no other, and may change nothing there. So the superuser makes the empty schema for it, through the
// primary's Unix socket, in one transaction; table, load and removal are pgkeel_monitor's. With a role of the operator
// it is that one's, in any database, and the superuser is not used.
#pragma once

#include <optional>

#include "cli/load.h"
#include "cluster/status.h"
#include "postgres/place.h"

namespace keel::cli::drill {

inline constexpr char const* kSchema = "pgkeel_drill";

struct Site {
    Traffic traffic;
    std::string role, database;
    std::optional<postgres::ConnInfo> administrator;  // makes the schema; none: the role does
};
// `user` empty: pgkeel_monitor. libpq finds a password for `user` as it does everywhere (PGPASSFILE, PGPASSWORD).
Site site_of(postgres::Place const& place, cluster::ClusterStatus const& status, std::string const& database,
             std::string const& user);

// Whether make_schema() could do its work; changes nothing. conflict: another drill runs, or the schema is not a
// drill's. denied: the role may not. Blocks, as all below.
Status check_schema(Site const& site);
// What an older drill left behind is dropped first.
Status make_schema(Site const& site);
Status drop_schema(Site const& site);
// The ledger's writes looked up on the primary.
Result<Audit> audit_schema(Site const& site, Ledger const& ledger);

}  // namespace keel::cli::drill
