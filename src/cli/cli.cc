// The program's arguments: common options, and one command each.
#include "cli/cli.h"
