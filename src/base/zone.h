// A time zone: how many seconds local time is ahead of UTC at a moment. Read from the bytes of a file of the tz
// database (TZif, RFC 8536); pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace keel {

class Zone {
  public:
    Zone() = default;  // UTC
    // corrupt: no such file. invalid: one without its table of transitions (a "slim" one), whose rule is not read.
    static Result<Zone> parse(std::string_view bytes, std::int64_t now_unix_s);
    // After its last transition the last offset holds; Debian's tables go up to 2037.
    int offset_s(std::int64_t unix_s) const;

  private:
    struct Change {
        std::int64_t from_unix_s = 0;
        int offset_s = 0;
    };
    int first_ = 0;  // before all changes
    std::vector<Change> changes_;
};

}  // namespace keel
