// Going back in time with a delayed standby: `pgkeel recover --until TIME` and `pgkeel recover --end`.
#pragma once

#include <string>

#include "cli/commands.h"

namespace keel::cli {

// On that standby's own node, twice: while the node runs its replay is paused, if the time still lies ahead of it; once
// the node is stopped, a server without network replays up to the last commit before `until` (UTC), and stays there.
Done recover_until(Commands const& commands, std::string const& until);
// Back to how it was before either of the two.
Done end_recovery(Commands const& commands);

}  // namespace keel::cli
