"""What clients of the differential test send: drawn from a seed, fit for what the server has just said."""
import random
import struct

from proxy_wire import FLUSH, SYNC, close, describe, execute, message, query, text

SETTINGS = [("work_mem", "'11MB'"), ("work_mem", "'22MB'"), ("timezone", "'Asia/Tokyo'"), ("datestyle", "'SQL, DMY'"),
            ("intervalstyle", "iso_8601"), ("application_name", "'mine'"), ("extra_float_digits", "0"),
            ("search_path", "public, pg_catalog"), ("bytea_output", "escape"), ("my.own", "'x y'"), ("my.own", "''"),
            ("client_encoding", "LATIN1"), ("standard_conforming_strings", "off"), ("statement_timeout", "'20s'"),
            ("default_transaction_read_only", "on"), ("client_min_messages", "warning"), ("role", "differing_role")]
SHOWN = ["work_mem", "timezone", "datestyle", "intervalstyle", "application_name", "extra_float_digits", "search_path",
         "bytea_output", "client_encoding", "standard_conforming_strings", "default_transaction_read_only",
         "default_transaction_isolation", "transaction_isolation", "transaction_read_only", "client_min_messages"]
# Each of these is a text for {t}, the client's own table (id int PRIMARY KEY, note text), and {n}, its number.
READS = ["SELECT 1", "SELECT 'a' AS a, NULL, 2.50", "SELECT * FROM {t} ORDER BY id", "TABLE {t} ORDER BY id", "VALUES (1), (2)",
         "SELECT count(*), max(note) FROM {t}", "SELECT i, repeat('x', 90) FROM generate_series(1, 150) AS i",
         "SELECT repeat('y', 70000)", "SELECT now() - now(), timestamptz '2024-01-02 03:04:05+00'", "SELECT '\\x00ff'::bytea",
         "SELECT 1/0", "SELECT * FROM nowhere", "SELEC", "SELECT FROM {t} WHERE false", "SELECT current_user, session_user",
         "SELECT nullif(current_setting('my.own', true), '')", "SELECT 1 / (count(*) - count(*))::int FROM {t}",
         "EXPLAIN (COSTS OFF) SELECT * FROM {t} WHERE id = 1", "WITH a AS (SELECT 1) SELECT * FROM a", "SELECT 'it''s' || E'\\n'",
         "SELECT id / (id - 3) FROM {t} ORDER BY id", "SELECT 'a\\\\b'"]
WRITES = ["INSERT INTO {t} VALUES ({i}, 'new') RETURNING id", "INSERT INTO {t} SELECT i FROM generate_series(100, 103) AS i "
          "ON CONFLICT DO NOTHING", "UPDATE {t} SET note = note || '.' WHERE id < 4", "DELETE FROM {t} WHERE id = {i}",
          "TRUNCATE {t}", "SELECT * FROM {t} ORDER BY id FOR UPDATE", "WITH a AS (INSERT INTO {t} VALUES ({i}) RETURNING id) "
          "SELECT * FROM a", "SELECT nextval('{t}_ids')", "SELECT setval('{t}_ids', {i})", "ANALYZE {t}", "LOCK TABLE {t}",
          "DO $$ BEGIN RAISE NOTICE 'n %', 1; END $$", "DO $$ BEGIN RAISE EXCEPTION 'e'; END $$", "CALL {t}_twice({i})",
          "DO $$ BEGIN INSERT INTO {t} VALUES (50); COMMIT; INSERT INTO {t} VALUES (50); END $$", "VACUUM {t}",
          "ALTER TABLE {t} ADD extra int", "ALTER TABLE {t} DROP COLUMN IF EXISTS extra", "CREATE TABLE {t}_more (a int)",
          "DROP TABLE IF EXISTS {t}_more", "COMMENT ON TABLE {t} IS 'c'"]
TRANSACTIONS = ["BEGIN", "BEGIN", "START TRANSACTION READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN READ ONLY",
                "BEGIN ISOLATION LEVEL SERIALIZABLE", "COMMIT", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT a", "SAVEPOINT b",
                "ROLLBACK TO a", "ROLLBACK TO SAVEPOINT b", "RELEASE a", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN",
                "SET TRANSACTION READ ONLY", "SET CONSTRAINTS ALL DEFERRED", "PREPARE TRANSACTION 'p{n}'"]
SESSION = ["CREATE TEMP TABLE mine (a int)", "CREATE TEMP TABLE mine (a int) ON COMMIT DROP", "INSERT INTO mine VALUES (1)",
           "SELECT count(*) FROM mine", "DROP TABLE mine", "DECLARE c CURSOR FOR SELECT i FROM generate_series(1, 9) AS i",
           "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM {t} ORDER BY id", "FETCH 2 FROM c", "FETCH ALL FROM c", "MOVE 1 IN c",
           "CLOSE c", "CLOSE ALL", "PREPARE q AS SELECT $1::int + 1", "EXECUTE q(4)", "DEALLOCATE q", "DEALLOCATE ALL", "DISCARD ALL",
           "DISCARD TEMP", "DISCARD PLANS", "LISTEN own_{n}", "NOTIFY own_{n}, 'p'", "UNLISTEN *", "SELECT pg_advisory_lock({n})",
           "SELECT pg_advisory_unlock({n})", "SELECT pg_try_advisory_xact_lock({n})", "RESET ALL", "RESET ROLE", "RESET work_mem",
           "SET SESSION AUTHORIZATION DEFAULT", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
           "SELECT set_config('my.own', 'by function', false)", "SELECT set_config('work_mem', '7MB', true)",
           "CREATE TEMP VIEW seen AS SELECT 1", "DROP VIEW seen", "SELECT * FROM seen"]
COPIES = ["COPY {t} FROM STDIN", "COPY {t} (id) FROM STDIN WITH (FORMAT csv)", "COPY {t} TO STDOUT",
          "COPY (SELECT i FROM generate_series(1, 400) AS i) TO STDOUT", "COPY (SELECT 1) TO STDOUT (FORMAT binary)"]
WITH_VALUES = ["SELECT $1::int + 1", "SELECT $1::text, $2::int", "SELECT note FROM {t} WHERE id = $1", "INSERT INTO {t} VALUES ($1, $2)",
               "SELECT 10 / $1::int"]
NAMES = ["", "", "s0", "s1", "s2"]
PORTALS = ["", "", "", "p0", "p1"]


class Work:
    """One client's: what it sends next, given what the server has said."""

    def __init__(self, seed, number):
        self.random, self.number, self.table = random.Random(f"{seed}/{number}"), number, f"differing_{number}"
        self.statements = {}  # parameters of each statement, as this client believes

    def text(self):
        draw = self.random
        kind = draw.choices([READS, WRITES, TRANSACTIONS, SESSION, SETTINGS, SHOWN, COPIES], [30, 18, 24, 14, 7, 4, 3])[0]
        chosen = draw.choice(kind)
        if kind is SETTINGS:
            name, value = chosen
            return draw.choice([f"SET {name} = {value}", f"SET {name} TO {value}", f"SET LOCAL {name} = {value}", f"RESET {name}"])
        if kind is SHOWN:
            return f"SHOW {chosen}"
        return chosen.format(t=self.table, n=self.number, i=draw.randrange(9))

    def simple(self):
        draw = self.random
        if draw.random() < 0.03:  # only alone it finds a statement of the protocol: docs/PROXY.md
            return [query("DEALLOCATE s0")] if draw.random() < 0.5 else [
                message("P", text("") + text("DEALLOCATE PREPARE s1") + b"\0\0"), self.bind("", "s0"), self.bind("", ""), execute(), SYNC]
        count = draw.choices([1, 2, 3, 0], [80, 12, 6, 2])[0]
        hint = draw.choice(["", "", "", "", "", "/* keel: primary */ ", "-- note\n"])
        return [query(hint + draw.choice(["; ", ";", ";\n"]).join(self.text() for _ in range(count)))]

    def parse(self, name):
        draw, types = self.random, []
        if draw.random() < 0.4:
            sql = draw.choice(WITH_VALUES).format(t=self.table)
            self.statements[name] = sql.count("$")
            types = [23] if draw.random() < 0.2 and "$1::int" in sql else []
        else:
            sql, self.statements[name] = self.text(), 0
        return message("P", text(name) + text(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))

    def bind(self, portal, name):
        draw = self.random
        count = self.statements.get(name, 0) if draw.random() < 0.97 else draw.randrange(3)
        values = [draw.choice([b"1", b"2", b"0", b"7", b"word", None]) for _ in range(count)]
        body = text(portal) + text(name) + struct.pack("!HH", 0, count)
        for value in values:
            body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        return message("B", body + draw.choice([struct.pack("!H", 0), struct.pack("!HH", 1, draw.randrange(2))]))

    def batch(self):
        """One to four statements by the extended protocol, and now and then what nobody would send."""
        draw, out = self.random, []
        for _ in range(draw.choices([1, 2, 4], [70, 20, 10])[0]):
            name, portal = draw.choice(NAMES), draw.choice(PORTALS)
            if name not in self.statements or draw.random() < 0.5:
                if name and name in self.statements and draw.random() < 0.8:
                    out.append(close("S", name))
                out.append(self.parse(name))
            if draw.random() < 0.3:
                out.append(describe("S", name))
            out.append(self.bind(portal, name))
            if draw.random() < 0.6:
                out.append(describe("P", portal))
            out += [execute(portal, draw.choice([0, 0, 0, 1, 2, 50]))] * draw.choices([1, 2, 0], [80, 12, 8])[0]
            if draw.random() < 0.1:
                out.append(close("P", portal))
            if draw.random() < 0.1:
                out.insert(draw.randrange(len(out) + 1), self.stray())
            if draw.random() < 0.12:
                out.append(SYNC)
        return [*out, FLUSH if draw.random() < 0.15 else SYNC]

    def stray(self):
        name, portal = self.random.choice(NAMES), self.random.choice(PORTALS)
        return self.random.choice([describe("S", name), describe("P", portal), close("S", name), close("P", portal), FLUSH,
                                   execute(portal), self.bind(portal, name), self.parse(name), SYNC, message("d", b"late\n"),
                                   message("c"), query("SELECT 'between'")])

    def call(self):
        """FunctionCall of int4pl or int4div, with text."""
        values = [self.random.choice([b"4", b"0", b"x"]) for _ in range(2)]
        body = struct.pack("!IHH", self.random.choice([177, 154]), 0, 2)
        for value in values:
            body += struct.pack("!i", len(value)) + value
        return [message("F", body + struct.pack("!H", 0))]

    def data(self, extended):
        """For a COPY that the server waits for."""
        draw, out = self.random, []
        for _ in range(draw.randrange(4)):
            out.append(message("d", draw.choice([b"20\tcopied\n", b"21\n", b"22\t\\N\n23\tx\n", b"no number\tx\n", b"24\tha"])))
        out.append(draw.choice([message("c"), message("c"), message("f", text("the client gave up"))]))
        return out + ([SYNC] if extended else [])

    def copy_at_once(self):
        """The data behind the query, before the server has asked."""
        return [query(f"COPY {self.table} FROM STDIN"), *self.data(False)]

    def step(self, unsynced):
        """Messages of one write. `unsynced`: a batch is open that has no Sync yet."""
        draw = self.random
        if unsynced:
            return [SYNC] if draw.random() < 0.4 else self.batch()
        kind = draw.choices([self.simple, self.batch, self.call, self.copy_at_once], [55, 42, 1, 2])[0]
        out = kind()
        if draw.random() < 0.12:
            out += draw.choice([self.simple, self.batch])()
        return out
