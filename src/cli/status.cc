// `pgkeel status`: Are we fine, and the members.
#include "cli/commands.h"
