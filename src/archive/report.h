// What an archiver tells its node's agent of the repository.
#pragma once

#include <string>

#include "archive/repository.h"
#include "cluster/jobs.h"

namespace keel::archive {

// The system identifier of this cluster's own archive there; not_found: none is its own yet.
Result<std::string> own_system(Repository const& repository, std::string const& cluster_id);

// Of the backups that this cluster has there; everything is empty while it has none.
Result<cluster::ArchiveSight> look(Repository const& repository, std::string const& cluster_id);

}  // namespace keel::archive
