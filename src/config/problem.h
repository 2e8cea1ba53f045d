// One thing that is wrong with a configuration: where, what, and how to mend it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace keel::config {

enum class Severity { error, warning };

struct Problem {
    std::string file;
    int line = 0;  // 0: not a line of a file
    std::string text;
    std::string mend = {};
    Severity severity = Severity::error;
};

// "node.toml:14: text\n    mend: what to do".
std::string to_string(Problem const& problem);
std::string to_string(std::vector<Problem> const& problems);

// The candidate that differs from `word` by the fewest edits, when it is close enough to be meant; else empty.
std::string closest(std::string_view word, std::vector<std::string> const& candidates);
// " (did you mean \"port\"?)", or nothing.
std::string did_you_mean(std::string_view word, std::vector<std::string> const& candidates);

}  // namespace keel::config
