// `pgkeel run_node`: The node itself, in the foreground.
#include "cli/commands.h"
