// Shares of time that a service is there, as people speak of them: percent, nines, and the time that is left to be
// down.
#pragma once

#include <string>

namespace keel::availability {

inline constexpr double kYearHours = 365.25 * 24;
inline constexpr double kMonthHours = kYearHours / 12;

// 0.999 is 3 nines, 0.9985 is 2.8; 12 at most, also for 1.
double nines_of(double availability);
// "99.9984 %": as many digits as it takes to tell it from 100 %.
std::string percent_text(double availability);
// "340 ms", "12.0 s", "3.5 min", "8.8 h", "3.2 days".
std::string span_text(double seconds);

}  // namespace keel::availability
