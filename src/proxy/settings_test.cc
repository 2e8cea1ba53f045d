#include "proxy/settings.h"

#include <gtest/gtest.h>

namespace keel::proxy {
namespace {

TEST(Settings, EqualMapsAreOneObject) {
    SettingsPool pool;
    auto const a = pool.intern({{"x", "1"}});
    EXPECT_EQ(a, pool.intern({{"x", "1"}}));
    EXPECT_NE(a, pool.intern({{"x", "2"}}));
    EXPECT_EQ(pool.intern({}), pool.empty());
    for (int i = 0; i < 10'000; ++i) (void)pool.intern({{"x", std::to_string(i)}});
    EXPECT_LT(pool.size(), 1000U) << "what nobody has any more goes";
    EXPECT_EQ(a, pool.intern({{"x", "1"}})) << "and what somebody has stays";
}

TEST(Settings, OnlyTheDifferenceIsSaid) {
    struct Row {
        char const* what;
        SettingsMap from, to;
        char const* sql;
    };
    Row const rows[] = {
        {"nothing", {{"a", "1"}}, {{"a", "1"}}, ""},
        {"a new one", {}, {{"a", "1"}}, "SELECT pg_catalog.set_config('a','1',false);"},
        {"another value, and one that stays",
         {{"a", "1"}, {"b", "2"}},
         {{"a", "3"}, {"b", "2"}},
         "SELECT pg_catalog.set_config('a','3',false);"},
        {"one that is gone", {{"my.own", "1"}}, {}, "RESET \"my\".\"own\";"},
        {"a value that would end the text",
         {},
         {{"a", "'; DROP"}},
         "SELECT pg_catalog.set_config('a','''; DROP',false);"},
        {"a backslash, whatever the dialect is",
         {},
         {{"a", "\\'"}},
         "SELECT pg_catalog.set_config('a', E'\\\\''',false);"},
        {"a role comes last",
         {},
         {{"role", "r"}, {"zzz", "1"}},
         "SELECT pg_catalog.set_config('zzz','1',false);SELECT pg_catalog.set_config('role','r',false);"},
        {"and goes first, for what lies between needs the login's rights",
         {{"role", "r"}},
         {{"a", "1"}},
         "RESET ROLE;RESET SESSION AUTHORIZATION;SELECT pg_catalog.set_config('a','1',false);"},
        {"a role that stays is taken off and put on again",
         {{"role", "r"}},
         {{"a", "1"}, {"role", "r"}},
         "RESET ROLE;RESET SESSION AUTHORIZATION;SELECT pg_catalog.set_config('a','1',false);"
         "SELECT pg_catalog.set_config('role','r',false);"},
    };
    for (auto const& row : rows) EXPECT_EQ(difference(row.from, row.to), row.sql) << row.what;
}

}  // namespace
}  // namespace keel::proxy
