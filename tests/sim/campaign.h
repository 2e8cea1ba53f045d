// Runs seeds and puts what came of them into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "world.h"

namespace keel::sim {

struct Outcome {
    std::optional<Failure> failure;
    Counts counts;
};

// `defect`: a deliberate fault by name, for the driver, the models or the machine; empty: none. `live`: tells the
// story.
Outcome run_seed(std::uint64_t seed, std::string_view defect = {}, bool live = false);
// One line: seed, invariant, what, when.
std::string headline(std::uint64_t seed, Failure const& failure);
// Runs the seed again with the story on, and returns its end.
std::string retell(std::uint64_t seed, std::string_view defect = {});
// The names that run_seed knows.
std::vector<std::string> defect_names();
std::string summary(Counts const& counts, std::uint64_t seeds, double seconds);

}  // namespace keel::sim
