// `pgkeel init`: Creates a cluster of one node.
#include "cli/commands.h"
