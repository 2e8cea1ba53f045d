#include "cluster/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cluster/status.h"

namespace keel::cluster {
namespace {

constexpr std::int64_t kToday = 1'790'000'000;

Zone zone(std::string const& name) {
    std::ifstream file("/usr/share/zoneinfo/" + name, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    auto const read = Zone::parse(text.str(), kToday);
    EXPECT_TRUE(read) << name << ": tzdata is missing?";
    return read ? *read : Zone();
}

std::int64_t utc(int year, unsigned month, unsigned day, int hour, int minute) {
    using namespace std::chrono;
    return (sys_days(year_month_day(std::chrono::year(year), std::chrono::month(month), std::chrono::day(day))) +
            hours(hour) + minutes(minute))
               .time_since_epoch() /
           seconds(1);
}

std::string text_of(std::optional<std::int64_t> at) { return at ? utc_text(*at * 1000).substr(0, 16) : "never"; }

struct Row {
    char const* sentence;
    char const* cron;
    char const* zone;
    std::int64_t now;
    char const* last;
    char const* next;
};

TEST(Cron, SaysWhenItWasDueLastAndWhenNext) {
    Row const rows[] = {
        {"every night", "0 1 * * *", "UTC", utc(2026, 11, 29, 12, 0), "2026-11-29 01:00", "2026-11-30 01:00"},
        {"the minute itself counts as due", "0 1 * * *", "UTC", utc(2026, 11, 29, 1, 0), "2026-11-29 01:00",
         "2026-11-30 01:00"},
        {"every quarter of an hour", "*/15 * * * *", "UTC", utc(2026, 11, 29, 12, 31), "2026-11-29 12:30",
         "2026-11-29 12:45"},
        {"a list and a range with a step", "5,10 8-16/4 * * *", "UTC", utc(2026, 1, 1, 0, 0), "2025-12-31 16:10",
         "2026-01-01 08:05"},
        {"a number with a step runs to the end", "10/20 * * * *", "UTC", utc(2026, 1, 1, 0, 31), "2026-01-01 00:30",
         "2026-01-01 00:50"},
        {"Sunday is 0", "0 4 * * 0", "UTC", utc(2026, 11, 25, 0, 0), "2026-11-22 04:00", "2026-11-29 04:00"},
        {"and 7", "0 4 * * 7", "UTC", utc(2026, 11, 25, 0, 0), "2026-11-22 04:00", "2026-11-29 04:00"},
        {"weekdays only", "0 4 * * 1-5", "UTC", utc(2026, 11, 28, 9, 0), "2026-11-27 04:00", "2026-11-30 04:00"},
        {"a day or a weekday, when both are named", "0 0 13 * 5", "UTC", utc(2026, 11, 14, 0, 0), "2026-11-13 00:00",
         "2026-11-20 00:00"},
        {"the 31st of the months that have one", "0 0 31 * *", "UTC", utc(2026, 4, 15, 0, 0), "2026-03-31 00:00",
         "2026-05-31 00:00"},
        {"29 February", "0 0 29 2 *", "UTC", utc(2026, 11, 29, 0, 0), "2024-02-29 00:00", "2028-02-29 00:00"},
        {"29 February of a century without one", "0 0 29 2 *", "UTC", utc(2100, 1, 1, 0, 0), "2096-02-29 00:00",
         "2104-02-29 00:00"},
        {"local time in winter", "0 1 * * *", "Europe/Berlin", utc(2026, 1, 10, 12, 0), "2026-01-10 00:00",
         "2026-01-11 00:00"},
        {"local time in summer, the day before in UTC", "0 1 * * *", "Europe/Berlin", utc(2026, 7, 10, 12, 0),
         "2026-07-09 23:00", "2026-07-10 23:00"},
        {"a time that the clock leaves out comes an hour later", "30 2 * * *", "Europe/Berlin", utc(2026, 3, 29, 0, 45),
         "2026-03-28 01:30", "2026-03-29 01:30"},
        {"and once only", "30 2 * * *", "Europe/Berlin", utc(2026, 3, 29, 1, 30), "2026-03-29 01:30",
         "2026-03-30 00:30"},
        {"a time that comes twice counts the first time", "30 2 * * *", "Europe/Berlin", utc(2026, 10, 24, 23, 0),
         "2026-10-24 00:30", "2026-10-25 00:30"},
        {"and not the second time", "30 2 * * *", "Europe/Berlin", utc(2026, 10, 25, 1, 30), "2026-10-25 00:30",
         "2026-10-26 01:30"},
        {"half an hour of summer time", "15 2 * * *", "Australia/Lord_Howe", utc(2026, 10, 3, 15, 0),
         "2026-10-02 15:45", "2026-10-03 15:45"},
        {"a zone far ahead", "0 0 1 1 *", "Pacific/Auckland", utc(2026, 6, 1, 0, 0), "2025-12-31 11:00",
         "2026-12-31 11:00"},
    };
    for (auto const& row : rows) {
        SCOPED_TRACE(row.sentence);
        auto const cron = parse_cron(row.cron);
        ASSERT_TRUE(cron) << to_string(cron.error());
        auto const where = zone(row.zone);
        EXPECT_EQ(text_of(last_due(*cron, where, row.now)), row.last);
        EXPECT_EQ(text_of(next_due(*cron, where, row.now)), row.next);
    }
}

// Over two years of a zone with summer time: no day without its run, none with two.
TEST(Cron, ComesOnceADayWhateverTheClockDoes) {
    auto const where = zone("Europe/Berlin");
    for (char const* text : {"30 1 * * *", "0 2 * * *", "30 2 * * *", "59 2 * * *", "0 3 * * *"}) {
        auto const cron = parse_cron(text);
        ASSERT_TRUE(cron);
        auto at = utc(2026, 1, 1, 12, 0);
        for (int day = 0; day < 730; ++day) {
            auto const next = next_due(*cron, where, at);
            ASSERT_TRUE(next);
            EXPECT_GE(*next - at, day == 0 ? 0 : 23 * 3600) << text << " after " << text_of(at);
            EXPECT_LE(*next - at, 25 * 3600) << text << " after " << text_of(at);
            EXPECT_EQ(last_due(*cron, where, *next + 3600), next) << text;
            at = *next;
        }
    }
}

TEST(Cron, RefusesWhatIsNone) {
    for (char const* text : {"", "0 1 * *", "0 1 * * * *", "60 1 * * *", "0 24 * * *", "0 1 0 * *", "0 1 * 13 *",
                             "0 1 * * 8", "a 1 * * *", "5-1 * * * *", "*/0 * * * *", "1,,2 * * * *", "-1 * * * *",
                             "1- * * * *", "0 0 31 2 *", "0 0 30 2 *", "*/99999999999 * * * *", "@daily"})
        EXPECT_FALSE(parse_cron(text)) << text;
}

TEST(Zone, RefusesWhatIsNone) {
    EXPECT_FALSE(Zone::parse("", kToday));
    EXPECT_FALSE(Zone::parse(std::string(200, 'x'), kToday));
    std::ifstream file("/usr/share/zoneinfo/Europe/Berlin", std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    for (std::size_t size = 0; size < text.str().size() - 40; size += 7)
        EXPECT_FALSE(Zone::parse(text.str().substr(0, size), kToday)) << size;
    EXPECT_EQ(Zone().offset_s(kToday), 0);
    EXPECT_EQ(zone("Europe/Berlin").offset_s(utc(2026, 7, 1, 0, 0)), 7200);
    EXPECT_EQ(zone("Asia/Kathmandu").offset_s(utc(2026, 7, 1, 0, 0)), 20'700);
}

}  // namespace
}  // namespace keel::cluster
