// The log of the process: one line per event, readable as a story, or JSON.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace keel::runtime::log {

enum class Level { debug, info, warning, error };

struct Options {
    Level level = Level::info;
    bool json = false;
    std::string file;  // empty: stderr
    std::string node;  // shown in each line when non-empty
};
// Before it is called, info and above go to stderr as text. Callable again (reload).
Status set_up(Options const& options);
// Reopens the file (after a rotation) and flushes.
void reopen();
bool enabled(Level level);
// `part`: who speaks ("peer", "election", "postgres").
void write(Level level, std::string_view part, std::string_view text);

template <class... Args>
void debug(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::debug)) write(Level::debug, part, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::info)) write(Level::info, part, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::warning)) write(Level::warning, part, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
    write(Level::error, part, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace keel::runtime::log
