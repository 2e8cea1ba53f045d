// Points and spans of the monotonic clock. Only runtime/ can read it; everything else is handed `now`.
#pragma once

#include <chrono>

namespace keel {

// CLOCK_BOOTTIME: monotonic, counts suspend, blind to a hypervisor's pause. Has no now(): see runtime/clock.h.
struct BootClock {
    using duration = std::chrono::microseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;
};

using Instant = BootClock::time_point;
using Duration = std::chrono::microseconds;
using namespace std::chrono_literals;

inline double to_seconds(Duration span) { return std::chrono::duration<double>(span).count(); }
inline std::int64_t to_ms(Duration span) { return std::chrono::duration_cast<std::chrono::milliseconds>(span).count(); }

}  // namespace keel
