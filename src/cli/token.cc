// `pgkeel token`: A secret to join with.
#include "cli/commands.h"
