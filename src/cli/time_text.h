// Times and spans as people type them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace keel::cli {

// "90", "90s", "15m", "24h", "7d": seconds, above 0.
Result<std::int64_t> parse_span_s(std::string_view text);

// When a switchover is to happen, Unix milliseconds: "+30m" from now; "03:00" the next one; "2026-11-22 03:00[:00]".
// Local time, or UTC with a Z at the end. Not in the past.
Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now_unix_ms);

// A moment that lies behind: "7d" ago, "2026-11-21", "2026-11-21 03:00[:00]" (local; with a Z at the end UTC), "now".
// Unix milliseconds; not in the future.
Result<std::int64_t> parse_past(std::string_view text, std::int64_t now_unix_ms);

}  // namespace keel::cli
