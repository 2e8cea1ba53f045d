// Statements that change the session's settings, and what any statement may do to the session in passing.
#pragma once

#include "sql/cursor.h"
#include "sql/statement.h"

namespace keel::sql {

// Each stands behind the statement's first word; false: not understood.
bool read_set(Cursor& cursor, Statement& statement);
bool read_reset(Cursor& cursor, Statement& statement);
bool read_discard(Cursor& cursor, Statement& statement);

// SELECT set_config('a', 'b', false), ...: with nothing else in it, so that it runs once and for sure. Leaves
// `statement` alone when it is anything else. Stands before SELECT.
bool read_set_config(Cursor cursor, Statement& statement);

// Modes of a transaction up to the end of the text.
bool read_modes(Cursor& cursor, TransactionModes& modes);
// The statements of transaction control, behind their first word, which is `first`. False: not understood.
bool read_transaction(Word first, Cursor& cursor, Statement& statement);

}  // namespace keel::sql
