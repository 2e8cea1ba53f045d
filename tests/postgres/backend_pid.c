/*
 * Loaded into isolationtester in front of libpq: which process serves a connection is asked of the server. What the
 * protocol told at the login is the proxy's own number, good for cancel requests, and no lock is held under it.
 */
#include <libpq-fe.h>
#include <stdlib.h>

int PQbackendPID(PGconn const* connection) {
    PGresult* result = PQexec((PGconn*)connection, "SELECT pg_catalog.pg_backend_pid()");
    int pid = PQntuples(result) == 1 ? atoi(PQgetvalue(result, 0, 0)) : 0;
    PQclear(result);
    return pid;
}
