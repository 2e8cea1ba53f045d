// SQL as a client may send it. Input: a byte of dialect, then the text.
#include "fuzz.h"
#include "sql/catalogue.h"
#include "sql/lexer.h"

namespace keel::fuzz {

namespace {

using namespace sql;

Catalogue made() {
    Catalogue catalogue;
    for (auto const* name : {"lower", "count", "now"}) catalogue.add_function("pg_catalog", name, false);
    catalogue.add_function("pg_catalog", "nextval", true);
    for (auto const* symbol : {"=", "+", "-", "*"}) catalogue.add_operator("pg_catalog", symbol, false);
    catalogue.add_relation("public", "t", 'r', 'p', "");
    catalogue.add_relation("public", "v", 'v', 'p', "select nextval('s')");
    return catalogue;
}

bool is_blank(std::string_view text) { return Lexer(text).next().kind == Kind::end; }

struct Seen {
    bool bad = false;
    bool writes = false;  // a word that no read has, where it is no name behind a dot
};

// The tokens and the blanks between them are the whole text.
Seen tile(std::string_view text, Dialect const& dialect) {
    Lexer lexer(text, dialect);
    Seen seen;
    std::size_t at = 0;
    bool dot = false;
    for (;;) {
        Token const token = lexer.next();
        must(token.begin >= at && token.end <= text.size());
        must(is_blank(text.substr(at, token.begin - at)));
        if (token.kind == Kind::end) {
            must(token.begin == text.size() && token.end == text.size());
            return seen;
        }
        must(token.end > token.begin);
        at = token.end;
        seen.bad = seen.bad || token.kind == Kind::bad;
        bool const names_write = token.is(Word::insert) || token.is(Word::delete_) || token.is(Word::into);
        seen.writes = seen.writes || (names_write && !dot);
        dot = token.kind == Kind::dot;
        if (token.is_name()) (void)name_of(lexer, token);
        if (token.is_string()) (void)value_of(lexer, token);
    }
}

// What is said again elsewhere must mean the same.
void check_replay(Statement const& statement, Dialect const& dialect) {
    for (auto const& setting : statement.settings) {
        if (!setting.trackable) continue;
        auto const again = classify(replay(setting), dialect).settings;
        must(again.size() == 1 && again[0].trackable && again[0].change == setting.change);
        must(again[0].name == setting.name && again[0].local == setting.local && again[0].value == setting.value);
    }
}

void check(std::string_view text, Dialect const& dialect, Catalogue const& catalogue) {
    auto const statement = classify(text, dialect);
    auto const verdict = judge(statement, catalogue);
    must(verdict.safe == verdict.reason.empty());
    Seen const seen = tile(text, dialect);
    if (verdict.safe) must(!seen.bad && !seen.writes);
    if (seen.bad) must(statement.verb == Verb::unknown);
    if (statement.verb == Verb::unknown) must(!verdict.safe);
    must(statement.pins.any() != statement.pins.text().empty());
    check_replay(statement, dialect);
}

}  // namespace

std::vector<std::string> seeds() {
    return {"\1select a, lower(b) from t where c = 'x''y' order by 1 limit 3 -- c",
            "\1with a(x) as not materialized (select 1) select * from a join v using (x) for update of a",
            "\1set local a.\"B\" = 'x', y; select set_config('a', 'b', false); reset all",
            "\1create function f() returns int begin atomic select case when true then 1 end; end; begin read only",
            "\1$a$ ; $a$ 'x'\n'y' E'\\'' U&\"a\" /* /* */ */ $1 :: := => 1.5e-3 @- [1:2]",
            std::string("\0select 'a\\'b'", 14),
            "\1copy (select 1) to stdout; explain (analyze) select 1; execute p(1); declare c cursor with hold for "
            "select 1",
            "\1do $$begin set a = 1; end$$; prepare p(int) as select $1; set time zone interval '1' hour",
            "\3select '\x83\x5c'; notify a, 'b'; rollback to savepoint x; commit and no chain"};
}

void eat(std::string_view bytes) {
    static Catalogue const catalogue = made();
    if (bytes.empty()) return;
    Dialect const dialect{.standard_conforming_strings = (bytes[0] & 1) != 0, .ascii_safe = (bytes[0] & 2) == 0};
    std::string_view const text = bytes.substr(1);
    check(text, dialect, catalogue);
    auto const pieces = split(text, dialect);
    if (!pieces.certain) must(pieces.statements.size() == 1 && pieces.statements[0] == text);
    char const* at = text.data();
    for (auto const piece : pieces.statements) {
        must(piece.data() >= at && piece.data() + piece.size() <= text.data() + text.size());
        at = piece.data() + piece.size();
        check(piece, dialect, catalogue);
        auto const again = split(piece, dialect);
        must(again.certain == pieces.certain && again.statements.size() == 1 && again.statements[0] == piece);
    }
}

}  // namespace keel::fuzz
