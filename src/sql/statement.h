// What a proxy must know of one SQL statement before it decides where to send it, and of what it leaves behind in the
// session.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/dialect.h"

namespace keel::sql {

enum class Verb {
    unknown,  // not understood: primary
    empty,    // nothing but blanks and comments
    select,   // also with a leading WITH or parenthesis, and SELECT INTO (which `reach.unsafe` names)
    values,
    table,
    show,
    explain,
    copy_to,    // TO STDOUT, a file or a program (only the first is ever safe)
    copy_from,  // FROM STDIN, a file or a program
    insert,
    update,
    delete_,
    merge,
    truncate,
    begin,  // START TRANSACTION too
    commit,
    rollback,
    savepoint,
    release,
    rollback_to,
    prepare_transaction,
    commit_prepared,
    rollback_prepared,
    set_transaction,  // `transaction` has the modes
    set,              // `settings` has what it changes; SET LOCAL too
    reset,
    discard,
    set_constraints,
    prepare,
    execute,
    deallocate,
    listen,
    unlisten,
    notify,
    declare_cursor,
    fetch,  // MOVE too
    close,
    lock,
    do_block,
    call,
    load,
    create_temp,
    utility,  // any other statement that PostgreSQL knows: DDL, VACUUM, GRANT
};
char const* to_string(Verb verb);

// A comment at the very beginning: /* keel: primary */ or /* keel: replica */. The caller obeys `replica` for reads
// that it would send to the primary for want of proof; never for a verb that is no read.
enum class Hint { none, primary, replica };

enum class Isolation { read_uncommitted, read_committed, repeatable_read, serializable };

// Modes of BEGIN, START TRANSACTION, SET TRANSACTION; `chain` of COMMIT and ROLLBACK.
struct TransactionModes {
    std::optional<Isolation> isolation = {};
    std::optional<bool> read_only = {};
    std::optional<bool> deferrable = {};
    bool chain = false;
    // SET TRANSACTION SNAPSHOT: the snapshot belongs to one server.
    bool snapshot = false;
};

// One change of a session's settings: SET, RESET, or a call of set_config() with literals.
struct Setting {
    enum class Change { set, to_default, reset_all };
    std::string name =
        {};  // folded to lower case; `role`, `session_authorization`, `timezone` also for their own forms
    Change change = Change::set;
    bool local = false;        // ends with the transaction
    std::string value = {};    // as SQL text: what stood behind TO or =, or set_config's second argument with quotes
    bool by_function = false;  // `value` is for set_config(), which reads 'a, b' as two names, where SET reads one
    bool trackable = true;     // false: the value cannot be said again elsewhere; the session keeps its server
};
// SQL that makes the same change in another session. Only of a trackable setting.
std::string replay(Setting const& setting);

// What ties the session to its server from now on.
struct Pins {
    bool temp_object = false;        // CREATE TEMP, SELECT INTO TEMP, pg_temp; not with ON COMMIT DROP
    bool advisory_lock = false;      // of the session, not of the transaction
    bool held_cursor = false;        // DECLARE ... WITH HOLD
    bool listen = false;             // LISTEN, unless the proxy listens for its clients
    bool load = false;               // LOAD
    bool do_block = false;           // DO whose body may change the session
    bool call = false;               // CALL: what the procedure does is not visible
    bool untracked_setting = false;  // a setting that is not trackable, or set_config() with computed arguments
    bool any() const;
    // As words for an operator: "temporary table, advisory lock"; empty when nothing ties.
    std::string text() const;
};

// A name as PostgreSQL would look it up: folded and unquoted; `schema` is empty when none was written. Of a longer path
// the last two parts.
struct Name {
    std::string schema = {};
    std::string name = {};
    auto operator<=>(Name const&) const = default;
};

// What a read touches. `unsafe` is the reason why it may not go to a replica, as a sentence; when it is empty the
// catalogue decides about the names (catalogue.h, judge).
struct Reach {
    std::string unsafe = "the statement is not understood";
    std::vector<Name> functions = {};  // each must be known, and not volatile
    std::vector<Name> operators = {};  // the same, by symbol
    std::vector<Name> relations = {};  // each must be known, and readable on a replica
    // All other names. A column, an alias or a CTE mostly; but t.f may call f(t), and a name that was taken for a CTE
    // may be a view: none may be known as a volatile function (`called`) or as an unreadable relation.
    struct Mention {
        Name name;
        bool called = false;  // stood behind a dot, or before a parenthesis
        auto operator<=>(Mention const&) const = default;
    };
    std::vector<Mention> mentions = {};
};

struct Statement {
    Verb verb = Verb::unknown;
    Hint hint = Hint::none;
    // Savepoint, global transaction id, prepared statement, cursor or channel, folded and unquoted. EXPLAIN EXECUTE
    // too.
    std::string name = {};
    bool all = false;  // DEALLOCATE ALL, UNLISTEN *, CLOSE ALL, DISCARD ALL
    TransactionModes transaction = {};
    std::vector<Setting> settings = {};
    // PREPARE: the text behind AS, and what stood in the parentheses. EXECUTE: what stood in the parentheses.
    std::string body = {};
    std::string arguments = {};
    bool with_hold = false;  // DECLARE
    // currval() or lastval(): answers from what this session did before.
    bool reads_session_state = false;
    Pins pins = {};
    // Of SELECT, VALUES, TABLE, SHOW, EXPLAIN, COPY TO; of EXECUTE: its arguments only. Unsafe for all other verbs.
    Reach reach = {};
};

// The statements of a simple query's text, in order, as pieces of `text` without their semicolons; empty pieces are
// left out. Bodies of CREATE FUNCTION ... BEGIN ATOMIC and the parentheses of CREATE RULE stay whole.
struct Pieces {
    std::vector<std::string_view> statements = {};
    // False: the text could not be cut with certainty (an open quote, an embedded NUL, an encoding that is not
    // ascii_safe): `statements` then has the whole text as one piece, which classifies as unknown.
    bool certain = true;
};
Pieces split(std::string_view text, Dialect const& dialect = {});

// How far a statement is looked into. session: what it is and what it leaves behind, which every proxied statement is
// asked; the reach of a query then says that nobody looked. reach: also what a read touches, which costs as much again.
enum class Look { session, reach };

// Understands one statement. Never fails: what is not understood is Verb::unknown and unsafe. Linear in the text's
// length, no recursion.
Statement classify(std::string_view text, Dialect const& dialect = {}, Look look = Look::reach);

}  // namespace keel::sql
