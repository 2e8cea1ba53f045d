#include <gtest/gtest.h>

#include "sql/statement.h"

namespace keel::sql {

namespace {

// The settings of a statement as they would be said again; ? for one that cannot be.
std::string replayed(std::string_view text, Dialect const& dialect = {}) {
    std::string out;
    for (auto const& setting : classify(text, dialect).settings)
        out += (out.empty() ? "" : "; ") + (setting.trackable ? replay(setting) : "?" + setting.name);
    return out;
}

}  // namespace

TEST(Settings, AreSaidAgainInAnotherSession) {
    std::pair<char const*, char const*> const rows[] = {
        {"set work_mem = '1MB'", "SET \"work_mem\" TO '1MB'"},
        {"SET SESSION Work_Mem TO 4096", "SET \"work_mem\" TO 4096"},
        {"set local work_mem = 1", "SET LOCAL \"work_mem\" TO 1"},
        {"set a.B = -1.5", "SET \"a\".\"b\" TO -1.5"},
        {"set \"A\".\"b\" = on", "SET \"a\".\"b\" TO on"},
        {"set search_path = a, \"B\", 'c d'", "SET \"search_path\" TO a, \"B\", 'c d'"},
        {"set a to 'it''s'", "SET \"a\" TO 'it''s'"},
        {"set a to $$it's$$", "SET \"a\" TO 'it''s'"},
        {"set a to default", "SET \"a\" TO DEFAULT"},
        {"reset a", "SET \"a\" TO DEFAULT"},
        {"reset all", "RESET ALL"},
        {"set time zone 'UTC'", "SET \"timezone\" TO 'UTC'"},
        {"set time zone -7", "SET \"timezone\" TO -7"},
        {"set time zone local", "SET \"timezone\" TO DEFAULT"},
        {"set local time zone default", "SET LOCAL \"timezone\" TO DEFAULT"},
        {"reset time zone", "SET \"timezone\" TO DEFAULT"},
        {"set names 'utf8'", "SET \"client_encoding\" TO 'utf8'"},
        {"set names", "SET \"client_encoding\" TO DEFAULT"},
        {"set schema 'a'", "SET \"search_path\" TO 'a'"},
        {"set role none", "SET \"role\" TO none"},
        {"set local role a", "SET LOCAL \"role\" TO a"},
        {"set session authorization 'a'", "SET \"session_authorization\" TO 'a'"},
        {"set session session authorization default", "SET \"session_authorization\" TO DEFAULT"},
        {"reset session authorization", "SET \"session_authorization\" TO DEFAULT"},
        {"set xml option document", "SET \"xmloption\" TO document"},
        {"set session characteristics as transaction isolation level serializable, read only",
         "SET \"default_transaction_isolation\" TO 'serializable'; SET \"default_transaction_read_only\" TO on"},
        {"set transaction_isolation = 'serializable'", "SET LOCAL \"transaction_isolation\" TO 'serializable'"},
        {"discard all", "RESET ALL; SET \"session_authorization\" TO DEFAULT; SET \"role\" TO DEFAULT"},
        {"select set_config('A.b', 'c, d', false)", "SELECT pg_catalog.set_config('a.b', 'c, d', false)"},
        {"select pg_catalog.set_config('a', '1', true) as x, set_config('b', '', false)",
         "SELECT pg_catalog.set_config('a', '1', true); SELECT pg_catalog.set_config('b', '', false)"},
        {"set a = x y", "?a"},
        {"set a = E'\\x'", "?a"},
        {"set a = U&'x'", "?a"},
        {"set a = 'x\\y'", "?a"},
        {"set a = f(1)", "?a"},
        {"set seed = 0.1", "?seed"},
        {"set \".a\" = 1", ""},
        {"set a.\"\".b = 1", ""},
        // More than a call of set_config: it may run never, or twice.
        {"select set_config('a', '1', false) from t", ""},
        {"select set_config('a', '1', false) limit 0", ""},
        {"select 1, set_config('a', '1', false)", ""},
        {"select set_config('a', null, false)", ""},
        {"select set_config('seed', '0.1', false)", ""},
        {"set a. = 1", ""},
        {"set \"\" = 1", ""},
    };
    for (auto const& [text, sql] : rows) {
        EXPECT_EQ(replayed(text), sql) << text;
        if (*sql == '\0' || *sql == '?') EXPECT_TRUE(classify(text).pins.any()) << text;
    }
    EXPECT_EQ(replayed("set a." + std::string(64, 'x') + " = 1"), "");  // PostgreSQL would cut the name
    EXPECT_EQ(replayed("set a = 'x\\y'", {.standard_conforming_strings = false}), "?a");
}

TEST(Settings, WhatWasSaidAgainMeansTheSame) {
    for (auto const* text : {"set local \"a b\".c = 'x', y, \"Z\"", "set \"q\"\"q\".r to default", "set a = +3",
                             "select set_config('it''s', 'a''b', true)", "set role \"A b\""}) {
        auto const once = classify(text).settings;
        ASSERT_EQ(once.size(), 1U) << text;
        auto const again = classify(replay(once[0])).settings;
        ASSERT_EQ(again.size(), 1U) << replay(once[0]);
        EXPECT_EQ(replay(again[0]), replay(once[0]));
        EXPECT_EQ(again[0].name, once[0].name);
        EXPECT_EQ(again[0].local, once[0].local);
    }
}

}  // namespace keel::sql
