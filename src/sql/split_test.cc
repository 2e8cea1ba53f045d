#include <gtest/gtest.h>

#include "sql/statement.h"
#include "sql/text_hash.h"

namespace keel::sql {

namespace {

using Texts = std::vector<std::string_view>;

}  // namespace

TEST(Split, CutsAtTheSemicolonsThatEndStatements) {
    struct Row {
        char const* what;
        std::string_view text;
        Texts pieces;
    };
    Row const rows[] = {
        {"one", "select 1", {"select 1"}},
        {"two, and empty ones between", ";select 1;;; select 2 ; ", {"select 1", " select 2 "}},
        {"nothing", " ;/* ; */; -- ;\n", {}},
        {"quotes", "select ';', \";\", $$;$$, E'\\';'; b", {"select ';', \";\", $$;$$, E'\\';'", " b"}},
        {"comments stay where they are", "/*a;*/ b; --c;\nd", {"/*a;*/ b", " --c;\nd"}},
        {"a rule's parentheses",
         "create rule r as on insert to t do (select 1; select 2); b",
         {"create rule r as on insert to t do (select 1; select 2)", " b"}},
        {"a routine's body",
         "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end; b",
         {"create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end",
          " b"}},
        {"a procedure's", "create procedure p() begin atomic end; b", {"create procedure p() begin atomic end", " b"}},
        {"a transaction is no body", "begin; select 1; end; b", {"begin", " select 1", " end", " b"}},
        {"a string body needs no care",
         "create function f() returns int language sql as 'select 1; select 2'; b",
         {"create function f() returns int language sql as 'select 1; select 2'", " b"}},
        {"a stray parenthesis", "select 1); select 2", {"select 1)", " select 2"}},
        {"column names in a body",
         "create function f() returns t begin atomic select 1 as end; select x.end from x; end; b",
         {"create function f() returns t begin atomic select 1 as end; select x.end from x; end", " b"}},
    };
    for (auto const& row : rows) {
        auto const pieces = split(row.text);
        EXPECT_TRUE(pieces.certain) << row.what;
        EXPECT_EQ(pieces.statements, row.pieces) << row.what;
    }
}

TEST(Split, WhatCannotBeCutWithCertaintyStaysWhole) {
    using namespace std::string_view_literals;
    for (auto const text : {"select 1; select 'a"sv, "a; /* b"sv, "a; $$"sv, "a;\0b"sv, "a; \"b"sv}) {
        auto const pieces = split(text);
        EXPECT_FALSE(pieces.certain) << text;
        EXPECT_EQ(pieces.statements, Texts{text});
        EXPECT_EQ(classify(text).verb, Verb::unknown) << text;
        EXPECT_FALSE(classify(text).reach.unsafe.empty()) << text;
    }
    Dialect const sjis{.ascii_safe = false};
    EXPECT_FALSE(split("select '\x83\x5c'; b", sjis).certain);
    EXPECT_TRUE(split("select 'a'; b", sjis).certain);
    EXPECT_EQ(classify("select '\x83\x5c'", sjis).verb, Verb::unknown);
    EXPECT_TRUE(classify("select '\x83\x5c'", sjis).pins.untracked_setting);
    EXPECT_EQ(classify("select 'a'", sjis).verb, Verb::select);
}

TEST(Split, TheDialectDecidesWhereAStringEnds) {
    std::string_view const text = R"(select '\'; drop table t; --')";
    EXPECT_EQ(split(text).statements.size(), 2U);
    EXPECT_EQ(split(text, {.standard_conforming_strings = false}).statements.size(), 1U);
}

// The vectors of SipHash-2-4-128's authors (vectors.h, first and fifteenth): key 00..0f, input 00, 01, 02, ...
TEST(TextHash, IsSipHash) {
    HashKey const key{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    EXPECT_EQ(hash_text(key, ""), (TextHash{0xe6a825ba047f81a3U, 0x930255c71472f66dU}));
    std::string input;
    for (char c = 0; c < 15; ++c) input += c;
    EXPECT_EQ(hash_text(key, input), (TextHash{0x11a8b03399e99354U, 0xd9c3cf970fec087eU}));
    EXPECT_NE(hash_text({1, 2}, input), hash_text({1, 3}, input));
    EXPECT_NE(hash_text(key, "a"), hash_text(key, std::string_view("a\0", 2)));
}

}  // namespace keel::sql
