// Speaking with whoever typed the command: errors, questions, and what a terminal can show.
#pragma once

#include <string>

#include "cli/commands.h"
#include "cluster/status.h"

namespace keel::cli {

// The text, and the mend on a line of its own; to stderr.
void print_error(Error const& error);
// Something to know that is no error; to stderr.
void print_note(std::string const& text);

// Colours and width of stdout; none when it is no terminal, TERM is dumb or NO_COLOR is set (https://no-color.org).
cluster::Style style_of_stdout();

// Asks before something is destroyed. `consequence` says what, in one sentence. With `yes` nothing is asked; without a
// terminal it is refused (kUsage), and so is any answer but "yes" (kFailed).
Done confirm(std::string const& consequence, bool yes);

// A text that the user's editor gets to change: $VISUAL, $EDITOR, else vi.
Result<std::string> edit_text(std::string const& text, std::string const& file_name);

}  // namespace keel::cli
