#include "cluster/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <vector>

namespace keel::cluster {

namespace {

constexpr std::int64_t kDay = 86'400;
// 29 February: eight years lie between 2096 and 2104.
constexpr int kDaysMost = 8 * 366 + 2;

std::vector<std::string_view> split(std::string_view text, char by) {
    std::vector<std::string_view> out;
    for (;;) {
        auto const end = text.find(by);
        out.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return out;
        text.remove_prefix(end + 1);
    }
}

std::optional<unsigned> number(std::string_view text) {
    unsigned out = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return out;
}

struct Field {
    char const* name;
    unsigned least, most;
};

// "*", "7", "1-5", each with "/2" or without.
template <std::size_t Size>
bool add_part(std::string_view part, Field const& field, std::bitset<Size>& out) {
    auto const slash = part.find('/');
    auto const step = slash == std::string_view::npos ? std::optional(1U) : number(part.substr(slash + 1));
    part = part.substr(0, slash);
    unsigned from = field.least, to = field.most;
    if (part != "*") {
        auto const dash = part.find('-');
        auto const first = number(part.substr(0, dash));
        auto const last = dash != std::string_view::npos    ? number(part.substr(dash + 1))
                          : slash == std::string_view::npos ? first
                                                            : std::optional(field.most);
        if (!first || !last) return false;
        from = *first;
        to = *last;
    }
    if (!step || *step == 0 || *step > field.most || from < field.least || to > field.most || from > to) return false;
    for (unsigned i = from; i <= to; i += *step) out.set(i % Size);
    return true;
}

template <std::size_t Size>
Status read_field(std::string_view text, Field const& field, std::bitset<Size>& out) {
    for (auto const part : split(text, ','))
        if (!add_part(part, field, out))
            return fail(Code::invalid,
                        fmt::format("\"{}\" is no {} of {}..{}", part, field.name, field.least, field.most));
    return {};
}

std::chrono::sys_days day_of(std::int64_t day) { return std::chrono::sys_days(std::chrono::days(day)); }

bool matches(Cron const& cron, std::int64_t day) {
    std::chrono::year_month_day const date(day_of(day));
    if (!cron.months.test(static_cast<unsigned>(date.month()))) return false;
    bool const on_day = cron.days.test(static_cast<unsigned>(date.day()));
    bool const on_weekday = cron.weekdays.test(std::chrono::weekday(day_of(day)).c_encoding());
    if (cron.any_day || cron.any_weekday) return on_day && on_weekday;
    return on_day || on_weekday;
}

// The moment that clocks on the wall show so.
std::int64_t moment_of(std::int64_t local, Zone const& zone) {
    int const before = zone.offset_s(local - kDay), after = zone.offset_s(local + kDay);
    if (zone.offset_s(local - before) == before) return local - before;
    if (zone.offset_s(local - after) == after) return local - after;
    return local - before;  // no clock ever shows it
}

template <class Each>
void each_moment(Cron const& cron, Zone const& zone, std::int64_t day, Each each) {
    if (!matches(cron, day)) return;
    for (unsigned hour = 0; hour < 24; ++hour) {
        if (!cron.hours.test(hour)) continue;
        for (unsigned minute = 0; minute < 60; ++minute)
            if (cron.minutes.test(minute)) each(moment_of(day * kDay + hour * 3600 + minute * 60, zone));
    }
}

std::int64_t local_day(std::int64_t unix_s, Zone const& zone) {
    auto const local = unix_s + zone.offset_s(unix_s);
    return std::chrono::floor<std::chrono::days>(std::chrono::seconds(local)).count();
}

}  // namespace

Result<Cron> parse_cron(std::string_view text) {
    auto fields = split(text, ' ');
    std::erase_if(fields, [](auto one) { return one.empty(); });
    if (fields.size() != 5) return fail(Code::invalid, fmt::format("\"{}\" has not five fields", text));
    Cron out;
    std::bitset<8> weekdays;
    KEEL_CHECK(read_field(fields[0], {"minute", 0, 59}, out.minutes));
    KEEL_CHECK(read_field(fields[1], {"hour", 0, 23}, out.hours));
    KEEL_CHECK(read_field(fields[2], {"day", 1, 31}, out.days));
    KEEL_CHECK(read_field(fields[3], {"month", 1, 12}, out.months));
    KEEL_CHECK(read_field(fields[4], {"weekday", 0, 7}, weekdays));
    for (unsigned i = 0; i < 8; ++i)
        if (weekdays.test(i)) out.weekdays.set(i % 7);
    out.any_day = fields[2].starts_with('*');
    out.any_weekday = fields[4].starts_with('*');
    if (!next_due(out, Zone(), 0)) return fail(Code::invalid, fmt::format("\"{}\" never comes", text));
    return out;
}

std::optional<std::int64_t> next_due(Cron const& cron, Zone const& zone, std::int64_t after_unix_s) {
    auto const first = local_day(after_unix_s, zone) - 1;
    for (auto day = first; day < first + kDaysMost; ++day) {
        std::optional<std::int64_t> out;
        each_moment(cron, zone, day, [&](std::int64_t at) {
            if (at > after_unix_s && (!out || at < *out)) out = at;
        });
        if (out) return out;
    }
    return std::nullopt;
}

std::optional<std::int64_t> last_due(Cron const& cron, Zone const& zone, std::int64_t now_unix_s) {
    auto const last = local_day(now_unix_s, zone) + 1;
    for (auto day = last; day > last - kDaysMost; --day) {
        std::optional<std::int64_t> out;
        each_moment(cron, zone, day, [&](std::int64_t at) {
            if (at <= now_unix_s && (!out || at > *out)) out = at;
        });
        if (out) return out;
    }
    return std::nullopt;
}

}  // namespace keel::cluster
