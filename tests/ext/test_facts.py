"""What the workers write for the agent, on a primary and on a real streaming standby."""
import os
import signal

import processes
import program
import pytest
from server import Server, as_user
from waiting import wait_for
from words import LOCAL, REMOTE_APPLY, REMOTE_FLUSH, lsn

MEMBER = "6f1c1e52-0000-4000-8000-00000000000b"
STREAMING = 3


def fresh_facts(server, since):
    """Facts written after `since`."""
    facts = server.words.facts()
    return facts if facts is not None and facts["server_us"] > since else None


def next_facts(server):
    """Facts that were begun after now: the second write from here."""
    since = server.words.server_us
    for _ in range(2):
        facts = wait_for(lambda: fresh_facts(server, since), 30, "facts", server.log_text)
        since = facts["server_us"]
    return facts


def test_a_primary_tells_its_versions_pid_and_flush_position(primary):
    primary.run("INSERT INTO t VALUES (1)")
    at = lsn(primary.value("SELECT pg_current_wal_flush_lsn()"))
    facts = wait_for(lambda: (f := primary.words.facts()) and f["flush"] >= at and f, 30, "the flush position")
    assert facts["library_version"] == 100
    assert facts["server_version"] == int(primary.value("SHOW server_version_num"))
    assert facts["postmaster"] == primary.process.pid
    assert facts["in_recovery"] == 0 and facts["senders"] == {}


def test_the_sequence_goes_up_by_two_and_is_even_between(primary):
    first, second = next_facts(primary)["sequence"], next_facts(primary)["sequence"]
    assert first % 2 == second % 2 == 0 and second > first


def test_the_probe_measures_the_wal_disk(primary):
    wait_for(lambda: primary.words.fsync_us > 0, 30, "a probe came back")
    probe = primary.data / "pg_wal/pgsql_tmp_pgkeel_probe"
    assert probe.stat().st_size == 512


def test_a_probe_that_does_not_come_back_shows_and_holds_up_nothing(make_server):
    """A pipe stands for the disk: it lets nobody in to write until somebody reads."""
    server = make_server()
    pipe = server.data / "pg_wal/pgsql_tmp_pgkeel_probe"
    as_user("mkfifo", pipe)
    server.words.allow()
    server.start()
    begun = wait_for(lambda: server.words.fsync_begun_us, 30, "a probe is under way")
    for _ in range(3):
        next_facts(server)
    assert server.words.fsync_begun_us == begun and server.words.fsync_us == -1
    server.run("CREATE TABLE t (a int)")
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)):
        wait_for(lambda: server.words.fsync_begun_us == 0, 30, "it came back")


def worker(server, name):
    return wait_for(lambda: next((pid for pid in processes.descendants(server.process.pid)
                                  if f"pgkeel {name}" in " ".join(processes.arguments(pid))), None), 30, f"the {name} worker runs")


def test_a_probe_that_fails_says_so_once(make_server):
    server = make_server()
    (server.data / "pg_wal/pgsql_tmp_pgkeel_probe").mkdir()
    server.start()
    wait_for(server.logged("the WAL disk cannot be probed"), 30, "it is in the log", server.log_text)
    assert server.words.fsync_us == -1
    next_facts(server)


def test_a_worker_that_was_terminated_is_started_again(primary):
    old = [worker(primary, name) for name in ("facts", "probe")]
    for pid in old:
        processes.send(pid, signal.SIGTERM)
    wait_for(lambda: not any(processes.alive(pid) for pid in old), 30, "they ended")
    next_facts(primary)
    worker(primary, "probe")


@pytest.fixture(scope="module")
def pair(template):
    """A primary and a standby that streams from it under a member's name."""
    first = Server(template)
    first.words.allow()
    first.start()
    first.run("CREATE TABLE t (a int)")
    second = Server(template, copy=False)
    as_user(program.postgres_bin() / "pg_basebackup", "-h", first.socket, "-p", first.port, "-U", "postgres", "-D", second.data,
            "-R", "-X", "stream", "-c", "fast", "--no-sync")
    second.settings["primary_conninfo"] = f"host={first.socket} port={first.port} user=postgres application_name={MEMBER}"
    second.start()
    wait_for(lambda: sender(first)["state"] == STREAMING, 60, "the standby streams", second.log_text)
    yield first, second
    second.close()
    first.close()


def sender(server):
    facts = server.words.facts()
    return (facts and facts["senders"].get(MEMBER)) or {"state": -1}


def test_the_primary_sees_its_standby_by_name_with_positions(pair):
    first, _ = pair
    first.run("INSERT INTO t VALUES (1)")
    at = lsn(first.value("SELECT pg_current_wal_flush_lsn()"))
    seen = wait_for(lambda: (s := sender(first))["state"] == STREAMING and s["replay"] >= at and s, 30, "it has replayed that")
    assert seen["sent"] >= seen["write"] >= seen["flush"] >= seen["replay"] >= at
    pid, priority = first.run("SELECT pid, sync_priority FROM pg_stat_replication")[0]
    assert (seen["pid"], seen["sync_priority"]) == (pid, priority) == (pid, 0)


def test_a_synchronous_standby_has_its_priority_and_a_commit_with_the_floor_reaches_it(pair):
    first, second = pair
    first.words.floor = REMOTE_FLUSH
    first.configure(synchronous_standby_names=f'ANY 1 ("{MEMBER}")')
    wait_for(lambda: sender(first).get("sync_priority") == 1, 30, "its priority is seen")
    first.run("SET synchronous_commit = off; INSERT INTO t VALUES (2)")
    at = lsn(first.value("SELECT pg_current_wal_flush_lsn()"))
    assert lsn(second.value("SELECT pg_last_wal_receive_lsn()")) >= at
    first.words.floor = LOCAL
    first.configure()


def test_after_the_floor_fell_a_session_waits_for_what_it_asked_for(pair):
    """What SyncRepWaitForLSN() goes by must have come back too, not only the setting: to written, from replayed."""
    first, second = pair
    first.configure(synchronous_standby_names=f'ANY 1 ("{MEMBER}")')
    wait_for(lambda: sender(first).get("sync_priority") == 1, 30, "it is synchronous")
    connection = first.connect()
    connection.execute("SET synchronous_commit = remote_write")
    second.run("SELECT pg_wal_replay_pause()")
    first.words.floor = REMOTE_APPLY
    statement = first.begin_on(connection, "INSERT INTO t VALUES (4)")
    first.wait_until_waiting(statement)
    second.run("SELECT pg_wal_replay_resume()")
    statement.end()
    second.run("SELECT pg_wal_replay_pause()")
    first.words.floor = LOCAL
    assert first.begin_on(connection, "INSERT INTO t VALUES (5)").end().error is None
    second.run("SELECT pg_wal_replay_resume()")
    connection.close()
    first.configure()


def test_a_standby_tells_what_it_has(pair):
    first, second = pair
    first.run("INSERT INTO t VALUES (3)")
    at = lsn(first.value("SELECT pg_current_wal_flush_lsn()"))
    facts = wait_for(lambda: (f := second.words.facts()) and f["replay"] >= at and f, 30, "it has replayed that")
    assert facts["in_recovery"] == 1 and facts["flush"] >= at and facts["postmaster"] == second.process.pid
    wait_for(lambda: second.words.fsync_us > 0, 30, "a standby probes its disk too")


def test_a_standby_that_left_is_gone_from_the_facts(pair):
    first, second = pair
    second.stop()
    wait_for(lambda: (f := first.words.facts()) and f["senders"] == {}, 30, "its entry is gone")
    second.start()
    wait_for(lambda: sender(first)["state"] == STREAMING, 30, "it is back")
