// What rewind and clone have in common: the source's certificates and programs' progress. Private to this folder.
#pragma once

#include "postgres/job.h"
#include "postgres/server_state.h"

namespace keel::postgres {

// Address of the command's peer.
Result<Endpoint> source_of(Running const& run);
// Passes "12345/67890 kB (18%)" lines of pg_rewind and pg_basebackup on.
std::function<void(std::string_view)> report(Running const& run, std::string what);
// "20261121T071530Z"
std::string utc_stamp();

}  // namespace keel::postgres
