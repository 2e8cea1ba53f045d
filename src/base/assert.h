// Assertions that stay on in release: a wrong belief about the cluster must end the process, not the data.
#pragma once

namespace keel {
[[noreturn]] void assertion_failed(char const* expression, char const* file, int line) noexcept;
}

#define KEEL_ASSERT(expression) \
    ((expression) ? static_cast<void>(0) : ::keel::assertion_failed(#expression, __FILE__, __LINE__))
