// The one place that reads clocks and draws random numbers; everything below is handed their values.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"

namespace keel::runtime {

// CLOCK_BOOTTIME.
Instant boot_now();
// Wall clock, milliseconds since 1970. For people and certificates, never for decisions.
std::int64_t unix_ms_now();
// A random UUID (version 4, RFC 9562), lower case. From getrandom(2), as random_u64.
std::string random_uuid();
std::uint64_t random_u64();
// `bytes` random bytes as lower-case hex: tokens.
std::string random_hex(std::size_t bytes);

}  // namespace keel::runtime
