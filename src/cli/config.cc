// `pgkeel config`: Cluster-wide settings.
#include "cli/commands.h"
