#!/bin/sh
# libpq's own client. What it prints besides the last number is a complaint.
set -eu
{
    cat <<'SQL'
PREPARE put (int, text) AS INSERT INTO :table VALUES ($1, $2);
SELECT format('EXECUTE put (%s, %L)', n, 'word ' || n) FROM generate_series(1, 20) AS n \gexec
BEGIN;
INSERT INTO :table VALUES (100, 'no');
ROLLBACK;
BEGIN;
INSERT INTO :table VALUES (101, 'yes'), (102, 'yes');
COMMIT;
COPY :table FROM STDIN;
SQL
    seq 1001 2000 | sed 's/$/\tcopied/'
    cat <<'SQL'
\.
COPY :table TO STDOUT \g |wc -l | grep -vx 1022
INSERT INTO :table VALUES (1, 'again');
SELECT :'LAST_ERROR_SQLSTATE' <> '23505' AS wrong \gset
\if :wrong
  \echo a second 1 was taken, or refused for another reason
\endif
BEGIN;
INSERT INTO :table VALUES (103, 'no');
INSERT INTO :table VALUES (1, 'again');
COMMIT;
SELECT count(*) FROM :table;
SQL
} | psql -XAtq "host=$1 port=$2 dbname=audit user=auditor" -v "table=$3"
