#include "sql/lexer.h"

#include <array>

namespace keel::sql {

namespace {

enum Class : std::uint8_t { kBlank = 1, kNameStart = 2, kDigit = 4, kOperator = 8, kLetterOfOperator = 16 };

constexpr std::array<std::uint8_t, 256> kClasses = [] {
    std::array<std::uint8_t, 256> table{};
    auto const put = [&table](std::string_view characters, std::uint8_t value) {
        for (char const c : characters) table[static_cast<unsigned char>(c)] = value;
    };
    put(" \t\n\r\f\v", kBlank);
    for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = kNameStart;
    for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = kNameStart;
    for (unsigned c = 0x80; c <= 0xFF; ++c) table[c] = kNameStart;
    table['_'] = kNameStart;
    for (unsigned c = '0'; c <= '9'; ++c) table[c] = kDigit;
    put("+-*/<>=", kOperator);
    // Only an operator with one of these may end in + or -.
    put("~!@#^&|`?%", kOperator | kLetterOfOperator);
    return table;
}();

bool is_blank(unsigned char c) { return (kClasses[c] & kBlank) != 0; }
bool is_name_start(unsigned char c) { return (kClasses[c] & kNameStart) != 0; }
bool is_digit(unsigned char c) { return (kClasses[c] & kDigit) != 0; }
bool is_operator(unsigned char c) { return (kClasses[c] & kOperator) != 0; }
bool is_name(unsigned char c) { return (kClasses[c] & (kNameStart | kDigit)) != 0 || c == '$'; }
unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<unsigned char>(c + 32) : c; }

constexpr std::size_t kTextMax = std::size_t{1} << 30U;  // PostgreSQL's own limit of a message
constexpr std::size_t kNameMax = 63;                     // NAMEDATALEN - 1

}  // namespace

Lexer::Lexer(std::string_view text, Dialect const& dialect)
    : text_(text), backslashes_(!dialect.standard_conforming_strings) {}

Token Lexer::make(Kind kind, std::size_t begin, Word word) {
    return {kind, word, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_)};
}

Token Lexer::bad(std::size_t begin) {
    at_ = text_.size();
    return make(Kind::bad, begin);
}

// Comments nest. False: open at the end.
bool Lexer::skip_comment() {
    std::size_t depth = 1;
    for (at_ += 2; at_ < text_.size(); ++at_) {
        if (at(at_) == '*' && at(at_ + 1) == '/') {
            ++at_;
            if (--depth == 0) return ++at_, true;
        } else if (at(at_) == '/' && at(at_ + 1) == '*') {
            ++at_;
            ++depth;
        } else if (at(at_) == 0) {
            return false;
        }
    }
    return false;
}

bool Lexer::skip_blanks() {
    for (;;) {
        while (at_ < text_.size() && is_blank(at(at_))) ++at_;
        if (at(at_) == '-' && at(at_ + 1) == '-') {
            while (at_ < text_.size() && at(at_) != '\n' && at(at_) != '\r' && at(at_) != 0) ++at_;
        } else if (at(at_) == '/' && at(at_ + 1) == '*') {
            if (!skip_comment()) return false;
        } else {
            return true;
        }
    }
}

Token Lexer::next() {
    if (text_.size() > kTextMax) {
        text_ = {};
        return bad(0);
    }
    std::size_t const before = at_;
    if (!skip_blanks()) return bad(before);
    std::size_t const begin = at_;
    if (begin == text_.size()) return make(Kind::end, begin);
    unsigned char const c = at(begin);
    if (is_name_start(c)) return word(begin);
    if (is_digit(c) || (c == '.' && is_digit(at(begin + 1)))) return number(begin);
    switch (c) {
        case '\'':
            return string(begin, backslashes_ ? Kind::escape_string : Kind::string);
        case '"':
            return quoted(begin, Kind::quoted);
        case '$':
            return dollar(begin);
        default:
            return is_operator(c) ? op(begin) : symbol(begin);
    }
}

Token Lexer::symbol(std::size_t begin) {
    ++at_;
    switch (at(begin)) {
        case '(':
            return make(Kind::open, begin);
        case ')':
            return make(Kind::close, begin);
        case ',':
            return make(Kind::comma, begin);
        case ';':
            return make(Kind::semicolon, begin);
        case '.':
            if (at(at_) == '.') ++at_;
            return make(Kind::dot, begin);
        case ':':
            if (at(at_) == ':') return ++at_, make(Kind::cast, begin);
            if (at(at_) == '=') return ++at_, make(Kind::named, begin);
            return make(Kind::other, begin);
        case '[':
        case ']':
            return make(Kind::other, begin);
        default:
            return bad(begin);
    }
}

Token Lexer::op(std::size_t begin) {
    std::size_t end = begin;
    bool letter = false;
    for (; is_operator(at(end)); ++end) {
        // A comment begins in the middle of what looks like one operator.
        if (end > begin && ((at(end) == '-' && at(end + 1) == '-') || (at(end) == '/' && at(end + 1) == '*'))) break;
        letter = letter || (kClasses[at(end)] & kLetterOfOperator) != 0;
    }
    if (!letter)
        while (end > begin + 1 && (at(end - 1) == '+' || at(end - 1) == '-')) --end;
    at_ = end;
    return make(text_of(make(Kind::op, begin)) == "=>" ? Kind::named : Kind::op, begin);
}

Token Lexer::word(std::size_t begin) {
    unsigned char const first = lower(at(begin)), second = at(begin + 1);
    if (second == '\'') {
        at_ = begin + 1;
        if (first == 'e') return string(begin, Kind::escape_string);
        if (first == 'b' || first == 'x') return string(begin, Kind::other_string);
        // N'...' is the type nchar and an ordinary string: which word stands before it changes nothing here.
        if (first == 'n') return string(begin, backslashes_ ? Kind::escape_string : Kind::string);
    }
    if (first == 'u' && second == '&' && (at(begin + 2) == '\'' || at(begin + 2) == '"')) {
        at_ = begin + 2;
        if (at(at_) == '"') return quoted(begin, Kind::unicode_quoted);
        return backslashes_ ? bad(begin) : string(begin, Kind::other_string);
    }
    std::uint32_t hash = kWordSeed;
    std::size_t end = begin;
    for (; end < text_.size() && is_name(at(end)); ++end) hash = hash_word(hash, lower(at(end)));
    at_ = end;
    return make(Kind::word, begin, find_word(text_.substr(begin, end - begin), hash));
}

// What follows at once ("1into") is a token of its own, as it was before PostgreSQL 15 (which refuses it).
Token Lexer::number(std::size_t begin) {
    auto const digits = [this] {
        while (is_digit(at(at_))) ++at_;
    };
    digits();
    if (at(at_) == '.' && at(at_ + 1) != '.') {
        ++at_;
        digits();
    }
    if (lower(at(at_)) == 'e') {
        std::size_t const sign = at(at_ + 1) == '+' || at(at_ + 1) == '-' ? 1 : 0;
        if (is_digit(at(at_ + 1 + sign))) {
            at_ += 1 + sign;
            digits();
        }
    }
    return make(Kind::number, begin);
}

Token Lexer::quoted(std::size_t begin, Kind kind) {
    for (++at_; at_ < text_.size() && at(at_) != 0; ++at_) {
        if (at(at_) != '"') continue;
        if (at(at_ + 1) != '"') return ++at_, make(kind, begin);
        ++at_;
    }
    return bad(begin);
}

// Two strings with a line break between them are one (and the second follows the first one's rules).
bool Lexer::continues() {
    std::size_t const start = at_;
    bool line_break = false;
    for (;;) {
        unsigned char const c = at(at_);
        if (at_ < text_.size() && is_blank(c)) {
            line_break = line_break || c == '\n' || c == '\r';
            ++at_;
        } else if (c == '-' && at(at_ + 1) == '-') {
            while (at_ < text_.size() && at(at_) != '\n' && at(at_) != '\r') ++at_;
        } else {
            break;
        }
    }
    if (line_break && at(at_) == '\'') return true;
    at_ = start;
    return false;
}

Token Lexer::string(std::size_t begin, Kind kind) {
    for (++at_; at_ < text_.size() && at(at_) != 0; ++at_) {
        if (at(at_) == '\\' && kind == Kind::escape_string) {
            ++at_;
            if (at(at_) == 0) return bad(begin);
        } else if (at(at_) == '\'') {
            if (at(at_ + 1) == '\'') {
                ++at_;
                continue;
            }
            ++at_;
            if (!continues()) return make(kind, begin);
        }
    }
    return bad(begin);
}

Token Lexer::dollar(std::size_t begin) {
    std::size_t end = begin + 1;
    if (is_digit(at(end))) {
        while (is_digit(at(end))) ++end;
        at_ = end;
        return make(Kind::parameter, begin);
    }
    if (is_name_start(at(end)))
        while (is_name(at(end)) && at(end) != '$') ++end;
    if (at(end) != '$') return bad(begin);
    std::string_view const tag = text_.substr(begin, end + 1 - begin);
    std::size_t const close = text_.find(tag, end + 1);
    if (close == std::string_view::npos) return bad(begin);
    if (text_.substr(begin, close - begin).find('\0') != std::string_view::npos) return bad(begin);
    at_ = close + tag.size();
    return make(Kind::dollar_string, begin);
}

std::optional<std::string> name_of(Lexer const& lexer, Token const& token) {
    std::string_view const text = lexer.text_of(token);
    std::string name;
    if (token.kind == Kind::word) {
        name.reserve(text.size());
        for (char const c : text) name.push_back(static_cast<char>(lower(static_cast<unsigned char>(c))));
    } else if (token.kind == Kind::quoted) {
        for (std::size_t i = 1; i + 1 < text.size(); ++i) {
            name.push_back(text[i]);
            if (text[i] == '"') ++i;
        }
    }
    if (name.empty() || name.size() > kNameMax) return std::nullopt;
    return name;
}

std::optional<std::string> value_of(Lexer const& lexer, Token const& token) {
    std::string_view text = lexer.text_of(token);
    if (token.kind == Kind::dollar_string) {
        std::size_t const tag = text.find('$', 1) + 1;
        return std::string(text.substr(tag, text.size() - 2 * tag));
    }
    if (token.kind != Kind::string && token.kind != Kind::escape_string) return std::nullopt;
    if (token.kind == Kind::escape_string && text.find('\\') != std::string_view::npos) return std::nullopt;
    text.remove_prefix(text.find('\'') + 1);
    text.remove_suffix(1);
    std::string value;
    value.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\'') {
            if (i + 1 == text.size() || text[i + 1] != '\'') return std::nullopt;  // continued on another line
            ++i;
        }
        value.push_back(text[i]);
    }
    return value;
}

}  // namespace keel::sql
