// `pgkeel pause`: Stops and resumes automatic changes.
#include "cli/commands.h"
