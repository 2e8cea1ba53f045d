// `pgkeel switchover`: Planned change of the leader.
#include "cli/commands.h"
