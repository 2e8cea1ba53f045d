// A backup's files in an empty directory, and how the server there is told how far to recover. Private to this folder.
#pragma once

#include "archive/hold.h"
#include "archive/restore.h"

namespace keel::archive {

struct LaidOut {
    std::unique_ptr<WorkHold> hold;  // keeps backup and WAL from expiry; none when the repository may only be read
    std::string settings;            // postgresql.auto.conf, by which the server stands alone
};
Result<LaidOut> lay_out(Repository const& repository, Plan const& plan, RestoreTo const& to,
                        BackupProgress const& progress, postgres::Bound const& bound);

// What the next start does: recovers to the plan's target, and takes `action` there (recovery_target_action).
Status recover_to(Plan const& plan, RestoreTo const& to, LaidOut const& laid, char const* action);
// Nothing of it is left.
Status end_recovery(RestoreTo const& to, LaidOut const& laid);

// The mark behind which postgresql.auto.conf has what makes a server stand alone.
inline constexpr std::string_view kAloneMark = "# Restored by pgkeel: this server stands alone.\n";

}  // namespace keel::archive
