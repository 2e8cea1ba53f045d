// Cuts SQL into tokens exactly where PostgreSQL's own lexer (scan.l) would; looks at bytes it does not own and never
// allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sql/dialect.h"
#include "sql/words.h"

namespace keel::sql {

enum class Kind : std::uint8_t {
    end,
    word,            // without quotes; `word` says which keyword it is, if any
    quoted,          // "..."
    unicode_quoted,  // U&"...": its name is not decoded here
    string,          // '...'
    escape_string,   // E'...', and '...' without standard_conforming_strings
    dollar_string,   // $tag$...$tag$
    other_string,    // U&'...', B'...', X'...'
    number,
    parameter,  // $1
    op,         // any operator symbol, those of one character too
    cast,       // ::
    named,      // := and =>
    open,       // (
    close,      // )
    comma,
    semicolon,
    dot,    // one or two of them
    other,  // [ ] :
    bad,    // what PostgreSQL's lexer refuses: an open quote or comment, a NUL, a stray character
};

struct Token {
    Kind kind = Kind::end;
    Word word = Word::none;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;  // one behind the last byte

    bool is(Word which) const { return kind == Kind::word && word == which; }
    bool is_name() const { return kind == Kind::word || kind == Kind::quoted; }
    bool is_string() const { return kind >= Kind::string && kind <= Kind::other_string; }
};

class Lexer {
  public:
    explicit Lexer(std::string_view text, Dialect const& dialect = {});
    // Blanks and comments are skipped. Behind the end, and behind a bad token: Kind::end for ever.
    Token next();
    std::string_view text_of(Token const& token) const { return text_.substr(token.begin, token.end - token.begin); }
    std::string_view text() const { return text_; }

  private:
    unsigned char at(std::size_t position) const {
        return position < text_.size() ? static_cast<unsigned char>(text_[position]) : 0;
    }
    bool skip_blanks();
    bool skip_comment();
    bool continues();
    Token make(Kind kind, std::size_t begin, Word word = Word::none);
    Token bad(std::size_t begin);
    Token word(std::size_t begin);
    Token number(std::size_t begin);
    Token quoted(std::size_t begin, Kind kind);
    Token string(std::size_t begin, Kind kind);
    Token dollar(std::size_t begin);
    Token symbol(std::size_t begin);
    Token op(std::size_t begin);

    std::string_view text_;
    std::size_t at_ = 0;
    bool backslashes_ = false;  // in plain strings
};

// The name that a word or quoted token stands for, as PostgreSQL looks it up. None: U&"", an empty name, or one longer
// than the 63 bytes that PostgreSQL keeps.
std::optional<std::string> name_of(Lexer const& lexer, Token const& token);
// The value of a string token, when it can be told without decoding escapes.
std::optional<std::string> value_of(Lexer const& lexer, Token const& token);

}  // namespace keel::sql
