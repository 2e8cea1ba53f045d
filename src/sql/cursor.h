// The tokens of one statement, with a look at two behind and two ahead. Copies are cheap: a copy reads on alone.
#pragma once

#include <array>
#include <cstddef>

#include "sql/lexer.h"

namespace keel::sql {

class Cursor {
  public:
    explicit Cursor(std::string_view text, Dialect const& dialect = {}) : lexer_(text, dialect) {
        for (std::size_t i = kNow; i < kSize; ++i) tokens_[i] = read();
    }
    Token const& here() const { return tokens_[kNow]; }
    Token const& peek(std::size_t ahead) const { return tokens_[kNow + ahead]; }
    Token const& before(std::size_t behind = 1) const { return tokens_[kNow - behind]; }
    bool at_end() const { return here().kind == Kind::end; }
    // Of the text from the token under the cursor on.
    std::string_view rest() const { return lexer_.text().substr(here().begin); }

    void step() {
        for (std::size_t i = 1; i < kSize; ++i) tokens_[i - 1] = tokens_[i];
        tokens_[kSize - 1] = read();
    }
    bool take(Word word) {
        if (!here().is(word)) return false;
        step();
        return true;
    }
    bool take(Kind kind) {
        if (here().kind != kind) return false;
        step();
        return true;
    }
    Lexer const& lexer() const { return lexer_; }
    std::string_view text_of(Token const& token) const { return lexer_.text_of(token); }

  private:
    // Semicolons with nothing behind them end the text.
    Token read() {
        Token token = lexer_.next();
        if (token.kind != Kind::semicolon || more_) return token;
        Lexer ahead = lexer_;
        Token behind = ahead.next();
        while (behind.kind == Kind::semicolon) behind = ahead.next();
        more_ = behind.kind != Kind::end;
        if (more_) return token;
        lexer_ = ahead;
        token.kind = Kind::end;
        token.end = token.begin;
        return token;
    }

    static constexpr std::size_t kNow = 2;
    static constexpr std::size_t kSize = 5;
    Lexer lexer_;
    std::array<Token, kSize> tokens_{};
    bool more_ = false;
};

}  // namespace keel::sql
