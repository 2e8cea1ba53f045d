#include "sql/lexer.h"

#include <gtest/gtest.h>

namespace keel::sql {

namespace {

constexpr char const* kShort[] = {"end", "w",  "q",  "uq", "s", "e", "d", "o", "n", "p",
                                  "op",  "::", "=>", "(",  ")", ",", ";", ".", "x", "bad"};

// The tokens of a text as "kind:text" words.
std::string tokens(std::string_view text, Dialect const& dialect = {}) {
    Lexer lexer(text, dialect);
    std::string out;
    for (Token token = lexer.next(); token.kind != Kind::end; token = lexer.next())
        out += (out.empty() ? "" : " | ") + std::string(kShort[static_cast<std::size_t>(token.kind)]) + ":" +
               std::string(lexer.text_of(token));
    return out;
}

Token only(std::string_view text, Dialect const& dialect = {}) {
    Lexer lexer(text, dialect);
    Token const token = lexer.next();
    EXPECT_EQ(lexer.next().kind, Kind::end) << text;
    return token;
}

Dialect const kOld{.standard_conforming_strings = false};

}  // namespace

TEST(Lexer, CutsWhereThePostgresLexerCuts) {
    struct Row {
        char const* what;
        std::string_view text;
        char const* tokens;
    };
    Row const rows[] = {
        {"words, dots, parentheses", "select a.b(c)", "w:select | w:a | .:. | w:b | (:( | w:c | ):)"},
        {"a quote is doubled inside of a string", "'it''s'", "s:'it''s'"},
        {"a backslash is an ordinary character", R"('a\' b)", R"(s:'a\' | w:b)"},
        {"E'' has backslashes", R"(E'a\'b' c)", R"(e:E'a\'b' | w:c)"},
        {"e'' too, and a doubled quote", R"(e'a''\\' c)", R"(e:e'a''\\' | w:c)"},
        {"a word that ends in e begins no E''", R"(abce'x\' y)", R"(w:abce | s:'x\' | w:y)"},
        {"strings over a line break are one", "'a'\n  'b'", "s:'a'\n  'b'"},
        {"with a comment between, too", "'a' -- c'\n 'b' d", "s:'a' -- c'\n 'b' | w:d"},
        {"without a line break they are two", "'a' 'b'", "s:'a' | s:'b'"},
        {"a block comment does not continue a string", "'a' /*\n*/ 'b'", "s:'a' | s:'b'"},
        {"the second part of an E'' has backslashes", "E'a'\n'b\\'c' d", "e:E'a'\n'b\\'c' | w:d"},
        {"the second part of a plain string has none", "'a'\n'b\\' d", "s:'a'\n'b\\' | w:d"},
        {"an empty dollar quote", "$$$$ a", "d:$$$$ | w:a"},
        {"a tag", "$a$ ' $b$ $$ ; $a$ c", "d:$a$ ' $b$ $$ ; $a$ | w:c"},
        {"the end may share a dollar with another tag", "$a$ $b$a$ c", "d:$a$ $b$a$ | w:c"},
        {"tags differ by case", "$a$ $A$ $a$", "d:$a$ $A$ $a$"},
        {"a tag of letters beyond ASCII", "$\xc3\xa4$x$\xc3\xa4$", "d:$\xc3\xa4$x$\xc3\xa4$"},
        {"a dollar belongs to the word before it", "a$b$ c", "w:a$b$ | w:c"},
        {"parameters", "$1,$23", "p:$1 | ,:, | p:$23"},
        {"a parameter begins no dollar quote", "$1$$a$$", "p:$1 | d:$$a$$"},
        {"comments nest", "/* a /* b */ ; */ c", "w:c"},
        {"/*/ is open", "/*/ a */ b", "w:b"},
        {"stars before the end", "/***/a/****/", "w:a"},
        {"a line comment ends with a carriage return", "-- a\rb", "w:b"},
        {"a quote in a comment is none", "-- it's\n'x'", "s:'x'"},
        {"an operator ends where a comment begins", "a +-- b\nc", "w:a | op:+ | w:c"},
        {"the same with a block", "a */* b */c", "w:a | op:* | w:c"},
        {"+ and - at the end are of their own", "a=-1", "w:a | op:= | op:- | n:1"},
        {"unless the operator has an odd letter", "a@-1", "w:a | op:@- | n:1"},
        {"more of them", "1<-+2", "n:1 | op:< | op:- | op:+ | n:2"},
        {"JSON operators", "a->>'b'#>c", "w:a | op:->> | s:'b' | op:#> | w:c"},
        {"? is an operator", "a ?| b", "w:a | op:?| | w:b"},
        {"casts and named arguments", "a::b c:=1 d=>2", "w:a | ::::: | w:b | w:c | =>::= | n:1 | w:d | =>:=> | n:2"},
        {"=> followed by more is an operator", "a=>=b", "w:a | op:=>= | w:b"},
        {"subscripts", "a[1:2]", "w:a | x:[ | n:1 | x:: | n:2 | x:]"},
        {"numbers", "1 1.5 .5 1e10 1.e-3 1..2", "n:1 | n:1.5 | n:.5 | n:1e10 | n:1.e-3 | n:1 | .:.. | n:2"},
        {"an exponent needs digits", "1e+x", "n:1 | w:e | op:+ | w:x"},
        {"quoted names", R"("a""b" "c;")", R"(q:"a""b" | q:"c;")"},
        {"Unicode names and strings", R"(U&"a" u&'b' U & c)", R"(uq:U&"a" | o:u&'b' | w:U | op:& | w:c)"},
        {"U& needs its quote at once", "u&x", "w:u | op:& | w:x"},
        {"bits, hex, national", R"(b'01' X'ff' n'a\')", R"(o:b'01' | o:X'ff' | s:n'a\')"},
        {"letters beyond ASCII", "\xc3\xa4\xc3\xb6 '\xe2\x82\xac'", "w:\xc3\xa4\xc3\xb6 | s:'\xe2\x82\xac'"},
        {"all blanks", " \t\n\r\f;", ";:;"},
        {"nothing", " -- a", ""},
    };
    for (auto const& row : rows) EXPECT_EQ(tokens(row.text), row.tokens) << row.what << ": " << row.text;
}

TEST(Lexer, WithoutStandardConformingStringsAPlainStringHasBackslashes) {
    EXPECT_EQ(tokens(R"('a\' b')", kOld), R"(e:'a\' b')");
    EXPECT_EQ(tokens(R"(N'a\' b')", kOld), R"(e:N'a\' b')");
    EXPECT_EQ(tokens(R"(b'\' c)", kOld), R"(o:b'\' | w:c)");
    EXPECT_EQ(tokens(R"($$\$$ c)", kOld), R"(d:$$\$$ | w:c)");
    EXPECT_EQ(tokens(R"("a\" c)", kOld), R"(q:"a\" | w:c)");
    // PostgreSQL refuses U&'' then.
    EXPECT_EQ(only("U&'a'", kOld).kind, Kind::bad);
}

TEST(Lexer, WhatIsOpenIsBadToTheEnd) {
    using namespace std::string_view_literals;
    for (auto const text :
         {"'a"sv, "'a''"sv,  "E'a\\'"sv,   "E'a\\"sv,  "\"a"sv,    "\"a\"\""sv, "$$a"sv,     "$a$ $b$"sv, "$a"sv,
          "$"sv,  "/* a"sv,  "/* /* */"sv, "U&'a"sv,   "U&\"a"sv,  "b'0"sv,     "'a'\n'b"sv, "\\"sv,      "{"sv,
          "\0"sv, "'a\0'"sv, "\"a\0\""sv,  "$$\0$$"sv, "/*\0*/"sv, "-- a\0"sv,  "E'\\\0'"sv}) {
        Token const token = only(text);
        EXPECT_EQ(token.kind, Kind::bad) << text;
        EXPECT_EQ(token.end, text.size()) << text;
    }
    EXPECT_EQ(tokens("select 'a"), "w:select | bad:'a");
}

TEST(Lexer, FindsKeywordsInAnyCase) {
    EXPECT_EQ(only("SeLeCt").word, Word::select);
    EXPECT_EQ(only("current_timestamp").word, Word::current_timestamp);
    EXPECT_EQ(only("\"select\"").word, Word::none);
    EXPECT_EQ(only("selec").word, Word::none);
    EXPECT_EQ(only("selectt").word, Word::none);
    // Turkish: no dotless i, no locale.
    EXPECT_EQ(only("L\xc4\xb0MIT").word, Word::none);
#define KEEL_SQL_WORD(name, text, category) EXPECT_EQ(only(text).word, Word::name);
    KEEL_SQL_WORDS(KEEL_SQL_WORD)
#undef KEEL_SQL_WORD
}

TEST(Lexer, NamesAsPostgresLooksThemUp) {
    auto const name = [](std::string const& text) {
        Lexer lexer(text);
        Token const token = lexer.next();
        return name_of(lexer, token);
    };
    EXPECT_EQ(name("FooBar"), "foobar");
    EXPECT_EQ(name("\"FooBar\""), "FooBar");
    EXPECT_EQ(name(R"("a""b")"), "a\"b");
    EXPECT_EQ(name("\xc3\x84"), "\xc3\x84");  // UTF-8 is not folded
    EXPECT_EQ(name("\"\""), std::nullopt);
    EXPECT_EQ(name("U&\"a\""), std::nullopt);
    EXPECT_EQ(name("'a'"), std::nullopt);
    EXPECT_EQ(name(std::string(63, 'a')), std::string(63, 'a'));
    EXPECT_EQ(name(std::string(64, 'a')), std::nullopt);  // it would be cut
}

TEST(Lexer, ValuesThatNeedNoDecoding) {
    auto const value = [](std::string_view text, Dialect const& dialect = {}) {
        Lexer lexer(text, dialect);
        Token const token = lexer.next();
        return value_of(lexer, token);
    };
    EXPECT_EQ(value("'it''s'"), "it's");
    EXPECT_EQ(value("''"), "");
    EXPECT_EQ(value(R"('a\b')"), R"(a\b)");
    EXPECT_EQ(value(R"(E'a\b')"), std::nullopt);
    EXPECT_EQ(value("E'ab'"), "ab");
    EXPECT_EQ(value(R"('a\b')", kOld), std::nullopt);
    EXPECT_EQ(value("$x$a'b$x$"), "a'b");
    EXPECT_EQ(value("$$$$"), "");
    EXPECT_EQ(value("'a'\n'b'"), std::nullopt);
    EXPECT_EQ(value("X'41'"), std::nullopt);
    EXPECT_EQ(value("U&'a'"), std::nullopt);
    EXPECT_EQ(value("a"), std::nullopt);
}

TEST(Dialect, OnlyEncodingsWithoutAsciiInTheirCharactersAreSafe) {
    for (auto const* name : {"UTF8", "utf-8", "SQL_ASCII", "LATIN1", "EUC_JP", "WIN1252", "KOI8R", "ISO_8859_5"})
        EXPECT_TRUE(is_ascii_safe(name)) << name;
    for (auto const* name : {"SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004", "", "UTF16"})
        EXPECT_FALSE(is_ascii_safe(name)) << name;
}

}  // namespace keel::sql
