#include <algorithm>
#include <array>
#include <utility>

#include "sql/query.h"
#include "sql/reach.h"
#include "sql/session.h"

namespace keel::sql {

namespace {

bool has_high_bytes(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

Hint read_hint(std::string_view text) {
    auto const skip = [&text] { text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size())); };
    auto const take = [&](std::string_view what) {
        skip();
        if (!text.starts_with(what)) return false;
        text.remove_prefix(what.size());
        return true;
    };
    if (!take("/*") || !take("keel:")) return Hint::none;
    Hint const hint = take("primary") ? Hint::primary : take("replica") ? Hint::replica : Hint::none;
    return take("*/") ? hint : Hint::none;
}

// The name under the cursor, which must end the statement.
bool last_name(Cursor& cursor, Statement& statement) {
    auto name = cursor.here().is_name() ? name_of(cursor.lexer(), cursor.here()) : std::nullopt;
    if (!name) return false;
    statement.name = std::move(*name);
    cursor.step();
    return cursor.at_end();
}

// What stands between the parenthesis under the cursor and its match, which is left behind.
bool read_parentheses(Cursor& cursor, std::string& text) {
    if (!cursor.take(Kind::open)) return false;
    std::uint32_t const begin = cursor.here().begin;
    for (std::size_t depth = 1; !cursor.at_end(); cursor.step()) {
        if (cursor.here().kind == Kind::open) ++depth;
        if (cursor.here().kind != Kind::close || --depth > 0) continue;
        text = cursor.lexer().text().substr(begin, cursor.here().begin - begin);
        cursor.step();
        return true;
    }
    return false;
}

bool read_prepare(Cursor& cursor, Statement& statement) {
    if (cursor.here().is(Word::transaction) && cursor.peek(1).is_string())
        return read_transaction(Word::prepare, cursor, statement);
    statement.verb = Verb::prepare;
    auto const name = cursor.here().is_name() ? name_of(cursor.lexer(), cursor.here()) : std::nullopt;
    if (!name) return false;
    statement.name = *name;
    cursor.step();
    if (cursor.here().kind == Kind::open && !read_parentheses(cursor, statement.arguments)) return false;
    if (!cursor.take(Word::as) || cursor.at_end()) return false;
    std::uint32_t const begin = cursor.here().begin;
    std::uint32_t end = begin;
    for (; !cursor.at_end(); cursor.step()) {
        if (cursor.here().kind == Kind::bad || cursor.here().kind == Kind::semicolon) return false;
        end = cursor.here().end;
    }
    statement.body = cursor.lexer().text().substr(begin, end - begin);
    return true;
}

bool read_execute(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::execute;
    auto const name = cursor.here().is_name() ? name_of(cursor.lexer(), cursor.here()) : std::nullopt;
    if (!name) return false;
    statement.name = *name;
    cursor.step();
    statement.reach.unsafe.clear();
    if (cursor.at_end()) return true;
    Cursor arguments = cursor;
    if (!read_parentheses(arguments, statement.arguments) || !arguments.at_end()) return false;
    ReachScan(cursor, statement).run();
    return statement.verb == Verb::execute;
}

bool read_named(Word first, Cursor& cursor, Statement& statement) {
    switch (first) {
        case Word::deallocate:
            statement.verb = Verb::deallocate;
            if (cursor.peek(1).kind != Kind::end) cursor.take(Word::prepare);
            statement.all = cursor.take(Word::all);
            return statement.all ? cursor.at_end() : last_name(cursor, statement);
        case Word::close:
            statement.verb = Verb::close;
            statement.all = cursor.take(Word::all);
            return statement.all ? cursor.at_end() : last_name(cursor, statement);
        case Word::listen:
            statement.verb = Verb::listen;
            statement.pins.listen = true;
            return last_name(cursor, statement);
        case Word::unlisten:
            statement.verb = Verb::unlisten;
            statement.all = cursor.here().kind == Kind::op && cursor.text_of(cursor.here()) == "*";
            if (!statement.all) return last_name(cursor, statement);
            cursor.step();
            return cursor.at_end();
        case Word::notify:
            statement.verb = Verb::notify;
            if (last_name(cursor, statement)) return true;
            return !statement.name.empty() && cursor.take(Kind::comma) && cursor.here().is_string() &&
                   cursor.peek(1).kind == Kind::end;
        default:
            return false;
    }
}

bool read_declare(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::declare_cursor;
    auto const name = cursor.here().is_name() ? name_of(cursor.lexer(), cursor.here()) : std::nullopt;
    if (!name) return false;
    statement.name = *name;
    for (cursor.step(); !cursor.at_end() && !cursor.here().is(Word::for_); cursor.step())
        if (cursor.here().is(Word::with) && cursor.peek(1).is(Word::hold)) statement.with_hold = true;
    if (cursor.at_end()) return false;
    statement.pins.held_cursor = statement.with_hold;
    watch_rest(cursor, statement);
    return statement.verb == Verb::declare_cursor;
}

bool read_fetch(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::fetch;
    for (; !cursor.at_end() && cursor.here().kind != Kind::bad; cursor.step())
        if (cursor.here().is_name() && cursor.peek(1).kind == Kind::end)
            statement.name = name_of(cursor.lexer(), cursor.here()).value_or("");
    return cursor.at_end();
}

// Words of a body of code that may change the session. An EXECUTE may do anything.
constexpr std::array<std::string_view, 15> kChanges = {"set",  "reset",     "set_config", "set_limit", "setseed",
                                                       "temp", "temporary", "listen",     "load",      "prepare",
                                                       "hold", "execute",   "discard",    "call",      "advisory"};
constexpr std::array<std::string_view, 5> kChangePrefixes = {"pg_temp", "pg_advisory_lock", "pg_try_advisory", "dblink",
                                                             "pg_replication_origin"};

bool may_change_session(std::string_view body) {
    std::string word;
    for (std::size_t i = 0; i <= body.size(); ++i) {
        char const c = i < body.size() ? body[i] : ' ';
        bool const letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (letter) {
            if (word.size() < 64) word += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
            continue;
        }
        if (std::ranges::find(kChanges, word) != kChanges.end() || word.ends_with("_replication_slot")) return true;
        if (std::ranges::any_of(kChangePrefixes, [&](std::string_view prefix) { return word.starts_with(prefix); }))
            return true;
        if (word == "u" && c == '&') return true;  // a name or string with Unicode escapes
        word.clear();
    }
    return false;
}

bool read_do(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::do_block;
    std::size_t bodies = 0;
    for (; !cursor.at_end() && cursor.here().kind != Kind::bad; cursor.step()) {
        if (cursor.here().is_string()) {
            bool const plain = cursor.here().kind == Kind::string || cursor.here().kind == Kind::dollar_string;
            ++bodies;
            if (!plain || may_change_session(cursor.text_of(cursor.here()))) statement.pins.do_block = true;
        } else if (name_of(cursor.lexer(), cursor.here()) != "language" &&
                   name_of(cursor.lexer(), cursor.here()) != "plpgsql") {
            statement.pins.do_block = true;  // another language
        }
    }
    if (bodies != 1) statement.pins.do_block = true;
    return cursor.at_end();
}

void read_create(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::utility;
    if (cursor.take(Word::or_)) cursor.take(Word::replace);
    if (!cursor.take(Word::local)) cursor.take(Word::global);
    bool temp = cursor.here().is(Word::temp) || cursor.here().is(Word::temporary);
    bool dropped = false;
    for (Cursor ahead = cursor; temp && !ahead.at_end(); ahead.step())
        dropped =
            dropped || (ahead.here().is(Word::on) && ahead.peek(1).is(Word::commit) && ahead.peek(2).is(Word::drop));
    watch_rest(cursor, statement);
    if (statement.verb == Verb::unknown) return;
    temp = temp || statement.pins.temp_object;
    if (temp) statement.verb = Verb::create_temp;
    statement.pins.temp_object = temp && !dropped;
}

struct Simple {
    Word word;
    Verb verb;
};
// Statements of which only the verb counts.
constexpr Simple kSimple[] = {
    {Word::insert, Verb::insert},    {Word::update, Verb::update},     {Word::delete_, Verb::delete_},
    {Word::merge, Verb::merge},      {Word::truncate, Verb::truncate}, {Word::lock, Verb::lock},
    {Word::call, Verb::call},        {Word::load, Verb::load},         {Word::alter, Verb::utility},
    {Word::analyze, Verb::utility},  {Word::analyse, Verb::utility},   {Word::checkpoint, Verb::utility},
    {Word::cluster, Verb::utility},  {Word::comment, Verb::utility},   {Word::drop, Verb::utility},
    {Word::grant, Verb::utility},    {Word::import, Verb::utility},    {Word::reassign, Verb::utility},
    {Word::refresh, Verb::utility},  {Word::reindex, Verb::utility},   {Word::revoke, Verb::utility},
    {Word::security, Verb::utility}, {Word::vacuum, Verb::utility}};

bool read_simple(Word first, Cursor& cursor, Statement& statement) {
    auto const* const found = std::ranges::find(kSimple, first, &Simple::word);
    if (found == std::end(kSimple)) return false;
    statement.verb = found->verb;
    statement.pins.call = found->verb == Verb::call;
    statement.pins.load = found->verb == Verb::load;
    watch_rest(cursor, statement);
    return statement.verb == found->verb;
}

bool read_statement(Word first, Cursor& cursor, Statement& statement, Dialect const& dialect) {
    switch (first) {
        case Word::explain:
            return read_explain(cursor, statement, dialect);
        case Word::copy:
            return read_copy(cursor, statement);
        case Word::show:
            return read_show(cursor, statement);
        case Word::begin:
        case Word::start:
        case Word::commit:
        case Word::end:
        case Word::rollback:
        case Word::abort:
        case Word::savepoint:
        case Word::release:
            return read_transaction(first, cursor, statement);
        case Word::set:
            return read_set(cursor, statement);
        case Word::reset:
            return read_reset(cursor, statement);
        case Word::discard:
            return read_discard(cursor, statement);
        case Word::prepare:
            return read_prepare(cursor, statement);
        case Word::execute:
            return read_execute(cursor, statement);
        case Word::declare:
            return read_declare(cursor, statement);
        case Word::fetch:
        case Word::move:
            return read_fetch(cursor, statement);
        case Word::do_:
            return read_do(cursor, statement);
        case Word::create:
            return read_create(cursor, statement), statement.verb != Verb::unknown;
        default:
            return read_named(first, cursor, statement) || read_simple(first, cursor, statement);
    }
}

// Of what a statement's reader left alone. EXPLAIN's query was read by a cursor of its own.
bool is_sql_to_the_end(Cursor& cursor, Statement const& statement) {
    if (statement.verb == Verb::explain) return true;
    for (; !cursor.at_end(); cursor.step())
        if (cursor.here().kind == Kind::bad || cursor.here().kind == Kind::semicolon) return false;
    return true;
}

bool is_read(Verb verb) {
    return verb == Verb::select || verb == Verb::values || verb == Verb::table || verb == Verb::show ||
           verb == Verb::explain || verb == Verb::copy_to || verb == Verb::execute;
}

// What was not understood is a statement that PostgreSQL refuses, or one that may do anything to the session.
void forget(Statement& statement, Word first) {
    bool const sets = first == Word::set || first == Word::reset || first == Word::discard;
    Statement const old = std::exchange(statement, Statement{});
    statement.hint = old.hint;
    statement.pins = old.pins;
    statement.pins.untracked_setting = old.pins.untracked_setting || sets;
}

}  // namespace

Statement classify(std::string_view text, Dialect const& dialect, Look look) {
    Statement statement;
    if (!dialect.ascii_safe && has_high_bytes(text)) {
        statement.reach.unsafe = "its encoding cannot be read before the server has converted it";
        statement.pins.untracked_setting = true;
        return statement;
    }
    statement.hint = read_hint(text);
    Cursor cursor(text, dialect);
    if (cursor.at_end()) {
        statement.verb = Verb::empty;
        statement.reach.unsafe = "it is empty";
        return statement;
    }
    Word const first = cursor.here().word;
    if (begins_query(cursor)) {
        read_query(cursor, statement, look);
        if (statement.verb == Verb::unknown) forget(statement, first);
    } else {
        cursor.step();
        if (!read_statement(first, cursor, statement, dialect) || !is_sql_to_the_end(cursor, statement))
            forget(statement, first);
    }
    if (!is_read(statement.verb) && statement.verb != Verb::unknown) {
        statement.reach = {};
        statement.reach.unsafe = std::string(to_string(statement.verb)) + " is no read";
    }
    return statement;
}

}  // namespace keel::sql
