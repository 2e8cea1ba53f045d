// A standby's files out of the repository instead of from another server: the newest backup, and all WAL behind it.
#pragma once

#include "archive/restore.h"

namespace keel::archive {

// Into an empty directory. The server there has replayed the archive's WAL up to near its end, still is in recovery,
// and is down. It stands alone until end_standing_alone(). The plan's target does not matter: what came meanwhile is
// replayed, too.
Result<RestoreTook> restore_standby(Repository const& repository, Plan const& plan, RestoreTo const& to,
                                    BackupProgress const& progress, postgres::Bound const& bound);

}  // namespace keel::archive
