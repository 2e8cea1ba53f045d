"""Everyday work of ordinary drivers through the proxy, in transaction mode: it must look like PostgreSQL."""
import struct

import psycopg
import pytest

from proxy_wire import (FLUSH, SYNC, TERMINATE, Wire, bind, close, describe, error_fields, execute, message, parse, query,
                        text)
from network import PROXY_PORTS
from waiting import wait_for


@pytest.fixture
def node(three):
    return three.primary()


@pytest.fixture
def wire(node):
    with Wire(node.address, PROXY_PORTS["auto"]) as opened:
        opened.login("auditor", "audit", node.cluster.password)
        yield opened


def backends(node):
    """How many server connections the proxies hold for the tests' user."""
    return int(node.admin("SELECT count(*) FROM pg_stat_activity WHERE usename = 'auditor' AND datname = 'audit'"))


def test_simple_and_extended_queries(node):
    with node.proxy() as connection:
        assert connection.execute("SELECT 40 + 2").fetchone() == (42,)
        assert connection.execute("SELECT %s::int + 1", [41]).fetchone() == (42,)
        assert connection.execute("SELECT 1; SELECT 2").nextset() is True


def test_every_node_s_proxy_leads_to_the_primary(three, node):
    for one in three.data_nodes():
        for endpoint in ("auto", "read-write"):
            with one.proxy(endpoint) as connection:
                assert connection.execute("SELECT inet_server_addr(), pg_is_in_recovery()").fetchone() == \
                    (__import__("ipaddress").ip_address(node.address), False)


def test_reads_go_to_standbys(three, node):
    standbys = {one.address for one in three.standbys()}
    seen = set()
    for _ in range(20):
        with node.proxy("read-only") as connection:
            address, recovery = connection.execute("SELECT host(inet_server_addr()), pg_is_in_recovery()").fetchone()
            assert recovery
            seen.add(address)
    assert seen == standbys


def test_a_transaction_keeps_its_server_and_gives_it_back(node):
    with node.proxy(autocommit=False) as one, node.proxy(autocommit=False) as other:
        first = one.execute("SELECT pg_backend_pid()").fetchone()
        second = other.execute("SELECT pg_backend_pid()").fetchone()
        assert first != second
        assert one.execute("SELECT pg_backend_pid()").fetchone() == first
        one.commit()
        other.rollback()
    pids = set()
    for _ in range(10):
        with node.proxy() as connection:
            pids.add(connection.execute("SELECT pg_backend_pid()").fetchone())
    assert len(pids) <= 2, "clients one after the other share servers"


def test_an_error_leaves_the_session_usable(node):
    with node.proxy() as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.errors.UndefinedTable):
            with connection.transaction():
                connection.execute("SELECT * FROM nowhere")
        assert connection.execute("SELECT 2").fetchone() == (2,)


def test_a_pipeline_with_an_error_in_its_middle(wire):
    wire.send(parse("", "SELECT 1"), bind("", ""), execute(), SYNC,
              parse("", "SELECT 1/(random() * 0)::int"), bind("", ""), execute(), parse("", "SELECT 3"), bind("", ""), execute(), SYNC,
              query("SELECT 4"), parse("x", "SELECT 5"), bind("", "x"), execute(), SYNC)
    assert wire.kinds() == "12DCZ"
    assert wire.kinds() == "12EZ"
    assert wire.kinds() == "TDCZ"
    assert wire.kinds() == "12DCZ"


def test_a_query_that_comes_in_pieces(node):
    """The first half took a server, was too little to do anything with, gave it back and took it again, for ever: the proxy
    ended with its stack full, and all its clients with it."""
    for endpoint in PROXY_PORTS:
        with Wire(node.address, PROXY_PORTS[endpoint]) as one, node.proxy(endpoint) as other:
            one.login("auditor", "audit", node.cluster.password)
            for whole in (query("SELECT 1, " + "2" * 30_000), parse("", "SELECT 1 " + " " * 90_000), bind("", "", *["x"] * 30_000)):
                for cut in (1, 5, 6, 9, 20_000):
                    one.socket.sendall(whole[:cut])
                    assert other.execute("SELECT 1").fetchone() == (1,)
                    one.socket.sendall(whole[cut:] + SYNC)
                    one.until_ready(2 if whole[:1] == b"Q" else 1)


def test_a_copy_that_fails_behind_a_sync_keeps_its_server(node, wire):
    """The Sync before the data counted as an end of the batch, so the server went to the next client, whose words it skipped."""
    wire.send(query("CREATE TABLE IF NOT EXISTS copied_badly (a int)"))
    wire.until_ready()
    wire.send(parse("", "COPY copied_badly FROM STDIN"), bind("", ""), execute(), SYNC)
    assert [wire.read()[0] for _ in range(3)] == ["1", "2", "G"]
    wire.send(message("d", b"no number\n"), message("c"))
    assert wire.read()[0] == "E"
    with node.proxy() as other:
        assert other.execute("SELECT 1").fetchone() == (1,)
        wire.send(SYNC)
        assert wire.kinds() == "Z"
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_that_others_prepared_before_is_judged_anew(node, wire):
    """For the second client the proxy said ParseComplete itself: of a table that is gone, with columns of yesterday, and in a
    transaction that has failed."""
    with Wire(node.address, PROXY_PORTS["auto"]) as other:
        other.login("auditor", "audit", node.cluster.password)
        for one in (wire, other):
            one.send(query("DROP TABLE IF EXISTS moved; CREATE TABLE moved (a int)"), parse("", "SELECT 1"), SYNC)
            one.until_ready(2)
            one.send(parse("s", "SELECT * FROM moved"), describe("S", "s"), SYNC)
            assert one.kinds() == "1tTZ"
            one.send(query("ALTER TABLE moved ADD b int"), close("S", "s"), parse("s", "SELECT * FROM moved"), describe("S", "s"), SYNC)
            assert one.kinds() == "CZ" and [one.read()[0] for _ in range(5)] == list("31tTZ")
        wire.send(query("BEGIN; SELECT 1/0"), parse("t", "SELECT * FROM moved"), SYNC)
        assert wire.kinds() == "CEZ" and error_fields(wire.read()[1])["C"] == "25P02"


def test_flush_and_describe(wire):
    wire.send(parse("s", "SELECT $1::int"), describe("S", "s"), FLUSH)
    assert [wire.read()[0] for _ in range(3)] == ["1", "t", "T"]
    wire.send(bind("", "s", "7"), describe("P", ""), execute(), close("S", "s"), SYNC)
    assert wire.kinds() == "2TDC3Z"


def test_portals_that_give_some_rows_at_a_time(wire):
    wire.send(query("BEGIN"))
    wire.until_ready()
    wire.send(parse("", "SELECT generate_series(1, 5)"), bind("p", ""), execute("p", 2), SYNC)
    assert wire.kinds() == "12DDsZ"
    wire.send(execute("p", 0), close("P", "p"), SYNC)
    assert wire.kinds() == "DDDC3Z"
    wire.send(query("COMMIT"))
    assert wire.kinds() == "CZ"


def test_prepared_statements_survive_a_change_of_server(node):
    """The same client's Bind comes to servers that have never seen its Parse."""
    with node.proxy(prepare_threshold=0) as one, node.proxy(autocommit=False) as other:
        def ask():
            return one.execute("SELECT %s::int, pg_backend_pid()", [5], prepare=True).fetchone()
        first = ask()
        other.execute("SELECT 1")  # takes the server that was just freed
        second = ask()
        assert first[0] == second[0] == 5 and first[1] != second[1]


def test_an_unnamed_statement_survives_its_sync(node, wire):
    wire.send(parse("", "SELECT 'mine'"), SYNC)
    assert wire.kinds() == "1Z"
    with node.proxy() as other:
        other.execute("SELECT %s::int", [1])
        wire.send(bind("", ""), execute(), SYNC)
        assert [body for kind, body in wire.until_ready() if kind == "D"] == [struct.pack("!HI", 1, 4) + b"mine"]


def test_names_of_statements_are_the_client_s_own(node, wire):
    with Wire(node.address, PROXY_PORTS["auto"]) as other:
        other.login("auditor", "audit", node.cluster.password)
        for one, value in ((wire, "a"), (other, "b")):
            one.send(parse("s", f"SELECT '{value}'::text"), SYNC)
            assert one.kinds() == "1Z"
        for one, value in ((wire, b"a"), (other, b"b")):
            one.send(bind("", "s"), execute(), SYNC)
            assert [body[6:] for kind, body in one.until_ready() if kind == "D"] == [value]
    wire.send(parse("s", "SELECT 1"), SYNC)
    found = wire.until_ready()
    assert error_fields(found[0][1])["C"] == "42P05", "a name can be given once"
    assert error_fields(found[0][1])["M"] == 'prepared statement "s" already exists'
    wire.send(close("S", "s"), SYNC)
    assert wire.kinds() == "3Z"
    wire.send(bind("", "s"), SYNC)
    assert error_fields(wire.until_ready()[0][1])["C"] == "26000"


def test_a_statement_is_dropped_by_its_own_name_in_sql(wire):
    wire.send(parse("mine", "SELECT 1"), SYNC)
    wire.until_ready()
    wire.send(query("DEALLOCATE mine"))
    assert wire.kinds() == "CZ"
    wire.send(bind("", "mine"), SYNC)
    assert error_fields(wire.until_ready()[0][1])["C"] == "26000"
    wire.send(parse("mine", "SELECT 1"), SYNC)
    assert wire.kinds() == "1Z"
    wire.send(parse("", "DEALLOCATE mine"), bind("", ""), execute(), bind("", "mine"), SYNC)
    found = wire.until_ready()
    assert error_fields(found[-2][1])["C"] == "26000" and found[2] == ("C", b"DEALLOCATE\0"), "as psycopg says it in a pipeline"
    wire.send(parse("mine", "SELECT 1"), SYNC)
    assert wire.kinds() == "1Z"
    wire.send(query("DEALLOCATE ALL"), parse("mine", "SELECT 1"), bind("", "mine"), execute(), SYNC)
    assert wire.kinds() == "CZ" and wire.kinds() == "12DCZ"


def test_copy_both_ways(node):
    with node.proxy() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS copied (id int, txt text)")
        connection.execute("TRUNCATE copied")
        rows = [(i, "x" * (i % 500)) for i in range(20_000)]
        with connection.cursor().copy("COPY copied FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        with connection.cursor().copy("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows()) == rows
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            with connection.cursor().copy("COPY copied FROM STDIN") as copy:
                for _ in range(50_000):
                    copy.write("no number\tx\n")
        assert connection.execute("SELECT count(*) FROM copied").fetchone() == (20_000,)


def test_copy_by_the_extended_protocol(wire):
    wire.send(query("CREATE TEMP TABLE t (a int)"))
    wire.until_ready()
    # As libpq does: the Sync before the data is ignored by the server, the one behind it is not.
    wire.send(parse("", "COPY t FROM STDIN"), bind("", ""), execute(), SYNC)
    assert [wire.read()[0] for _ in range(3)] == ["1", "2", "G"]
    wire.send(message("d", b"1\n2\n"), message("c"), SYNC)
    assert wire.kinds() == "CZ"
    wire.send(query("SELECT sum(a) FROM t"))
    assert wire.until_ready()[1][1][6:] == b"3"


def test_large_results_and_large_values(node):
    with node.proxy() as connection:
        big = connection.execute("SELECT repeat('x', 30000000)").fetchone()[0]
        assert len(big) == 30_000_000
        assert connection.execute("SELECT length(%s::text)", [big]).fetchone() == (30_000_000,)
        total = sum(1 for _ in connection.execute("SELECT i, repeat('y', 100) FROM generate_series(1, 300000) i"))
        assert total == 300_000


def test_large_objects_and_function_call(node, wire):
    wire.send(query("SELECT 'int4pl(int,int)'::regprocedure::oid"))
    oid = int(wire.until_ready()[1][1][6:])
    body = struct.pack("!IHHHi", oid, 1, 0, 2, 1) + b"4" + struct.pack("!i", 1) + b"5" + struct.pack("!H", 0)
    wire.send(message("F", body))
    found = wire.until_ready()
    assert found[0] == ("V", struct.pack("!i", 1) + b"9") and found[-1][0] == "Z"


def test_notices_and_parameters_come_through(node):
    with node.proxy() as connection:
        heard = []
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        assert heard == ["hello"]
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        assert connection.info.parameter_status("TimeZone") == "Asia/Tokyo"


def test_listen_keeps_its_server(node):
    with node.proxy() as listener, node.proxy() as sender:
        listener.execute("LISTEN news")
        sender.execute("NOTIFY news, 'one'")
        assert next(listener.notifies()).payload == "one"
        listener.execute("UNLISTEN *")


def test_cancel(three, node):
    for one in three.data_nodes():
        with one.proxy() as connection:
            with pytest.raises(psycopg.errors.QueryCanceled):
                import threading
                timer = threading.Timer(0.5, connection.cancel)
                timer.start()
                connection.execute("SELECT pg_sleep(30)")
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_what_people_know_when_it_is_refused(node):
    def refusal(**options):
        with pytest.raises(psycopg.OperationalError) as caught:
            node.proxy(**options).close()
        return str(caught.value)
    assert 'password authentication failed for user "auditor"' in refusal(password="wrong")
    assert 'password authentication failed for user "nobody"' in refusal(user="nobody")
    assert 'database "nowhere" does not exist' in refusal(dbname="nowhere")
    assert 'unrecognized configuration parameter "nonsense"' in refusal(options="-c nonsense=1")
    assert 'invalid value for parameter "DateStyle"' in refusal(options="-c datestyle=nonsense")


def test_a_changed_password_counts_at_once(node):
    node.admin("CREATE ROLE changing LOGIN PASSWORD 'first'")
    try:
        wait_for(lambda: node.proxy(user="changing", password="first").close() is None, 10, "the new role logs in")
        node.admin("ALTER ROLE changing PASSWORD 'second'")
        wait_for(lambda: node.proxy(user="changing", password="second").close() is None, 10, "the new password counts")
        with pytest.raises(psycopg.OperationalError):
            node.proxy(user="changing", password="first").close()
    finally:
        node.admin("DROP ROLE changing")


def test_md5_passwords(node):
    hba = node.directory / "data" / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(before.replace("host    all       all   all", "host    all       older all      md5\nhost    all       all   all"))
    node.admin("SET password_encryption = 'md5'; CREATE ROLE older LOGIN PASSWORD 'secret'; SELECT pg_reload_conf()")
    try:
        def logs_in():
            with node.proxy(user="older", password="secret") as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        wait_for(logs_in, 10, "a role with an md5 password logs in")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            node.proxy(user="older", password="other").close()
    finally:
        hba.write_text(before)
        node.admin("DROP ROLE older; SELECT pg_reload_conf()")


def test_tls_and_plain(node):
    for mode, encrypted in (("disable", False), ("require", True)):
        with node.proxy(sslmode=mode) as connection:
            assert connection.pgconn.ssl_in_use == encrypted
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_garbage_and_half_messages(node):
    address = node.address, PROXY_PORTS["auto"]
    for bytes_ in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\4", b"\xff" * 100, b"\0\1\0\0" + b"x" * 100,
                   struct.pack("!II", 8, 80877103) + b"\x16\x03\x01"):
        with Wire(*address) as wire:
            wire.send(bytes_)
            left = b""
            while got := wire.socket.recv(4096):
                left += got
            assert len(left) < 300
    halves = [Wire(*address) for _ in range(50)]
    for wire in halves:
        wire.send(struct.pack("!II", 200, 0x30000) + b"user\0audi")
    with node.proxy() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,), "half messages of others are nobody's business"
    for wire in halves:
        wire.socket.close()


@pytest.mark.parametrize("bad", [message("q", b"x"), b"Q\0\0\0\1", b"Q\xff\xff\xff\xff", parse("a", "b")[:5] + b"abcdef" * 20,
                                 message("D", b"S"), message("B", b"abc")])
def test_wrong_messages_end_the_session_and_nobody_else_s(node, wire, bad):
    wire.send(bad, TERMINATE)
    kinds = ""
    try:
        while True:
            kinds += wire.read()[0]
    except Exception:
        pass
    assert kinds in ("E", "EZ", "")
    with node.proxy() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_goes_back_clean_when_its_client_vanishes(node):
    with node.proxy(autocommit=False) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS vanished (a int)")
        connection.commit()
        connection.execute("INSERT INTO vanished VALUES (1)")
        connection.pgconn.finish()
    with node.proxy() as other:
        wait_for(lambda: other.execute("SELECT count(*) FROM pg_locks WHERE relation = 'vanished'::regclass "
                                       "AND pid <> pg_backend_pid()").fetchone() == (0,), 10, "its transaction is over")
        assert other.execute("SELECT count(*) FROM vanished").fetchone() == (0,)
