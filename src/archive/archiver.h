// The archiver, a process of each data node: streams the local primary's WAL into the repository, from the end of what
// is there without a hole, across failovers; on a standby it keeps that WAL from being removed.
#pragma once

#include <string>

#include "base/result.h"
#include "config/node_config.h"
#include "postgres/place.h"

namespace keel::archive {

// Physical slot; no member's (postgres::slot_name), so the agent leaves it alone.
inline constexpr char const* kSlot = "keel_archive";

// Never returns but with an error; to be called again. It may be killed at any moment.
Status archive_once(postgres::Place const& place, config::RepositorySettings const& settings,
                    std::string const& cluster_id);

}  // namespace keel::archive
