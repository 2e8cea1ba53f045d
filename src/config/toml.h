// toml++ as this program needs it: malformed input is an error, never an assertion.
#pragma once

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1

// Version 3.3 asserts in debug builds, and lets the optimiser assume in others, that a table's header begins with a
// key:
// "[$" ends the program. The check that follows the assertion reports it properly.
#if __has_include(<toml++/impl/preprocessor.h>)
#include <toml++/impl/preprocessor.h>
#undef TOML_ASSERT_ASSUME
#define TOML_ASSERT_ASSUME(expression) static_assert(true)
#endif
#include <toml++/toml.h>
