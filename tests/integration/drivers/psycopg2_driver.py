import io
import os
import sys

import psycopg2
import psycopg2.errors

host, port, table = sys.argv[1:]
connection = psycopg2.connect(host=host, port=port, dbname="audit", user="auditor", password=os.environ["PGPASSWORD"])
cursor = connection.cursor()

# It binds on its own side; a prepared statement is SQL's.
cursor.execute(f"PREPARE put (int, text) AS INSERT INTO {table} VALUES ($1, $2)")
for row in range(1, 21):
    cursor.execute("EXECUTE put (%s, %s)", (row, f"word {row}"))
connection.commit()

cursor.execute(f"INSERT INTO {table} VALUES (100, 'no')")
connection.rollback()
with connection:
    cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", [(101, "yes"), (102, "yes")])

cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO("".join(f"{row}\tcopied\n" for row in range(1001, 2001))))
connection.commit()
out = io.StringIO()
cursor.copy_expert(f"COPY (SELECT id FROM {table} WHERE word = 'copied') TO STDOUT", out)
assert len(out.getvalue().splitlines()) == 1000, len(out.getvalue())
connection.commit()

connection.autocommit = True
try:
    cursor.execute(f"INSERT INTO {table} VALUES (1, 'again')")
    raise SystemExit("a second 1 was taken")
except psycopg2.errors.UniqueViolation as error:
    assert error.pgcode == "23505" and error.diag.table_name == table, error
connection.autocommit = False
cursor.execute(f"INSERT INTO {table} VALUES (103, 'no')")
try:
    cursor.execute(f"INSERT INTO {table} VALUES (1, 'again')")
    raise SystemExit("a second 1 was taken")
except psycopg2.errors.UniqueViolation:
    pass
try:
    cursor.execute("SELECT 1")
    raise SystemExit("a failed transaction went on")
except psycopg2.errors.InFailedSqlTransaction:
    connection.rollback()
cursor.execute(f"SELECT count(*) FROM {table}")
print(cursor.fetchone()[0])
connection.close()
