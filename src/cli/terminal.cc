#include "cli/terminal.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "runtime/files.h"

namespace keel::cli {

namespace {

Status run_editor(std::string const& path) {
    char const* editor = ::getenv("VISUAL");
    if (editor == nullptr || *editor == '\0') editor = ::getenv("EDITOR");
    if (editor == nullptr || *editor == '\0') editor = "vi";
    // Through the shell, since it may have arguments ("code --wait"); the path is an argument, never text of the shell.
    std::string const script = std::string(editor) + " \"$1\"";
    pid_t const child = ::fork();
    if (child < 0) return fail(runtime::system_error(errno, "starting the editor"));
    if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", script.c_str(), "sh", path.c_str(), nullptr);
        ::_exit(127);
    }
    int how = 0;
    while (::waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return {};
    return fail(Code::unavailable, fmt::format("the editor \"{}\" failed", editor),
                "set EDITOR to one that is installed; nothing was changed");
}

}  // namespace

void print_error(Error const& error) {
    std::fflush(stdout);
    fmt::print(stderr, "{}\n", to_string(error));
}

void print_note(std::string const& text) { fmt::print(stderr, "{}\n", text); }

cluster::Style style_of_stdout() {
    cluster::Style style;
    char const* const terminal = ::getenv("TERM");
    char const* const no_colour = ::getenv("NO_COLOR");
    bool const dumb = terminal == nullptr || ::strcmp(terminal, "dumb") == 0;
    style.colour = ::isatty(STDOUT_FILENO) == 1 && !dumb && (no_colour == nullptr || *no_colour == '\0');
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.columns = size.ws_col;
    return style;
}

Done confirm(std::string const& consequence, bool yes) {
    if (yes) return {};
    if (::isatty(STDIN_FILENO) != 1)
        return stop(kUsage, Code::denied, consequence + "; nobody confirmed it, so nothing was done",
                    "add --yes to confirm it");
    fmt::print(stderr, "{}.\nType yes to go on: ", consequence);
    std::string answer;
    if (std::getline(std::cin, answer) && answer == "yes") return {};
    return stop(kFailed, Code::denied, "not confirmed: nothing was done");
}

Result<std::string> edit_text(std::string const& text, std::string const& file_name) {
    char const* const temporary = ::getenv("TMPDIR");
    std::string directory =
        std::string(temporary != nullptr && *temporary != '\0' ? temporary : "/tmp") + "/pgkeel-edit-XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr) return fail(runtime::system_error(errno, directory));
    auto const path = directory + "/" + file_name;
    auto const edited = [&]() -> Result<std::string> {
        KEEL_CHECK(runtime::write_atomically(path, text, 0600));
        KEEL_CHECK(run_editor(path));
        return runtime::read_file(path, 4U << 20U);
    }();
    std::error_code error;
    std::filesystem::remove_all(directory, error);
    return edited;
}

}  // namespace keel::cli
