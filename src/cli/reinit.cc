// `pgkeel reinit`: Copies a standby anew.
#include "cli/commands.h"
