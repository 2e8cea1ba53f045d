#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace keel {

void assertion_failed(char const* expression, char const* file, int line) noexcept {
    std::fprintf(stderr, "pgkeel: assertion failed: %s (%s:%d)\n", expression, file, line);
    std::abort();
}

}  // namespace keel
