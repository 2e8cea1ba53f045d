// `pgkeel join`: Adds a node to a cluster.
#include "cli/commands.h"
