"""CREATE EXTENSION pgkeel from an installation of its own, and what people see through it."""
import program
import psycopg
import pytest
from server import Server, as_user
from waiting import wait_for
from words import REMOTE_FLUSH


@pytest.fixture(scope="module")
def stage(template):
    return program.install_extension(template.root / "stage")


@pytest.fixture(scope="module")
def pair(template, stage):
    """A primary with the extension and a standby."""
    library, found = program.installed_library(stage), program.finds_extension_in(stage)
    first = Server(template, preload=library, settings=found)
    first.words.allow()
    first.start()
    first.run("CREATE EXTENSION pgkeel; CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE nosy LOGIN")
    second = Server(template, copy=False, preload=library, settings=found)
    as_user(program.postgres_bin() / "pg_basebackup", "-h", first.socket, "-p", first.port, "-U", "postgres", "-D", second.data,
            "-R", "-X", "stream", "-c", "fast", "--no-sync")
    second.settings["primary_conninfo"] = f"host={first.socket} port={first.port} user=postgres application_name=b"
    second.start()
    yield first, second
    second.close()
    first.close()


def row(server, relation, **more):
    with server.connect(**more) as connection:
        cursor = connection.execute(f"SELECT * FROM {relation}")
        return dict(zip([column.name for column in cursor.description], cursor.fetchone()))


def test_fence_shows_an_open_gate(pair):
    first, _ = pair
    first.words.allow(floor=REMOTE_FLUSH, epoch=9, recheck=1)
    seen = row(first, "pgkeel.fence()", user="watcher")
    assert 0 < seen.pop("deadline_remaining_ms") <= 3600 * 1000
    assert seen == {"open": True, "epoch": 9, "recheck": True, "floor": "on", "logins": True, "unmask": False, "refused": 0,
                    "held": 0, "library_version": "0.1.0", "problem": None}
    first.words.allow()


def test_fence_shows_a_shut_gate_with_its_reason(pair):
    first, _ = pair
    first.words.shut()
    seen = row(first, "pgkeel.fence()")
    assert not seen["open"] and seen["deadline_remaining_ms"] < 0 and "ended" in seen["problem"]
    first.words.allow()


def test_fence_without_the_library_preloaded_says_what_to_do(pair, make_server, stage):
    bare = make_server(settings={**program.finds_extension_in(stage), "shared_preload_libraries": ""})
    del bare.settings["pgkeel.gate_file"]
    bare.start()
    bare.run("CREATE EXTENSION pgkeel")
    seen = row(bare, "pgkeel.fence()")
    assert not seen["open"] and "shared_preload_libraries" in seen["problem"]
    bare.run("CREATE TABLE t (a int)")


def test_replication_monitor_has_a_row_per_standby(pair):
    first, _ = pair
    wait_for(lambda: row(first, "pgkeel.replication_monitor", user="watcher")["caught_up"], 60, "the standby has everything")
    seen = row(first, "pgkeel.replication_monitor", user="watcher")
    assert (seen["standby"], seen["state"], seen["sync_state"], seen["level"]) == ("b", "streaming", "async", "LOW")
    assert seen["replay_lag_bytes"] == 0 and seen["uptime_seconds"] >= 0


@pytest.mark.parametrize("mebibytes, level", [(0, "LOW"), (12, "MEDIUM"), (110, "HIGH")])
def test_the_level_follows_what_the_standby_lacks(pair, mebibytes, level):
    first, second = pair
    wait_for(lambda: row(first, "pgkeel.replication_monitor")["caught_up"], 60, "the standby has everything")
    second.run("SELECT pg_wal_replay_pause()")
    first.run(f"SELECT pg_logical_emit_message(false, 'x', repeat('x', 1048576)) FROM generate_series(1, {mebibytes})")
    assert row(first, "pgkeel.replication_monitor")["level"] == level
    second.run("SELECT pg_wal_replay_resume()")


def test_replication_monitor_works_on_a_standby_too(pair):
    _, second = pair
    assert second.run("SELECT * FROM pgkeel.replication_monitor") == []


def test_performance_monitor(pair):
    first, _ = pair
    wait_for(lambda: row(first, "pgkeel.performance_monitor")["replication_connections"] == 1, 30, "the standby is counted")
    seen = row(first, "pgkeel.performance_monitor", user="watcher")
    assert list(seen) == ["connections", "active", "commits", "rollbacks", "cache_hits", "disk_reads",
                          "replication_connections", "sync_replicas", "size_bytes"]
    assert seen["connections"] >= 1 and seen["active"] >= 1 and seen["commits"] > 0 and seen["size_bytes"] > 1 << 20
    first.configure(synchronous_standby_names="b")
    wait_for(lambda: row(first, "pgkeel.performance_monitor")["sync_replicas"] == 1, 30, "a synchronous one is counted")
    first.configure()


@pytest.mark.parametrize("text", ["SELECT * FROM pgkeel.fence()", "SELECT * FROM pgkeel.replication_monitor",
                                  "SELECT * FROM pgkeel.performance_monitor"])
def test_only_monitors_may_look(pair, text):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        pair[0].run(text, user="nosy")


def test_a_search_path_of_traps_changes_nothing(pair):
    """Somebody's own count() and operators come first in the path: the views do not call them."""
    first, _ = pair
    first.run("""
        CREATE SCHEMA trap;
        CREATE FUNCTION trap.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1';
        CREATE FUNCTION trap.pg_database_size(oid) RETURNS bigint LANGUAGE sql AS 'SELECT 1 / 0::bigint'""")
    first.run("SET search_path = trap, pg_catalog; SELECT * FROM pgkeel.replication_monitor; "
              "SELECT * FROM pgkeel.performance_monitor; SELECT * FROM pgkeel.fence()")
    first.run("DROP SCHEMA trap CASCADE")
