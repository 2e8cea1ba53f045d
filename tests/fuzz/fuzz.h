// What every fuzz target provides: starting inputs made by code, and one function that eats any bytes.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace keel::fuzz {

// Well-formed inputs, so that the fuzzer starts behind the first checks.
std::vector<std::string> seeds();
// Must return for every input: no crash, no sanitizer report, no endless work.
void eat(std::string_view bytes);

// A property that must hold for whatever was accepted.
inline void must(bool holds) {
    if (!holds) std::abort();
}

}  // namespace keel::fuzz
