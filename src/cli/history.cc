// `pgkeel history`: What happened, and why.
#include "cli/commands.h"
