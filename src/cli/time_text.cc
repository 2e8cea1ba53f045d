#include "cli/time_text.h"

#include <fmt/format.h>
#include <time.h>

#include <charconv>
#include <optional>

namespace keel::cli {

namespace {

constexpr std::int64_t kDay = 86400;

// Exactly `digits` digits at the front; taken away.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
    int value = 0;
    if (text.size() < digits) return {};
    auto const [end, error] = std::from_chars(text.data(), text.data() + digits, value);
    if (error != std::errc{} || end != text.data() + digits || text.front() == '-') return {};
    text.remove_prefix(digits);
    return value;
}

bool take(std::string_view& text, char what) {
    if (text.empty() || text.front() != what) return false;
    text.remove_prefix(1);
    return true;
}

struct Typed {
    bool has_date = false;
    tm fields{};
    bool utc = false;
};

bool in_range(tm const& t, bool has_date) {
    bool const date = !has_date || (t.tm_mon >= 0 && t.tm_mon <= 11 && t.tm_mday >= 1 && t.tm_mday <= 31);
    return date && t.tm_hour <= 23 && t.tm_min <= 59 && t.tm_sec <= 59;
}

std::optional<Typed> read_typed(std::string_view text) {
    Typed out;
    out.has_date = text.size() > 4 && text[4] == '-';
    if (out.has_date) {
        auto const year = take_number(text, 4);
        if (!year || !take(text, '-')) return {};
        auto const month = take_number(text, 2);
        if (!month || !take(text, '-')) return {};
        auto const day = take_number(text, 2);
        if (!day || (!take(text, ' ') && !take(text, 'T'))) return {};
        out.fields.tm_year = *year - 1900;
        out.fields.tm_mon = *month - 1;
        out.fields.tm_mday = *day;
    }
    auto const hour = take_number(text, 2);
    if (!hour || !take(text, ':')) return {};
    auto const minute = take_number(text, 2);
    if (!minute) return {};
    out.fields.tm_hour = *hour;
    out.fields.tm_min = *minute;
    if (take(text, ':')) {
        auto const second = take_number(text, 2);
        if (!second) return {};
        out.fields.tm_sec = *second;
    }
    out.utc = take(text, 'Z');
    if (!text.empty() || !in_range(out.fields, out.has_date)) return {};
    return out;
}

std::int64_t seconds_of(tm fields, bool utc) {
    fields.tm_isdst = -1;
    return utc ? ::timegm(&fields) : ::mktime(&fields);
}

}  // namespace

Result<std::int64_t> parse_span_s(std::string_view text) {
    std::int64_t count = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    std::string_view const unit = text.substr(static_cast<std::size_t>(end - text.data()));
    std::int64_t const factor = unit.empty() || unit == "s" ? 1
                                : unit == "m"               ? 60
                                : unit == "h"               ? 3600
                                : unit == "d"               ? kDay
                                                            : 0;
    if (error != std::errc{} || factor == 0 || count <= 0 || count > 3650 * kDay / factor)
        return fail(Code::invalid, fmt::format("\"{}\" is not a span of time", text),
                    "write it as 90s, 15m, 24h or 7d");
    return count * factor;
}

Result<std::int64_t> parse_past(std::string_view text, std::int64_t now_unix_ms) {
    if (text == "now") return now_unix_ms;
    constexpr std::string_view kUnits = "smhd";
    if (!text.empty() && kUnits.contains(text.back()) && text.find('-') == std::string_view::npos) {
        KEEL_TRY(auto const span, parse_span_s(text));
        return now_unix_ms - span * 1000;
    }
    bool const utc = text.ends_with('Z');
    auto const day = text.substr(0, text.size() - (utc ? 1 : 0));
    bool const only_day = day.size() == 10 && day.find(':') == std::string_view::npos;
    auto const whole = only_day ? fmt::format("{} 00:00{}", day, utc ? "Z" : "") : std::string(text);
    auto const typed = read_typed(whole);
    if (!typed || !typed->has_date)
        return fail(Code::invalid, fmt::format("\"{}\" is not a time", text),
                    "write it as 7d (ago), 2026-11-21 or \"2026-11-21 03:00\" (local; with a Z at the end UTC)");
    auto const moment = seconds_of(typed->fields, typed->utc) * 1000;
    if (moment > now_unix_ms)
        return fail(Code::invalid, fmt::format("\"{}\" is still to come", text), "name a time in the past");
    return moment;
}

Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now_unix_ms) {
    if (text.starts_with('+')) {
        KEEL_TRY(auto const span, parse_span_s(text.substr(1)));
        return now_unix_ms + span * 1000;
    }
    auto typed = read_typed(text);
    if (!typed)
        return fail(Code::invalid, fmt::format("\"{}\" is not a time", text),
                    "write it as 03:00, \"2026-11-22 03:00\" (local; with a Z at the end UTC), or +30m");
    time_t const now = static_cast<time_t>(now_unix_ms / 1000);
    if (!typed->has_date) {
        tm today{};
        if (typed->utc)
            ::gmtime_r(&now, &today);
        else
            ::localtime_r(&now, &today);
        typed->fields.tm_year = today.tm_year;
        typed->fields.tm_mon = today.tm_mon;
        typed->fields.tm_mday = today.tm_mday;
        if (seconds_of(typed->fields, typed->utc) <= now) ++typed->fields.tm_mday;  // normalised
    }
    auto const moment = seconds_of(typed->fields, typed->utc);
    tm back{};
    time_t const again = moment;
    if (typed->utc)
        ::gmtime_r(&again, &back);
    else
        ::localtime_r(&again, &back);
    if (typed->has_date && back.tm_mday != typed->fields.tm_mday)
        return fail(Code::invalid, fmt::format("there is no such day: \"{}\"", text), "check day and month");
    if (moment <= now) return fail(Code::invalid, fmt::format("\"{}\" has passed", text), "name a time in the future");
    return moment * 1000;
}

}  // namespace keel::cli
