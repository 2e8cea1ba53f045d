// The terminal: errors and notes on standard error, colours where there is somebody to see them, a question before
// anything is destroyed.
#pragma once

#include <string>

#include "cli/commands.h"
#include "cluster/status.h"

namespace keel::cli {

// "pgkeel: text" and the mend, on standard error.
void print_error(Error const& error);
// One line on standard error.
void print_note(std::string const& text);

// Colour and width of standard output; NO_COLOR is heeded (https://no-color.org).
cluster::Style style();
bool has_terminal();

// Says what will be destroyed and asks. Without a terminal only --yes is an answer. kNotSafe: not confirmed.
Done confirm(std::string const& what, bool yes);

}  // namespace keel::cli
