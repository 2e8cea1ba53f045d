// `pgkeel restart`: Rolling restart.
#include "cli/commands.h"
