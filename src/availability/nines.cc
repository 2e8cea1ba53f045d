#include "availability/nines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace keel::availability {

namespace {
constexpr double kNinesMax = 12;
}

double nines_of(double availability) {
    if (availability >= 1) return kNinesMax;
    return std::clamp(-std::log10(1 - availability), 0.0, kNinesMax);
}

std::string percent_text(double availability) {
    if (availability >= 1) return "100 %";
    // Two digits behind the nines, and never rounded up to what it is not.
    auto const digits = std::clamp(static_cast<int>(nines_of(availability) + 1e-6), 1, 9);
    double const scale = std::pow(10.0, digits);
    return fmt::format("{:.{}f} %", std::floor(availability * 100 * scale + 1e-6) / scale, digits);
}

std::string span_text(double seconds) {
    if (seconds <= 0) return "0 s";
    if (seconds < 0.9995) return fmt::format("{:.0f} ms", std::max(1.0, seconds * 1000));
    if (seconds < 120) return fmt::format("{:.1f} s", seconds);
    if (seconds < 7200) return fmt::format("{:.1f} min", seconds / 60);
    if (seconds < 172'800) return fmt::format("{:.1f} h", seconds / 3600);
    return fmt::format("{:.1f} days", seconds / 86'400);
}

}  // namespace keel::availability
