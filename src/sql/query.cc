#include "sql/query.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sql/reach.h"
#include "sql/session.h"

namespace keel::sql {

namespace {

// The verb of a query that begins with WITH: what stands behind the last table expression.
Verb verb_behind_with(Cursor cursor) {
    std::size_t depth = 0;
    for (; !cursor.at_end(); cursor.step()) {
        Token const& token = cursor.here();
        if (token.kind == Kind::open) ++depth;
        if (token.kind == Kind::close && depth > 0) --depth;
        if (depth > 0 || token.kind != Kind::word) continue;
        if (token.is(Word::select)) return Verb::select;
        if (token.is(Word::table)) return Verb::table;
        if (cursor.before().kind != Kind::close) continue;
        if (token.is(Word::insert)) return Verb::insert;
        if (token.is(Word::update)) return Verb::update;
        if (token.is(Word::delete_)) return Verb::delete_;
        if (token.is(Word::merge)) return Verb::merge;
        if (token.is(Word::values)) return Verb::values;
    }
    return Verb::select;
}

Verb verb_of_query(Cursor cursor) {
    while (cursor.take(Kind::open)) {
    }
    if (cursor.here().is(Word::values)) return Verb::values;
    if (cursor.here().is(Word::table)) return Verb::table;
    return cursor.here().is(Word::with) ? verb_behind_with(cursor) : Verb::select;
}

// Answers that are the same on every server of a cluster. Other settings may differ from server to server, and a driver
// asks for transaction_read_only to find the primary.
constexpr std::array<std::string_view, 8> kSameEverywhere = {"server_version", "server_version_num", "server_encoding",
                                                             "lc_collate",     "lc_ctype",           "block_size",
                                                             "wal_block_size", "integer_datetimes"};

}  // namespace

bool begins_query(Cursor const& cursor) {
    Token const& token = cursor.here();
    return token.kind == Kind::open || token.is(Word::select) || token.is(Word::values) || token.is(Word::table) ||
           token.is(Word::with);
}

void read_query(Cursor& cursor, Statement& statement, Look look) {
    statement.verb = verb_of_query(cursor);
    statement.reach.unsafe.clear();
    bool const sets = read_set_config(cursor, statement);
    Pins const pins = statement.pins;
    if (look == Look::reach) {
        ReachScan(cursor, statement).run();
    } else {
        statement.reach.unsafe = "nobody looked at what it reads";
        watch_query(cursor, statement);
    }
    if (sets) statement.pins = pins;
}

bool read_explain(Cursor& cursor, Statement& statement, Dialect const& dialect) {
    if (cursor.here().kind == Kind::open) {
        Cursor ahead = cursor;
        ahead.step();
        if (!begins_query(ahead)) {  // else the query itself stands in parentheses
            while (!cursor.at_end() && cursor.here().kind != Kind::close) cursor.step();
            if (!cursor.take(Kind::close)) return false;
        }
    }
    if (!cursor.take(Word::analyze)) cursor.take(Word::analyse);
    cursor.take(Word::verbose);
    if (begins_query(cursor)) {
        Cursor query(cursor.rest(), dialect);
        read_query(query, statement, Look::reach);
        // Whether set_config() runs depends on ANALYZE.
        for (auto const& setting : std::exchange(statement.settings, {}))
            if (!setting.local) statement.pins.untracked_setting = true;
        bool const bad = statement.verb == Verb::unknown;
        statement.verb = Verb::explain;
        return !bad;
    }
    statement.verb = Verb::explain;
    statement.reach.unsafe = "it explains what is no query";
    if (cursor.take(Word::execute) && cursor.here().is_name())
        statement.name = name_of(cursor.lexer(), cursor.here()).value_or("");
    // EXPLAIN ANALYZE CREATE TABLE AS makes the table.
    if (cursor.take(Word::create)) {
        if (!cursor.take(Word::local)) cursor.take(Word::global);
        statement.pins.temp_object = cursor.here().is(Word::temp) || cursor.here().is(Word::temporary);
    }
    watch_rest(cursor, statement);
    return statement.verb == Verb::explain;
}

bool read_copy(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::copy_from;
    statement.reach.unsafe.clear();
    if (cursor.take(Kind::open)) {
        if (!begins_query(cursor)) statement.reach.unsafe = "it copies what is no query";
        ReachScan(cursor, statement).run(true);
        if (!cursor.take(Kind::close)) return false;
    } else {
        cursor.take(Word::binary);
        if (!ReachScan(cursor, statement).relation()) return false;
        if (cursor.take(Kind::open)) {  // the columns
            while (!cursor.at_end() && cursor.here().kind != Kind::close) cursor.step();
            if (!cursor.take(Kind::close)) return false;
        }
    }
    if (cursor.take(Word::to)) {
        statement.verb = Verb::copy_to;
        if (!cursor.here().is(Word::stdout_))
            statement.reach.unsafe = "it writes a file of the server, or runs a program there";
    } else if (!cursor.take(Word::from)) {
        return false;
    }
    watch_rest(cursor, statement);
    return statement.verb != Verb::unknown;
}

bool read_show(Cursor& cursor, Statement& statement) {
    statement.verb = Verb::show;
    if (cursor.here().is(Word::transaction) && cursor.peek(1).is(Word::isolation)) {
        statement.name = "transaction_isolation";
        statement.reach.unsafe = "a setting may differ from server to server";
        return true;
    }
    for (; cursor.here().is_name(); cursor.step()) {
        statement.name += name_of(cursor.lexer(), cursor.here()).value_or("");
        if (cursor.peek(1).kind != Kind::dot) continue;
        statement.name += '.';
        cursor.step();
    }
    if (statement.name.empty() || !cursor.at_end()) return false;
    bool const same = std::ranges::find(kSameEverywhere, statement.name) != kSameEverywhere.end();
    statement.reach.unsafe = same ? "" : "a setting may differ from server to server";
    return true;
}

}  // namespace keel::sql
