"""What one client leaves behind must not reach another one, and what it needs must come along: sessions over shared servers,
queues, and limits."""
import contextlib
import pathlib
import re
import threading

import psycopg
import pytest

from network import PROXY_PORTS
from proxy_wire import Wire, message, query
from waiting import wait_for


@pytest.fixture
def node(three):
    return three.primary()


@pytest.fixture
def small(own_cluster):
    """A standby whose proxy has two servers per user, and little patience."""
    cluster = own_cluster(2)
    node = cluster.standbys()[0]
    for key, value in (("pool_size", 2), ("clients_max", 6), ("wait_s_max", 2)):
        node.edit_config("proxy", key, value)
    node.terminate()
    node.start()
    wait_for(lambda: node.proxy().close() is None, 60, "its proxy serves", cluster.describe)
    return node


def proxy_pid(node):
    return node.inner("proxy")


def test_settings_come_along_and_stay_with_their_client(node):
    """Two clients on one server in turn, each with settings of its own; a third has none."""
    with node.proxy() as one, node.proxy() as other, node.proxy() as third:
        one.execute("SET work_mem = '11MB'"), one.execute("SET search_path = public, pg_catalog")
        one.execute("SELECT set_config('my.tenant', 'one', false)")
        other.execute("SET work_mem = '22MB'")
        other.execute("SET my.tenant = 'other'")
        for _ in range(5):
            asked = "SELECT current_setting('work_mem'), current_setting('my.tenant', true), current_setting('search_path')"
            assert one.execute(asked).fetchone() == ("11MB", "one", "public, pg_catalog")
            assert other.execute(asked).fetchone() == ("22MB", "other", '"$user", public')
            work, tenant, path = third.execute(asked).fetchone()
            assert work == "4MB" and tenant in (None, "") and path == '"$user", public'
        one.execute("RESET ALL")
        assert one.execute("SHOW work_mem").fetchone() == ("4MB",)
        assert other.execute("SHOW work_mem").fetchone() == ("22MB",)
        other.execute("DISCARD ALL")
        assert other.execute("SHOW work_mem").fetchone() == ("4MB",)


def test_a_setting_that_is_rolled_back_is_not_kept(node):
    with node.proxy(autocommit=False) as one:
        one.execute("SET work_mem = '33MB'")
        one.rollback()
        assert one.execute("SHOW work_mem").fetchone() == ("4MB",)
        one.execute("SET LOCAL work_mem = '34MB'")
        one.commit()
        assert one.execute("SHOW work_mem").fetchone() == ("4MB",)
        one.execute("SET work_mem = '35MB'")
        one.commit()
        assert one.execute("SHOW work_mem").fetchone() == ("35MB",)


def test_a_role_does_not_leak(node):
    node.admin("CREATE ROLE visitor; GRANT visitor TO auditor")
    try:
        with node.proxy() as one, node.proxy() as other:
            one.execute("SET ROLE visitor")
            for _ in range(3):
                assert one.execute("SELECT current_user").fetchone() == ("visitor",)
                assert other.execute("SELECT current_user").fetchone() == ("auditor",)
            one.execute("RESET ALL")
            assert one.execute("SELECT current_user").fetchone() == ("visitor",), "RESET ALL does not touch the role"
            one.execute("RESET ROLE")
            assert one.execute("SELECT current_user").fetchone() == ("auditor",)
    finally:
        wait_for(lambda: node.admin("DROP ROLE visitor") is not None, 10, "the role is gone")


def test_settings_of_the_connection_string(node):
    with node.proxy(options="-c work_mem=44MB -c my.own=x", application_name="mine") as one, node.proxy() as other:
        for _ in range(3):
            assert one.execute("SELECT current_setting('work_mem'), current_setting('my.own'), "
                               "current_setting('application_name')").fetchone() == ("44MB", "x", "mine")
            assert other.execute("SELECT current_setting('work_mem'), current_setting('application_name')").fetchone() \
                == ("4MB", "")
        assert one.info.parameter_status("application_name") == "mine"


def test_reset_goes_back_to_the_connection_string(node):
    """As it does at a server, whatever the database has for its sessions."""
    node.admin("ALTER DATABASE audit SET timezone = 'PST8PDT'")
    try:
        with node.proxy(options="-c timezone=Asia/Tokyo -c work_mem=9MB") as one, node.proxy() as other:
            for undo in ("RESET timezone", "SET timezone TO DEFAULT", "RESET ALL", "DISCARD ALL", "SET TIME ZONE LOCAL"):
                one.execute("SET timezone = 'UTC'"), one.execute("SET work_mem = '22MB'")
                one.execute(undo)
                assert one.execute("SHOW timezone").fetchone() == ("Asia/Tokyo",), undo
                assert one.info.parameter_status("TimeZone") == "Asia/Tokyo", undo
                one.execute("RESET work_mem")
                assert one.execute("SHOW work_mem").fetchone() == ("9MB",), undo
                other.execute("RESET ALL")
                assert other.execute("SHOW work_mem").fetchone() == ("4MB",), undo
    finally:
        node.admin("ALTER DATABASE audit RESET timezone")


def test_a_login_is_told_what_its_endpoint_leads_to(three):
    """The answer to a login is remembered; what a standby said must not greet one who wants the primary, or he turns
    away (target_session_attrs) for ever."""
    node = three.standbys()[0]
    for _ in range(2):
        with node.proxy("read-only", target_session_attrs="standby") as reader:
            assert reader.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        for endpoint in ("auto", "read-write"):
            with node.proxy(endpoint, target_session_attrs="read-write") as writer:
                assert writer.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


def test_what_cannot_come_along_keeps_its_server(node):
    with node.proxy() as one, node.proxy() as other:
        one.execute("CREATE TEMP TABLE mine (a int)")
        mine = one.execute("SELECT pg_backend_pid()").fetchone()
        for _ in range(5):
            assert other.execute("SELECT pg_backend_pid()").fetchone() != mine
            assert one.execute("SELECT count(*) FROM mine").fetchone() == (0,)
        one.execute("DROP TABLE mine")
        one.execute("SELECT pg_advisory_lock(4711)")
        assert other.execute("SELECT pg_try_advisory_lock(4711)").fetchone() == (False,)
        one.execute("SELECT pg_advisory_unlock(4711)")
        with pytest.raises(psycopg.errors.UndefinedTable):
            other.execute("SELECT * FROM mine")
    with node.proxy() as later:
        assert later.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,), \
            "the lock went with its client"


def test_sql_prepare_keeps_its_server(node):
    with node.proxy() as one, node.proxy() as other:
        one.execute("PREPARE fixed AS SELECT 5")
        for _ in range(3):
            other.execute("SELECT 1")
            assert one.execute("EXECUTE fixed").fetchone() == (5,)


def test_a_queue_that_is_too_long_is_said_with_its_figures(small):
    holders = [small.proxy(autocommit=False) for _ in range(2)]
    for holder in holders:
        holder.execute("SELECT 1")
    with small.proxy() as waiting:
        with pytest.raises(psycopg.OperationalError, match="query_wait_timeout: 2000 ms.*2 of 2 connections in use"):
            waiting.execute("SELECT 1")
    with small.proxy() as waiting:
        got = []
        asks = threading.Thread(target=lambda: got.append(waiting.execute("SELECT 1").fetchone()))
        asks.start()
        holders[0].rollback()
        asks.join(10)
        assert got == [(1,)], "a server that is given back goes to who waits"
    for holder in holders:
        holder.close()


def test_too_many_clients_are_told_so(small):
    opened = [small.proxy() for _ in range(6)]
    with pytest.raises(psycopg.OperationalError, match="too many clients already"):
        small.proxy().close()
    for one in opened:
        one.close()
    wait_for(lambda: small.proxy().close() is None, 10, "there is room again")


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_a_client_that_never_reads_costs_a_bounded_memory(node):
    pid = proxy_pid(node)
    with Wire(node.address, PROXY_PORTS["auto"]) as wire:
        wire.login("auditor", "audit", node.cluster.password)
        before = resident_kb(pid)
        wire.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 60000)"))
        with node.proxy() as other:
            for _ in range(200):
                assert other.execute("SELECT 1").fetchone() == (1,)
        assert resident_kb(pid) - before < 15_000, "60 MB are on their way"
        # It may still change its mind.
        rows = 0
        while (kind := wire.read()[0]) != "Z":
            rows += kind == "D"
        assert rows == 60_000


def test_many_clients_share_few_servers(node):
    before = int(node.admin("SELECT count(*) FROM pg_stat_activity WHERE usename = 'auditor'"))
    opened = [node.proxy() for _ in range(60)]
    for one in opened:
        assert one.execute("SELECT 1").fetchone() == (1,)
    after = int(node.admin("SELECT count(*) FROM pg_stat_activity WHERE usename = 'auditor'"))
    assert after - before <= 2
    for one in opened:
        one.close()


def test_session_and_statement_mode(own_cluster):
    cluster = own_cluster(2)
    node = cluster.standbys()[0]

    def mode(name):
        node.edit_config("proxy", "pool", f'"{name}"')
        node.terminate()
        node.start()
        wait_for(lambda: node.proxy().close() is None, 60, "its proxy serves", cluster.describe)
    mode("session")
    with node.proxy() as one, node.proxy() as other:
        first = one.execute("SELECT pg_backend_pid()").fetchone()
        assert other.execute("SELECT pg_backend_pid()").fetchone() != first
        assert one.execute("SELECT pg_backend_pid()").fetchone() == first
        one.execute("CREATE TEMP TABLE mine (a int)")
        one.execute("SET work_mem = '11MB'")
    with node.proxy() as later, node.proxy() as another:
        for one in (later, another):
            assert one.execute("SHOW work_mem").fetchone() == ("4MB",)
            assert one.execute("SELECT to_regclass('pg_temp.mine')").fetchone() == (None,)
    mode("statement")
    with node.proxy() as one:
        assert one.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="statement pooling mode"):
            one.execute("BEGIN")


def private_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(number) for number in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


def test_what_a_server_does_not_take_does_not_pile_up(node):
    """COPY into a table that somebody has locked: the client is stopped, and its data all arrives when the lock is gone."""
    node.sql("CREATE TABLE IF NOT EXISTS piled (a text)")
    node.sql("TRUNCATE piled")
    rows = 8000
    data, at = memoryview(message("d", b"x" * 8191 + b"\n") * rows), 0
    with node.connect(autocommit=False) as blocker, Wire(node.address, PROXY_PORTS["read-write"]) as wire:
        wire.login("auditor", "audit", node.cluster.password)
        blocker.execute("LOCK TABLE piled")
        before = private_kb(proxy_pid(node))
        wire.send(query("COPY piled FROM STDIN"))
        wire.socket.settimeout(3)
        with contextlib.suppress(TimeoutError):
            while at < len(data):
                at += wire.socket.send(data[at:at + 65536])
        # The rest is in buffers of the kernel's.
        assert private_kb(proxy_pid(node)) - before < 16_000, f"{at} bytes were taken"
        assert at < len(data)
        blocker.rollback()
        wire.socket.settimeout(60)
        wire.socket.sendall(data[at:])
        wire.send(message("c"))
        assert any(kind == "C" and body == b"COPY %d\0" % rows for kind, body in wire.until_ready())
    assert node.value("SELECT count(*) FROM piled WHERE length(a) = 8191") == rows
    node.sql("DROP TABLE piled")
