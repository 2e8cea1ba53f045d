#include <algorithm>
#include <array>

#include "sql/lexer.h"
#include "sql/statement.h"

namespace keel::sql {

namespace {

// CREATE [OR REPLACE] FUNCTION | PROCEDURE ... BEGIN ATOMIC ...; ...; END: its semicolons do not end it.
class Body {
  public:
    void take(Token const& token, Token const& before, bool in_parentheses) {
        if (words_ < first_.size() && token.kind == Kind::word) first_[words_] = token.word;
        ++words_;
        if (!is_routine() || in_parentheses || token.kind != Kind::word) return;
        // AS end, t.end: names of columns.
        bool const name = before.kind == Kind::dot || before.is(Word::as);
        if (depth_ == 0) {
            if (before.is(Word::begin) && token.is(Word::atomic)) depth_ = 1;
        } else if (token.is(Word::case_) && !name) {
            ++depth_;
        } else if (token.is(Word::end) && !name) {
            --depth_;
        }
    }
    bool open() const { return depth_ > 0; }
    void restart() { *this = {}; }

  private:
    bool is_routine() const {
        if (first_[0] != Word::create) return false;
        Word const what = first_[1] == Word::or_ ? first_[3] : first_[1];
        return what == Word::function || what == Word::procedure;
    }
    std::array<Word, 4> first_{};
    std::size_t words_ = 0;
    std::size_t depth_ = 0;
};

}  // namespace

Pieces split(std::string_view text, Dialect const& dialect) {
    auto const whole = [&] { return Pieces{{text}, false}; };
    if (!dialect.ascii_safe && std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }))
        return whole();
    Pieces pieces;
    Lexer lexer(text, dialect);
    Body body;
    Token before{};
    std::size_t start = 0, depth = 0;
    bool empty = true;
    for (;;) {
        Token const token = lexer.next();
        if (token.kind == Kind::bad) return whole();
        bool const end = token.kind == Kind::end;
        if (end || (token.kind == Kind::semicolon && depth == 0 && !body.open())) {
            if (!empty) pieces.statements.push_back(text.substr(start, token.begin - start));
            if (end) return pieces;
            start = token.end;
            empty = true;
            body.restart();
            before = {};
            continue;
        }
        empty = false;
        if (token.kind == Kind::open) ++depth;
        if (token.kind == Kind::close && depth > 0) --depth;
        body.take(token, before, depth > 0);
        before = token;
    }
}

}  // namespace keel::sql
