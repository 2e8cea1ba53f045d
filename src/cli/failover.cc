// `pgkeel failover`: Change of the leader when the old one is lost.
#include "cli/commands.h"
