// `pgkeel leave`: Takes a node out of its cluster.
#include "cli/commands.h"
