// Statements that return rows: SELECT, VALUES, TABLE, EXPLAIN, COPY TO, SHOW.
#pragma once

#include "sql/cursor.h"
#include "sql/statement.h"

namespace keel::sql {

// Whether a query begins under the cursor.
bool begins_query(Cursor const& cursor);
// From the first word on (SELECT, VALUES, TABLE, WITH or a parenthesis), to the end.
void read_query(Cursor& cursor, Statement& statement, Look look);
// Each stands behind the statement's first word; false: not understood.
bool read_explain(Cursor& cursor, Statement& statement, Dialect const& dialect);
bool read_copy(Cursor& cursor, Statement& statement);
bool read_show(Cursor& cursor, Statement& statement);

}  // namespace keel::sql
