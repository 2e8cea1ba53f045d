"""Replication connections through the proxy: PostgreSQL's own programs stream from the primary, by its port."""
import os
import signal
import subprocess

import psycopg
import pytest

import processes
import program
from network import PROXY_PORTS
from waiting import NotYet, wait_for

STREAMERS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'streamer' AND backend_type = 'walsender'"


@pytest.fixture
def streamer(three):
    """A role that may stream; the node whose proxy it uses stays when the primary goes."""
    primary = three.wait_whole()
    primary.admin("DO $$ BEGIN CREATE ROLE streamer LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN END $$")
    primary.admin(f"ALTER ROLE streamer PASSWORD '{three.password}'")
    for node in three.data_nodes():
        rules = node.directory / "data" / "pg_hba.conf"
        line = "host replication streamer all scram-sha-256\n"
        if line not in rules.read_text():
            with rules.open("a") as file:
                file.write(line)
            node.admin("SELECT pg_reload_conf()")
    away = three.standbys()[0]
    wait_for(lambda: connect(away).close() is None, 30, "the proxy knows the role", three.describe)
    return away


def connect(node, endpoint="read-write", **options):
    try:
        return node.proxy(endpoint, **(dict(user="streamer", replication="database") | options))
    except psycopg.OperationalError as error:
        raise NotYet(str(error)) from None


def refusal(node, endpoint="read-write", **options):
    with pytest.raises(NotYet) as caught:
        connect(node, endpoint, **options).close()
    return str(caught.value)


def command(node, name, *words, database="replication"):
    conninfo = f"host={node.address} port={PROXY_PORTS['read-write']} user=streamer dbname={database} sslmode=require"
    return [str(word) for word in (program.postgres_bin() / name, *words, "-d", conninfo)]


def environment(three):
    return os.environ | {"PGPASSWORD": three.password}


def run(three, *arguments, **options):
    done = program.run(command(*arguments, **options), 120, env=environment(three))
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{three.describe()}"
    return done


def begin(three, *arguments, **options):
    return subprocess.Popen(command(*arguments, **options), env=environment(three), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(process, how=signal.SIGINT):
    """Asks a program to end; (exit code, what it said)."""
    if how:
        processes.send(process.pid, how)
    try:
        said, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, said


def test_a_base_backup_through_the_proxy_is_sound(three, streamer, tmp_path):
    run(three, streamer, "pg_basebackup", "-D", tmp_path / "copy", "-X", "stream", "-c", "fast")
    done = program.run([program.postgres_bin() / "pg_verifybackup", tmp_path / "copy"])
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for(lambda: three.primary().value(STREAMERS) == 0, 30, "its servers are nobody's afterwards")


def test_wal_is_received_and_its_slot_moves(three, streamer, tmp_path):
    primary = three.primary()
    run(three, streamer, "pg_receivewal", "-D", tmp_path, "-S", "taker", "--create-slot", "--if-not-exists")
    process = begin(three, streamer, "pg_receivewal", "-D", tmp_path, "-S", "taker", "--no-loop", "--synchronous")
    try:
        wait_for(lambda: primary.value(STREAMERS) == 1, 30, "it streams", three.describe)
        primary.admin("CREATE TABLE IF NOT EXISTS received AS SELECT generate_series(1, 50000)")
        segment = primary.admin("SELECT pg_walfile_name(pg_switch_wal())")
        wait_for(lambda: (tmp_path / segment).exists(), 60, f"{segment} is whole", three.describe)
        wait_for(lambda: primary.admin("SELECT pg_walfile_name(confirmed) > '%s' FROM (SELECT restart_lsn AS confirmed "
                                       "FROM pg_replication_slots WHERE slot_name = 'taker') AS slot" % segment) == "t",
                 60, "the primary heard so", three.describe)
    finally:
        code, said = end(process)
    assert code == 0, said
    run(three, streamer, "pg_receivewal", "-D", tmp_path, "-S", "taker", "--drop-slot")


def test_changes_are_decoded_until_the_primary_is_lost(three, streamer, tmp_path):
    primary, found = three.primary(), tmp_path / "changes"
    primary.sql("CREATE TABLE IF NOT EXISTS decoded (word text)")
    run(three, streamer, "pg_recvlogical", "-S", "decoded", "-P", "test_decoding", "--create-slot", "--if-not-exists",
        database="audit")
    process = begin(three, streamer, "pg_recvlogical", "-S", "decoded", "--start", "--no-loop", "-f", found, "-F", "1",
                    database="audit")
    try:
        primary.sql("INSERT INTO decoded VALUES ('before')")
        wait_for(lambda: found.exists() and "before" in found.read_text(), 60, "the change comes", three.describe)
        processes.send(primary.postmaster(), signal.SIGKILL)
    finally:
        code, said = end(process, None if process.poll() is None else signal.SIGKILL)
    assert code != 0 and "what tied this session to it: replication" in said, said
    moved = three.primary(60, other_than=primary)
    with connect(streamer) as connection:
        assert connection.execute("IDENTIFY_SYSTEM").fetchone()[3] == "audit"
        assert moved.value(STREAMERS) == 1, "a new one goes to the new primary"


def test_sql_and_settings_work_on_a_connection_of_ones_own(three, streamer):
    with connect(streamer, options="-c work_mem=3MB", application_name="own") as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("3MB",)
        connection.execute("SET work_mem = '5MB'")
        own = connection.execute("SELECT pg_backend_pid()").fetchone()
        for _ in range(3):
            assert connection.execute("SELECT pg_backend_pid()").fetchone() == own
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)
    wait_for(lambda: three.primary().value(STREAMERS) == 0, 30, "its server is nobody's afterwards")
    with connect(streamer, replication="off", user="auditor") as connection:
        assert connection.execute("SHOW work_mem").fetchone() != ("5MB",)


def test_who_may_not_is_told_why(three, streamer):
    assert "must be superuser or replication role" in refusal(streamer, user="auditor")
    assert "go to the primary" in refusal(streamer, "read-only")
    assert "console" in refusal(streamer, dbname="pgkeel")
    assert 'invalid value for parameter "replication": "perhaps"' in refusal(streamer, replication="perhaps")
    member = three.standbys()[0].identity()["node"]
    for name in (member, member.upper()):
        assert "is a node's of this cluster" in refusal(streamer, application_name=name)
    assert "password authentication failed" in refusal(streamer, password="wrong")
