// `pgkeel doctor`: Looks for trouble before it comes.
#include "cli/commands.h"
