#include <algorithm>
#include <array>

#include "sql/reach.h"

namespace keel::sql {

namespace {

constexpr std::array<std::string_view, 4> kSessionLocks = {"pg_advisory_lock", "pg_advisory_lock_shared",
                                                           "pg_try_advisory_lock", "pg_try_advisory_lock_shared"};
// They set something that no SET can say again.
constexpr std::array<std::string_view, 3> kSettingFunctions = {"setseed", "set_limit",
                                                               "pg_replication_origin_session_setup"};
constexpr std::size_t kProbeMax = 64;

// A replication slot may be made for the session only.
bool makes_slot(std::string_view name) {
    return (name.starts_with("pg_create_") || name.starts_with("pg_copy_")) && name.ends_with("_replication_slot");
}

// Whether the call of set_config() under the cursor says TRUE as its third argument: then it ends with the transaction.
bool is_local_set_config(Cursor cursor) {
    cursor.step();
    if (!cursor.take(Kind::open)) return false;
    int depth = 0, argument = 1;
    for (std::size_t i = 0; i < kProbeMax && !cursor.at_end(); ++i, cursor.step()) {
        Kind const kind = cursor.here().kind;
        if (argument == 3) return cursor.here().is(Word::true_) && cursor.peek(1).kind == Kind::close;
        if (kind == Kind::open) ++depth;
        if (kind == Kind::close && --depth < 0) return false;
        if (kind == Kind::comma && depth == 0) ++argument;
    }
    return false;
}

void watch_token(Cursor const& cursor, Statement& statement) {
    Kind const kind = cursor.here().kind;
    if (kind == Kind::word || kind == Kind::quoted || kind == Kind::unicode_quoted) watch_name(cursor, statement);
    if (kind == Kind::bad) statement.verb = Verb::unknown;
    if (kind == Kind::semicolon && cursor.peek(1).kind != Kind::end) statement.verb = Verb::unknown;
}

}  // namespace

void watch_name(Cursor const& cursor, Statement& statement) {
    Token const& token = cursor.here();
    if (token.kind == Kind::unicode_quoted) {
        statement.pins.untracked_setting = true;  // it may be the name of anything
        return;
    }
    std::string_view text = cursor.text_of(token);
    if (token.kind == Kind::quoted) text = text.substr(1, text.size() - 2);
    // All the names looked for begin with d, p or s: nothing is copied for the others.
    if (text.size() < 7 || text.find_first_of("dDpPsS") != 0) return;
    auto const name = name_of(cursor.lexer(), token);
    if (!name) return;
    if (name == "pg_temp" || name->starts_with("pg_temp_")) {
        statement.pins.temp_object = true;
    } else if (makes_slot(*name)) {
        statement.pins.temp_object = true;
    } else if (std::ranges::find(kSessionLocks, *name) != kSessionLocks.end()) {
        statement.pins.advisory_lock = true;
    } else if (std::ranges::find(kSettingFunctions, *name) != kSettingFunctions.end() ||
               name->starts_with("dblink_connect")) {
        statement.pins.untracked_setting = true;
    } else if (name == "set_config" && !is_local_set_config(cursor)) {
        statement.pins.untracked_setting = true;
    }
}

bool makes_temp(Cursor const& into) {
    Token const& next = into.peek(1);
    return next.is(Word::temp) || next.is(Word::temporary) || next.is(Word::local) || next.is(Word::global);
}

void watch_rest(Cursor& cursor, Statement& statement) {
    for (; !cursor.at_end(); cursor.step()) watch_token(cursor, statement);
}

void watch_query(Cursor& cursor, Statement& statement) {
    for (; !cursor.at_end(); cursor.step()) {
        bool const into = cursor.here().is(Word::into) && cursor.before().kind != Kind::dot;
        if (into && makes_temp(cursor)) statement.pins.temp_object = true;
        watch_token(cursor, statement);
    }
}

}  // namespace keel::sql
