// Times in the syntax of cron(8), "minute hour day month weekday", and when they come. Pure.
#pragma once

#include <bitset>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/zone.h"

namespace keel::cluster {

// Numbers, lists, ranges and steps: "30 1 * * *", "0 */6 * * 1-5", "15,45 3 1 * *". Weekdays 0..7 from Sunday to
// Sunday. When day and weekday are both restricted, either of them is enough, as cron has it.
struct Cron {
    std::bitset<60> minutes;
    std::bitset<24> hours;
    std::bitset<32> days;
    std::bitset<13> months;
    std::bitset<7> weekdays;
    bool any_day = true, any_weekday = true;
};
// invalid says which field is wrong. One that never comes (31 February) is wrong too.
Result<Cron> parse_cron(std::string_view text);

// Unix seconds. A local time that does not exist, when the clock is set forward, comes as much later as the clock was
// set; one that exists twice comes once, the first time.
std::optional<std::int64_t> next_due(Cron const& cron, Zone const& zone, std::int64_t after_unix_s);  // later than it
std::optional<std::int64_t> last_due(Cron const& cron, Zone const& zone, std::int64_t now_unix_s);    // it, or earlier

}  // namespace keel::cluster
