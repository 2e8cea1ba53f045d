#include "sql/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sql/reach.h"

namespace keel::sql {

namespace {

bool is_any(std::string_view name, auto const& names) { return std::ranges::find(names, name) != std::end(names); }

// SET of these reaches no further than the transaction, as SET TRANSACTION does.
constexpr std::array<std::string_view, 3> kOfTransaction = {"transaction_isolation", "transaction_read_only",
                                                            "transaction_deferrable"};
// The value is an order, or a state that moves on by itself: setting it again elsewhere is not the same.
constexpr std::array<std::string_view, 1> kNotRepeatable = {"seed"};

// One value as SQL; empty: none that can be repeated.
std::string one_value(Cursor& cursor) {
    std::string sign;
    if (cursor.here().kind == Kind::op) {
        sign = cursor.text_of(cursor.here());
        if (sign != "-" && sign != "+") return {};
        cursor.step();
        if (cursor.here().kind != Kind::number) return {};
    }
    Token const token = cursor.here();
    std::string out;
    if (token.kind == Kind::word) {
        bool const reserved = category_of(token.word) == Category::reserved;
        if (reserved && !token.is(Word::on) && !token.is(Word::true_) && !token.is(Word::false_)) return {};
        out = name_of(cursor.lexer(), token).value_or("");
    } else if (token.kind == Kind::quoted) {
        if (name_of(cursor.lexer(), token)) out = cursor.text_of(token);
    } else if (token.kind == Kind::number) {
        out = sign + std::string(cursor.text_of(token));
    } else if (auto const value = value_of(cursor.lexer(), token); value && value->find('\\') == std::string::npos) {
        out = "'";
        for (char const c : *value) out += c == '\'' ? std::string("''") : std::string(1, c);
        out += "'";
    }
    if (!out.empty()) cursor.step();
    return out;
}

// Behind TO or =, up to the end.
void read_value(Cursor& cursor, Setting& setting) {
    if (cursor.here().is(Word::default_) && cursor.peek(1).kind == Kind::end) {
        setting.change = Setting::Change::to_default;
        return;
    }
    setting.trackable = false;
    std::string value;
    for (;;) {
        std::string const one = one_value(cursor);
        if (one.empty()) return;
        value += one;
        if (cursor.at_end()) break;
        if (!cursor.take(Kind::comma)) return;
        value += ", ";
    }
    setting.trackable = !is_any(setting.name, kNotRepeatable);
    setting.value = std::move(value);
}

// a.b.c; empty: no name, one that PostgreSQL would cut, or one with an empty part, which cannot be said again.
std::string setting_name(Cursor& cursor) {
    std::string name;
    for (;;) {
        auto const part = cursor.here().is_name() ? name_of(cursor.lexer(), cursor.here()) : std::nullopt;
        if (!part) return {};
        name += *part;
        cursor.step();
        if (cursor.here().kind != Kind::dot) break;
        name += '.';
        cursor.step();
    }
    // Names of settings are compared without regard to case, quoted or not (guc_name_compare).
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    bool const whole = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    return whole ? name : std::string();
}

bool may_say_temp(std::string value) {
    std::ranges::transform(value, value.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return value.find("pg_temp") != std::string::npos;
}

bool finish(Statement& statement, Setting setting) {
    if (is_any(setting.name, kOfTransaction)) setting.local = true;
    if (!setting.trackable && !setting.local) statement.pins.untracked_setting = true;
    // With it in front, CREATE TABLE makes temporary tables without saying so.
    if (setting.name == "search_path" && may_say_temp(setting.value)) statement.pins.temp_object = true;
    statement.settings.push_back(std::move(setting));
    return true;
}

// SET SESSION CHARACTERISTICS AS TRANSACTION modes, as the settings that they are.
bool read_characteristics(Cursor& cursor, Statement& statement) {
    TransactionModes modes;
    if (!cursor.take(Word::as) || !cursor.take(Word::transaction) || !read_modes(cursor, modes)) return false;
    auto const add = [&](std::string name, std::string value) {
        statement.settings.push_back({.name = std::move(name), .value = std::move(value)});
    };
    constexpr std::array<char const*, 4> kLevels = {"'read uncommitted'", "'read committed'", "'repeatable read'",
                                                    "'serializable'"};
    if (modes.isolation) add("default_transaction_isolation", kLevels[static_cast<std::size_t>(*modes.isolation)]);
    if (modes.read_only) add("default_transaction_read_only", *modes.read_only ? "on" : "off");
    if (modes.deferrable) add("default_transaction_deferrable", *modes.deferrable ? "on" : "off");
    return !statement.settings.empty();
}

// SET TIME ZONE, SCHEMA, NAMES, ROLE, SESSION AUTHORIZATION, XML OPTION: settings by another name.
bool read_special(Cursor& cursor, Statement& statement, Setting setting) {
    auto const named = [&](char const* name, int words) {
        for (; words > 0; --words) cursor.step();
        setting.name = name;
        if (cursor.at_end()) return false;
        read_value(cursor, setting);
        return finish(statement, std::move(setting));
    };
    Token const first = cursor.here(), second = cursor.peek(1);
    if (first.is(Word::time) && second.is(Word::zone)) {
        if (cursor.peek(2).is(Word::local)) {
            setting.name = "timezone";
            setting.change = Setting::Change::to_default;
            return finish(statement, std::move(setting));
        }
        return named("timezone", 2);
    }
    if (first.is(Word::names) && second.kind == Kind::end) {
        setting.name = "client_encoding";
        setting.change = Setting::Change::to_default;
        return finish(statement, std::move(setting));
    }
    if (first.is(Word::names)) return named("client_encoding", 1);
    if (first.is(Word::schema) && second.is_string()) return named("search_path", 1);
    if (first.is(Word::role)) return named("role", 1);
    if (first.is(Word::session) && second.is(Word::authorization)) return named("session_authorization", 2);
    if (first.is(Word::xml) && second.is(Word::option)) return named("xmloption", 2);
    return false;
}

bool is_assignment(Cursor const& cursor, Token const& token) {
    return token.is(Word::to) || token.kind == Kind::dot || (token.kind == Kind::op && cursor.text_of(token) == "=");
}

}  // namespace

bool read_set(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::set;
    if (cursor.here().is(Word::constraints) && !is_assignment(cursor, cursor.peek(1))) {
        statement.verb = Verb::set_constraints;
        return true;
    }
    Setting setting;
    if (!is_assignment(cursor, cursor.peek(1))) {
        if (cursor.here().is(Word::local)) setting.local = true;
        bool const session = cursor.here().is(Word::session) && !cursor.peek(1).is(Word::authorization);
        if (setting.local || session) cursor.step();
        if (session && cursor.take(Word::characteristics)) return read_characteristics(cursor, statement);
    }
    if (!is_assignment(cursor, cursor.peek(1))) {
        if (cursor.take(Word::transaction)) {
            statement.verb = Verb::set_transaction;
            if (!cursor.take(Word::snapshot)) return read_modes(cursor, statement.transaction);
            statement.transaction.snapshot = true;
            return true;
        }
        return read_special(cursor, statement, std::move(setting));
    }
    setting.name = setting_name(cursor);
    if (setting.name.empty()) return false;
    if (!cursor.take(Word::to)) {
        if (cursor.here().kind != Kind::op || cursor.text_of(cursor.here()) != "=") return false;
        cursor.step();
    }
    read_value(cursor, setting);
    return finish(statement, std::move(setting));
}

bool read_reset(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::reset;
    Setting setting{.change = Setting::Change::to_default};
    if (cursor.take(Word::all)) {
        setting.change = Setting::Change::reset_all;
    } else if (cursor.here().is(Word::time) && cursor.peek(1).is(Word::zone)) {
        setting.name = "timezone";
        cursor.step(), cursor.step();
    } else if (cursor.here().is(Word::session) && cursor.peek(1).is(Word::authorization)) {
        setting.name = "session_authorization";
        cursor.step(), cursor.step();
    } else if (cursor.here().is(Word::transaction) && cursor.peek(1).is(Word::isolation)) {
        setting.name = "transaction_isolation";
        cursor.step(), cursor.step();
        if (!cursor.take(Word::level)) return false;
    } else {
        setting.name = setting_name(cursor);
        if (setting.name.empty()) return false;
    }
    return cursor.at_end() && finish(statement, std::move(setting));
}

bool read_discard(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::discard;
    statement.all = cursor.take(Word::all);
    if (statement.all) {
        statement.settings = {{.change = Setting::Change::reset_all},
                              {.name = "session_authorization", .change = Setting::Change::to_default},
                              {.name = "role", .change = Setting::Change::to_default}};
        return cursor.at_end();
    }
    statement.name = name_of(cursor.lexer(), cursor.here()).value_or("");
    if (statement.name == "temporary") statement.name = "temp";
    cursor.step();
    return cursor.at_end() && (statement.name == "temp" || statement.name == "plans" || statement.name == "sequences");
}

bool read_set_config(Cursor cursor, Statement& statement) {
    if (!cursor.take(Word::select)) return false;
    std::vector<Setting> settings;
    do {
        if (name_of(cursor.lexer(), cursor.here()) == "pg_catalog" && cursor.peek(1).kind == Kind::dot)
            cursor.step(), cursor.step();
        if (name_of(cursor.lexer(), cursor.here()) != "set_config") return false;
        cursor.step();
        if (!cursor.take(Kind::open)) return false;
        auto const name = value_of(cursor.lexer(), cursor.here());
        cursor.step();
        if (!name || name->empty() || name->find('\\') != std::string::npos || !cursor.take(Kind::comma) ||
            !cursor.here().is_string())
            return false;
        Setting setting{.value = one_value(cursor), .by_function = true};
        if (setting.value.empty() || !cursor.take(Kind::comma)) return false;
        setting.local = cursor.here().is(Word::true_);
        if (!setting.local && !cursor.here().is(Word::false_)) return false;
        cursor.step();
        if (!cursor.take(Kind::close)) return false;
        if (cursor.take(Word::as)) {
            if (!cursor.here().is_name()) return false;
            cursor.step();
        }
        setting.name = *name;
        std::ranges::transform(setting.name, setting.name.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        if (is_any(setting.name, kNotRepeatable)) return false;
        settings.push_back(std::move(setting));
    } while (cursor.take(Kind::comma));
    if (!cursor.at_end()) return false;
    for (auto& setting : settings) finish(statement, std::move(setting));
    return true;
}

}  // namespace keel::sql
