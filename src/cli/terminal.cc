#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace keel::cli {

namespace {

int exit_code_for(Code code) {
    switch (code) {
        case Code::invalid:
            return kUsage;
        case Code::conflict:
            return kNotSafe;
        default:
            return kFailed;
    }
}

}  // namespace

Failure::Failure(Error why) : exit_code(exit_code_for(why.code)), error(std::move(why)) {}

void print_error(Error const& error) { fmt::print(stderr, "pgkeel: {}\n", to_string(error)); }

void print_note(std::string const& text) { fmt::print(stderr, "{}\n", text); }

bool has_terminal() { return ::isatty(STDIN_FILENO) == 1; }

cluster::Style style() {
    cluster::Style out;
    char const* const no_colour = std::getenv("NO_COLOR");
    out.colour = ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) out.columns = size.ws_col;
    return out;
}

Done confirm(std::string const& what, bool yes) {
    if (yes) return {};
    if (!has_terminal()) return stop(kNotSafe, Code::conflict, what, "if that is meant, say --yes");
    fmt::print("{}\nGo on? [y/N] ", what);
    std::fflush(stdout);
    std::string line;
    std::getline(std::cin, line);
    if (line == "y" || line == "Y" || line == "yes") return {};
    return stop(kNotSafe, Code::conflict, "not confirmed: nothing was done", "answer y, or say --yes");
}

}  // namespace keel::cli
