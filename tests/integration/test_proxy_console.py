"""The proxy's admin console, by psql and by psycopg: what it shows is what is, and what it does holds nobody up for ever."""
import threading

import psycopg
import pytest

import program
from network import PROXY_PORTS
from proxy_wire import Wire, error_fields, message, query, text
from waiting import NotYet, wait_for

PASSWORD = "console secret"
SHOWN = ("CLIENTS", "CONFIG", "DATABASES", "HELP", "LISTS", "NODES", "NODE_POOLS", "POOLS", "SERVERS", "SETTINGS", "STATE",
         "STATS", "VERSION")


@pytest.fixture
def node(three):
    """The primary's node, with somebody who may look, somebody who may do everything, and somebody else."""
    node = three.primary()
    for name, rights in (("watcher", "IN ROLE pg_monitor"), ("boss", "SUPERUSER"), ("stranger", "")):
        if node.admin(f"SELECT count(*) FROM pg_roles WHERE rolname = '{name}'") == "0":
            node.admin(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {rights}")
    yield node
    with console(node) as ours:
        if asked(ours, "SHOW STATE")[0]["paused"] == "yes" or asked(ours, "SHOW STATE")[0]["paused_databases"]:
            ours.execute("RESUME")


def console(node, user="boss", endpoint="auto"):
    connection = node.proxy(endpoint, dbname="pgkeel", user=user, password=PASSWORD)
    connection.prepare_threshold = None  # else psycopg prepares what it has sent five times
    return connection


def asked(connection, command):
    """Rows as dictionaries; of a table of keys and values one dictionary."""
    cursor = connection.execute(command)
    names = [column.name for column in cursor.description]
    rows = [dict(zip(names, row)) for row in cursor.fetchall()]
    return [{row["key"]: row["value"] for row in rows}] if names[:2] == ["key", "value"] else rows


def row_of(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    if not found:
        raise NotYet(f"no {wanted} in {rows}")
    return found[0]


def psql(node, *commands, user="watcher"):
    words = [program.postgres_bin() / "psql", "-XAt", "-h", node.address, "-p", PROXY_PORTS["auto"], "-U", user,
             "-d", "pgkeel"]
    for command in commands:
        words += ["-c", command]
    return program.run(program.as_server_user(["env", f"PGPASSWORD={PASSWORD}", *words]), cwd="/")


def test_psql_shows_everything(node):
    for command in SHOWN:
        done = psql(node, f"SHOW {command};")
        assert done.returncode == 0 and not done.stderr, (command, done.stderr)
    assert psql(node, "show version").stdout.startswith("pgkeel ")
    assert len(psql(node, "SHOW NODES", "SHOW HELP").stdout.splitlines()) > 3 + 10


def test_who_may_come_in_and_do_what(node):
    with pytest.raises(psycopg.OperationalError, match='role "stranger" may not use the console(.|\n)*pg_monitor'):
        console(node, "stranger")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        node.proxy(dbname="pgkeel", user="boss", password="wrong")
    with console(node, "watcher") as watcher:
        assert asked(watcher, "SHOW POOLS") is not None
        for command in ("PAUSE", "RESUME", "KILL audit", "KILL_CLIENT 1", "RECONNECT", "RELOAD"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may only look"):
                watcher.execute(command)
        node.admin("REVOKE pg_monitor FROM watcher")
        try:
            def is_out():
                try:
                    console(node, "watcher").close()
                except psycopg.OperationalError:
                    return True
                raise NotYet("it is still let in")
            wait_for(is_out, 15, "it is refused")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                watcher.execute("SHOW POOLS")  # the one that was open as well
        finally:
            node.admin("GRANT pg_monitor TO watcher")

            def is_in_again():
                try:
                    return console(node, "watcher").close() is None
                except psycopg.OperationalError as refused:
                    raise NotYet(str(refused)) from None
            wait_for(is_in_again, 15, "it is let in again")


@pytest.mark.parametrize("command, code, words", [
    ("FOO", "42601", "SHOW HELP"), ("SHOW NOTHING", "42601", "POOLS"), ("SELECT 1", "42601", "no SQL"),
    ("SHUTDOWN", "42601", "PAUSE"), ("BEGIN", "42601", "autocommit"), ("RESUME", "55000", "SHOW STATE"),
    ("KILL_CLIENT 999999999", "42704", "SHOW CLIENTS")])
def test_what_it_cannot_do_is_said_with_what_to_do(node, command, code, words):
    with console(node) as ours:
        with pytest.raises(psycopg.Error) as caught:
            ours.execute(command)
        assert caught.value.sqlstate == code and words in caught.value.diag.message_hint
        assert asked(ours, "SHOW VERSION"), "and it goes on"


def test_the_extended_protocol_is_refused_and_the_console_goes_on(node):
    with Wire(node.address, PROXY_PORTS["read-only"]) as wire:
        wire.login("boss", "pgkeel", PASSWORD)
        wire.send(message("P", text("") + text("SHOW POOLS") + b"\0\0"), message("D", b"S\0"), message("S"))
        (kind, body), (end, _) = wire.until_ready()
        assert (kind, end) == ("E", "Z") and error_fields(body)["C"] == "0A000"
        wire.send(query("SHOW VERSION") * 40)
        assert wire.kinds(40) == "TDCZ" * 40
        wire.send(query(""))
        assert wire.kinds() == "IZ"


def test_pools_clients_and_servers_are_what_is_there(node):
    with console(node, "watcher") as ours, node.proxy("read-write", autocommit=False, application_name="holder") as one, \
            node.proxy("read-write") as idle:
        idle.execute("SELECT 1")
        one.execute("CREATE TEMP TABLE mine ()")
        pid = one.info.backend_pid
        client = row_of(asked(ours, "SHOW CLIENTS"), application_name="holder")
        assert (client["state"], client["endpoint"], client["node"]) == ("active", "read-write", node.name)
        server = row_of(asked(ours, "SHOW SERVERS"), id=client["link"])
        assert server["link"] == client["id"] and server["state"] == "active" and server["role"] == "primary"
        assert node.admin(f"SELECT state FROM pg_stat_activity WHERE pid = {server['remote_pid']}") == "idle in transaction"
        assert pid != server["remote_pid"], "a client's own number is the proxy's"
        pool = row_of(asked(ours, "SHOW POOLS"), database="audit", user="auditor")
        assert pool["sv_active"] == 1 and pool["cl_active"] == 2 and pool["cl_idle"] == 1
        one.rollback()
        def is_given_back():
            return row_of(asked(ours, "SHOW CLIENTS"), application_name="holder", state="idle")
        wait_for(is_given_back, 10, "the server is given back")
        nodes = {row["name"]: row for row in asked(ours, "SHOW NODES")}
        assert set(nodes) == {other.name for other in node.cluster.data_nodes()} and nodes[node.name]["role"] == "primary"
        assert sum(row["takes_reads"] for row in nodes.values()) == 2


def test_statistics_count_what_was_done(node):
    with console(node, "watcher") as ours, node.proxy("read-write") as one:
        one.prepare_threshold = None  # what is prepared takes a round trip of its own
        one.execute("SELECT 1")
        before = row_of(asked(ours, "SHOW STATS"), database="audit")
        for _ in range(50):
            one.execute("SELECT 1")
        with one.transaction():
            one.execute("SELECT pg_sleep(0.05)")
        after = row_of(asked(ours, "SHOW STATS"), database="audit")
        # BEGIN, the statement and COMMIT are three queries and one transaction.
        assert after["total_query_count"] - before["total_query_count"] == 53
        assert after["total_xact_count"] - before["total_xact_count"] == 51
        assert after["total_received"] > before["total_received"] and after["total_sent"] > before["total_sent"]
        assert after["total_query_time"] - before["total_query_time"] >= 50_000
        assert after["total_xact_time"] - before["total_xact_time"] >= after["total_query_time"] - before["total_query_time"]


class Asking(threading.Thread):
    """One statement in a thread of its own."""

    def __init__(self, connection, command):
        super().__init__()
        self.connection, self.command, self.error, self.done = connection, command, None, False
        self.start()

    def run(self):
        try:
            self.connection.execute(self.command)
            self.done = True
        except psycopg.Error as error:
            self.error = error


def test_pause_waits_for_the_transaction_and_holds_new_work(node):
    with console(node) as ours, console(node, "watcher") as looks, node.proxy("read-write", autocommit=False) as open_one, \
            node.proxy("read-write") as later:
        open_one.execute("SELECT 1")
        pausing = Asking(ours, "PAUSE audit")
        wait_for(lambda: row_of(asked(looks, "SHOW DATABASES"), name="audit", paused=1), 10, "it is paused")
        held = Asking(later, "SELECT 1")
        wait_for(lambda: row_of([row for row in asked(looks, "SHOW POOLS") if row["cl_waiting"]], database="audit"), 10,
                 "the new work waits")
        assert pausing.is_alive() and held.is_alive(), "a transaction is open"
        open_one.execute("SELECT 2")
        open_one.commit()
        pausing.join(15)
        assert pausing.done
        assert not [row for row in asked(looks, "SHOW SERVERS") if row["database"] == "audit"], "all are closed"
        assert held.is_alive()
        with pytest.raises(psycopg.Error, match="is paused already"):
            ours.execute("PAUSE audit")
        ours.execute("RESUME audit")
        held.join(15)
        assert held.done


def test_a_pause_that_nobody_waits_for_is_undone(node):
    with console(node, "watcher") as looks, node.proxy("read-write", autocommit=False) as open_one, \
            node.proxy("read-write") as later:
        open_one.execute("SELECT 1")
        cancelled = console(node)
        asking = Asking(cancelled, "PAUSE")
        wait_for(lambda: asked(looks, "SHOW STATE")[0]["paused"] == "yes" or None, 10, "it is paused")
        cancelled.cancel()
        asking.join(15)
        assert asking.error.sqlstate == "57014"
        assert asked(looks, "SHOW STATE")[0]["paused"] == "no"
        cancelled.close()
        with Wire(node.address, PROXY_PORTS["auto"]) as wire:
            wire.login("boss", "pgkeel", PASSWORD)
            wire.send(query("PAUSE audit"))
            wait_for(lambda: asked(looks, "SHOW STATE")[0]["paused_databases"] == "audit" or None, 10, "it is paused")
        wait_for(lambda: asked(looks, "SHOW STATE")[0]["paused_databases"] == "" or None, 10, "it is undone")
        later.execute("SELECT 1")


def test_reconnect_opens_servers_anew(node):
    with console(node) as ours, node.proxy("read-write") as one, node.proxy("read-write", autocommit=False) as open_one:
        open_one.execute("SELECT 1")
        busy = open_one.execute("SELECT pg_backend_pid()").fetchone()
        idle = one.execute("SELECT pg_backend_pid()").fetchone()
        ours.execute("RECONNECT audit")
        assert one.execute("SELECT pg_backend_pid()").fetchone() not in (idle, busy)
        assert open_one.execute("SELECT pg_backend_pid()").fetchone() == busy, "a transaction keeps what it has"
        open_one.commit()
        assert open_one.execute("SELECT pg_backend_pid()").fetchone() != busy


def test_kill_closes_and_holds_back(node):
    with console(node) as ours, node.proxy("read-write", autocommit=False) as one, node.proxy("read-write") as idle:
        idle.execute("SELECT 1")
        one.execute("SELECT 1")
        notices = []
        ours.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        ours.execute("KILL audit")
        assert "2 clients were closed" in notices[0] and "RESUME" in notices[0]
        for victim in (one, idle):
            with pytest.raises(psycopg.OperationalError) as caught:
                victim.execute("SELECT 1")
            assert caught.value.sqlstate in ("57P01", None)
        with pytest.raises(psycopg.Error, match="SHOW STATE|is not paused"):
            ours.execute("RESUME elsewhere")
        ours.execute("RESUME audit")
        with node.proxy("read-write", application_name="victim") as again:
            again.execute("SELECT 1")
            number = row_of(asked(ours, "SHOW CLIENTS"), application_name="victim")["id"]
            ours.execute(f"KILL_CLIENT {number}")
            with pytest.raises(psycopg.OperationalError):
                again.execute("SELECT 1")


def test_reload_takes_what_can_change_and_says_what_cannot(own_cluster):
    cluster = own_cluster(2)
    node = cluster.primary()
    node.admin(f"CREATE ROLE boss LOGIN PASSWORD '{PASSWORD}' SUPERUSER")
    with console(node) as ours:
        notices = []
        ours.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        setting = lambda key: asked(ours, "SHOW SETTINGS")[0][key]
        node.edit_config("proxy", "pool_size", 3)
        node.edit_config("proxy", "clients_max", 2)
        ours.execute("RELOAD")
        assert (setting("pool_size"), setting("clients_max")) == ("3", "2") and not notices
        with node.proxy() as one:
            with pytest.raises(psycopg.OperationalError, match="too many clients already"):
                node.proxy()
            with console(node) as second:
                assert asked(second, "SHOW LISTS"), "the console has room when nobody else has"
            assert one.execute("SELECT 1").fetchone() == (1,)
        node.edit_config("proxy", "pool_size", 4)
        node.edit_config("proxy", "balance", '"sideways"')
        with pytest.raises(psycopg.Error, match=r'node.toml:\d+: proxy.balance = "sideways" is not known'):
            ours.execute("RELOAD")
        assert setting("pool_size") == "3", "all or nothing"
        node.edit_config("proxy", "balance", '"random"')
        node.edit_config("proxy", "pool", '"session"')
        ours.execute("RELOAD")
        assert (setting("pool_size"), setting("balance"), setting("pool")) == ("4", "random", "transaction")
        assert notices == ["pool changed: that needs a restart of the node's pgkeel"]
        node.edit_config("proxy", "listen", '["127.0.0.1", "localhost"]')
        with pytest.raises(psycopg.Error, match=r'node.toml:\d+: proxy.listen: "localhost" is not an IP address'):
            ours.execute("RELOAD")
