#include "sql/session.h"

namespace keel::sql {

namespace {

bool read_isolation(Cursor& cursor, TransactionModes& modes) {
    if (!cursor.take(Word::level)) return false;
    if (cursor.take(Word::serializable)) {
        modes.isolation = Isolation::serializable;
    } else if (cursor.take(Word::repeatable)) {
        modes.isolation = Isolation::repeatable_read;
        return cursor.take(Word::read);
    } else if (cursor.take(Word::read)) {
        bool const committed = cursor.here().is(Word::committed);
        if (!committed && !cursor.here().is(Word::uncommitted)) return false;
        modes.isolation = committed ? Isolation::read_committed : Isolation::read_uncommitted;
        cursor.step();
    } else {
        return false;
    }
    return true;
}

void skip_noise(Cursor& cursor) {
    if (!cursor.take(Word::work)) cursor.take(Word::transaction);
}

// A name that ends the statement.
bool read_name(Cursor& cursor, Statement& statement) {
    auto name = cursor.here().is_name() ? name_of(cursor.lexer(), cursor.here()) : std::nullopt;
    if (!name) return false;
    statement.name = std::move(*name);
    cursor.step();
    return cursor.at_end();
}

// SAVEPOINT is noise unless it is the name itself.
bool read_savepoint(Cursor& cursor, Statement& statement) {
    if (cursor.peek(1).kind != Kind::end) cursor.take(Word::savepoint);
    return read_name(cursor, statement);
}

// The id of a prepared transaction.
bool read_id(Verb verb, Cursor& cursor, Statement& statement) {
    statement.verb = verb;
    if (!cursor.here().is_string() || cursor.peek(1).kind != Kind::end) return false;
    statement.name = value_of(cursor.lexer(), cursor.here()).value_or("");
    return true;
}

bool read_end(Verb verb, Cursor& cursor, Statement& statement) {
    statement.verb = verb;
    if (cursor.take(Word::prepared))
        return read_id(verb == Verb::commit ? Verb::commit_prepared : Verb::rollback_prepared, cursor, statement);
    skip_noise(cursor);
    if (verb == Verb::rollback && cursor.take(Word::to)) {
        statement.verb = Verb::rollback_to;
        return read_savepoint(cursor, statement);
    }
    if (cursor.take(Word::and_)) {
        bool const no = cursor.take(Word::no);
        if (!cursor.take(Word::chain)) return false;
        statement.transaction.chain = !no;
    }
    return cursor.at_end();
}

}  // namespace

bool read_modes(Cursor& cursor, TransactionModes& modes) {
    while (!cursor.at_end()) {
        if (cursor.take(Word::isolation)) {
            if (!read_isolation(cursor, modes)) return false;
        } else if (cursor.take(Word::read)) {
            bool const only = cursor.here().is(Word::only);
            if (!only && !cursor.here().is(Word::write)) return false;
            modes.read_only = only;
            cursor.step();
        } else {
            bool const no = cursor.take(Word::not_);
            if (!cursor.take(Word::deferrable)) return false;
            modes.deferrable = !no;
        }
        if (cursor.take(Kind::comma) && cursor.at_end()) return false;
    }
    return true;
}

bool read_transaction(Word first, Cursor& cursor, Statement& statement) {
    switch (first) {
        case Word::begin:
            statement.verb = Verb::begin;
            skip_noise(cursor);
            return read_modes(cursor, statement.transaction);
        case Word::start:
            statement.verb = Verb::begin;
            return cursor.take(Word::transaction) && read_modes(cursor, statement.transaction);
        case Word::commit:
        case Word::end:
            return read_end(Verb::commit, cursor, statement);
        case Word::rollback:
        case Word::abort:
            return read_end(Verb::rollback, cursor, statement);
        case Word::savepoint:
            statement.verb = Verb::savepoint;
            return read_name(cursor, statement);
        case Word::release:
            statement.verb = Verb::release;
            return read_savepoint(cursor, statement);
        case Word::prepare:
            return cursor.take(Word::transaction) && read_id(Verb::prepare_transaction, cursor, statement);
        default:
            return false;
    }
}

}  // namespace keel::sql
