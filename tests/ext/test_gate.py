"""The gate: no write is committed while it is shut, whatever its way; reads pass; the reason and the mend are said."""
import os
import shutil
import signal
import subprocess

import program
import psycopg
import pytest
from waiting import wait_for
from words import BOOT_ID, SIZE, VERSION, Words

READ_ONLY = psycopg.errors.ReadOnlySqlTransaction


def refused(server, text, **more):
    before = server.words.refused
    with pytest.raises(READ_ONLY) as caught:
        server.run(text, **more)
    diagnosis = caught.value.diag
    assert diagnosis.message_detail and diagnosis.message_hint
    return diagnosis, server.words.refused - before


def test_an_open_gate_lets_writes_through(primary):
    primary.run("INSERT INTO t VALUES (1)")
    assert primary.value("SELECT count(*) FROM t") == 1
    assert primary.words.refused == 0


def test_a_shut_gate_refuses_a_write_and_says_since_when(primary):
    primary.words.shut()
    diagnosis, counted = refused(primary, "INSERT INTO t VALUES (1)")
    assert "epoch 7 ended 5" in diagnosis.message_detail and "pgkeel status" in diagnosis.message_hint
    assert counted == 1
    assert primary.value("SELECT count(*) FROM t") == 0


def test_a_closed_gate_says_that_the_agent_closed_it(primary):
    primary.words.deadline_us = 0
    diagnosis, _ = refused(primary, "INSERT INTO t VALUES (1)")
    assert "closed the gate" in diagnosis.message_detail and "7" in diagnosis.message_detail


@pytest.mark.parametrize("text", [
    "BEGIN; INSERT INTO t VALUES (1); COMMIT",
    "BEGIN; SAVEPOINT s; INSERT INTO t VALUES (1); RELEASE s; COMMIT",
    "DO $$ BEGIN INSERT INTO t VALUES (1); COMMIT; END $$",
    "CREATE TABLE u (a int)",
    "SELECT nextval('q')",
    "TRUNCATE t",
], ids=["block", "subtransaction", "procedure", "ddl", "sequence", "truncate"])
def test_every_way_of_writing_is_refused(primary, text):
    primary.run("CREATE SEQUENCE IF NOT EXISTS q; INSERT INTO t VALUES (0)")
    primary.words.shut()
    with primary.connect() as connection, pytest.raises(READ_ONLY):
        for part in text.split(";") if text.startswith("BEGIN") else [text]:
            connection.execute(part)
    assert primary.run("SELECT a FROM t") == [(0,)]


def test_reads_pass_through_a_shut_gate(primary):
    primary.run("INSERT INTO t VALUES (1)")
    primary.words.shut()
    assert primary.value("SELECT count(*) FROM t") == 1
    primary.run("BEGIN; SELECT * FROM t; COMMIT")
    primary.run("BEGIN; INSERT INTO t VALUES (2); ROLLBACK")


def test_an_aborted_subtransaction_alone_still_has_an_xid_and_is_refused_or_stores_nothing(primary):
    primary.words.shut()
    with pytest.raises(READ_ONLY):
        primary.run("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (1); ROLLBACK TO s; COMMIT")
    assert primary.value("SELECT count(*) FROM t") == 0


def test_the_session_lives_on_and_writes_when_the_gate_opens_again(primary):
    with primary.connect() as connection:
        primary.words.shut()
        with pytest.raises(READ_ONLY):
            connection.execute("INSERT INTO t VALUES (1)")
        primary.words.open()
        connection.execute("INSERT INTO t VALUES (2)")
    assert primary.run("SELECT a FROM t") == [(2,)]


def test_prepare_transaction_is_refused(primary):
    primary.words.shut()
    refused(primary, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'")
    assert primary.run("SELECT gid FROM pg_prepared_xacts") == []


@pytest.mark.parametrize("verb", ["COMMIT", "ROLLBACK"])
def test_the_end_of_a_prepared_transaction_is_refused_and_it_stays(primary, verb):
    primary.run("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'")
    primary.words.shut()
    refused(primary, f"{verb} PREPARED 'p'")
    assert primary.run("SELECT gid FROM pg_prepared_xacts") == [("p",)]
    primary.words.open()
    primary.run(f"{verb} PREPARED 'p'")
    assert primary.value("SELECT count(*) FROM t") == (1 if verb == "COMMIT" else 0)


def test_drop_database_is_refused_before_it_removes_files(primary):
    primary.run("CREATE DATABASE gone")
    path = primary.data / "base" / str(primary.value("SELECT oid FROM pg_database WHERE datname = 'gone'"))
    primary.words.shut()
    refused(primary, "DROP DATABASE gone")
    assert path.is_dir()
    primary.words.open()
    primary.run("DROP DATABASE gone")


def test_autovacuum_is_refused_and_goes_on_living(primary):
    primary.run("INSERT INTO t SELECT generate_series(1, 5000)")
    primary.configure(autovacuum_analyze_threshold="1", autovacuum_analyze_scale_factor="0")
    primary.run("UPDATE t SET a = a + 1")
    primary.words.shut()
    seen = primary.words.refused
    wait_for(lambda: primary.words.refused > seen, 60, "autovacuum is refused", primary.log_text)
    launcher = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum launcher'"
    assert primary.value(launcher)
    primary.words.open()
    wait_for(lambda: primary.value("SELECT last_autoanalyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 't'"),
             60, "it works when the gate opens", primary.log_text)


# ---- row 31: started by hand

def hand_started(server, expected, mend):
    """It starts, serves reads, and says what is wrong in the log and in each refusal."""
    server.start()
    assert server.value("SELECT count(*) > 0 FROM pg_class")
    diagnosis, _ = refused(server, "CREATE TABLE u (a int)")
    assert expected in diagnosis.message_detail and mend in diagnosis.message_hint


def test_row_31_a_server_started_by_hand_commits_nothing(make_server):
    server = make_server(settings={"pgkeel.gate_file": ""})
    hand_started(server, "pgkeel.gate_file is empty", "pgkeel node")
    assert server.logged("pgkeel: fenced", "pgkeel.gate_file is empty", "pgkeel node")()


def test_row_31_with_the_words_of_a_dead_agent_it_commits_nothing(make_server):
    server = make_server()
    server.words.allow()
    server.start()
    server.run("CREATE TABLE t (a int)")
    server.stop(signal.SIGQUIT)
    server.words.shut()
    server.start()
    refused(server, "INSERT INTO t VALUES (1)")


def test_row_31_in_single_user_mode_it_commits_nothing(make_server):
    server = make_server()
    command = [program.postgres_bin() / "postgres", "--single", "-D", server.data]
    for name, value in server.settings.items():
        command += ["-c", f"{name}={value}"]
    done = subprocess.run(program.as_server_user([str(word) for word in [*command, "postgres"]]), capture_output=True, text=True,
                          input="CREATE TABLE u (a int)\nSELECT count(*) AS tables FROM pg_class WHERE relname = 'u'\n", cwd="/")
    assert "may not accept writes" in done.stderr and 'tables = "0"' in done.stdout


def test_words_that_were_never_opened_say_so(make_server):
    hand_started(make_server(), "No agent has ever allowed", "pgkeel status")


def test_a_restart_with_the_words_in_place_begins_its_counts_anew(make_server):
    server = make_server()
    server.start()
    refused(server, "CREATE TABLE u (a int)")
    server.words.allow()
    server.run("CREATE TABLE t (a int)")
    server.stop()
    server.start()
    assert server.words.refused == 0
    server.run("INSERT INTO t VALUES (1)")


def test_a_promoted_standby_is_fenced_until_it_is_allowed(make_server):
    server = make_server()
    as_standby = server.data / "standby.signal"
    as_standby.touch()
    os.chmod(as_standby, 0o666)
    server.start()
    server.run("SELECT pg_promote()")
    refused(server, "CREATE TABLE u (a int)")
    server.words.allow()
    server.run("CREATE TABLE u (a int)")


# ---- files that cannot be used: open words, so that only the fault shuts the gate

def broken(make_server, **words):
    bad = Words()
    bad.allow()
    for name, value in words.items():
        setattr(bad, name, value)
    return make_server(words=bad)


def test_a_missing_file_fences(make_server):
    server = make_server(settings={"pgkeel.gate_file": "/dev/shm/pgkeel-test-not-there"})
    hand_started(server, "cannot be opened: No such file", "pgkeel node")


@pytest.mark.parametrize("fault, expected, mend", [
    ({"magic": 1}, "is no gate's file", "pgkeel.gate_file"),
    ({"version": VERSION + 1}, f"has layout {VERSION + 1}", "same pgkeel release"),
    ({"size": SIZE + 8}, f"of {SIZE + 8} bytes", "same pgkeel release"),
    ({"boot_id": BOOT_ID[::-1].encode()}, "before this machine was booted", "pgkeel node"),
], ids=["magic", "version", "size", "boot"])
def test_words_that_are_not_for_this_server_fence(make_server, fault, expected, mend):
    server = broken(make_server, **fault)
    hand_started(server, expected, mend)
    server.words.allow()
    refused(server, "CREATE TABLE u (a int)")


@pytest.mark.parametrize("size", [0, 64, SIZE - 1, SIZE + 1])
def test_a_file_of_another_size_fences(make_server, size):
    server = broken(make_server)
    other = server.root / "other"
    other.write_bytes((bytes(server.words.memory) + b"x")[:size])
    if os.geteuid() == 0:
        shutil.chown(other, program.SERVER_USER)
    server.settings["pgkeel.gate_file"] = str(other)
    hand_started(server, f"has {size} bytes", "same pgkeel release")


def test_a_file_that_others_may_write_fences(make_server):
    server = broken(make_server)
    os.chmod(server.words.path, 0o666)
    hand_started(server, "only this server's user may write", "Remove that file")


def test_a_link_in_place_of_the_file_fences(make_server):
    server = make_server()
    server.words.allow()
    link = server.root / "link"
    link.symlink_to(server.words.path)
    server.settings["pgkeel.gate_file"] = str(link)
    hand_started(server, "cannot be opened", "pgkeel node")
