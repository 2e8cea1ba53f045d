#include "config/problem.h"

#include <algorithm>

namespace keel::config {

std::string to_string(Problem const& problem) {
    std::string out = problem.file;
    if (problem.line > 0) out += (out.empty() ? "line " : ":") + std::to_string(problem.line);
    if (!out.empty()) out += ": ";
    if (problem.severity == Severity::warning) out += "warning: ";
    out += problem.text;
    if (!problem.mend.empty()) out += "\n    mend: " + problem.mend;
    return out;
}

std::string to_string(std::vector<Problem> const& problems) {
    std::string out;
    for (auto const& problem : problems) out += (out.empty() ? "" : "\n") + to_string(problem);
    return out;
}

namespace {

// Levenshtein's distance, with a swap of neighbours counted as one edit.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::string closest(std::string_view word, std::vector<std::string> const& candidates) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, std::min<std::size_t>(word.size() / 3, 3)) + 1;
    for (auto const& candidate : candidates) {
        std::size_t const apart = distance(word, candidate);
        if (apart < best_distance) {
            best = candidate;
            best_distance = apart;
        }
    }
    return best;
}

std::string did_you_mean(std::string_view word, std::vector<std::string> const& candidates) {
    std::string const best = closest(word, candidates);
    return best.empty() ? "" : " (did you mean \"" + best + "\"?)";
}

}  // namespace keel::config
