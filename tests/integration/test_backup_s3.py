"""The archive, backups and restores in a bucket of a real S3 server, and what is said when the server refuses."""
import contextlib
import re

import pytest
from program import faked_clock, run
from restoring import BULK, check_rows, configure, facts, number, restore, server_of, wait_archived
from object_store import KEYS
from waiting import NotYet, wait_for


@pytest.fixture
def in_bucket(own_cluster, swift, request):
    """Three nodes whose repository is in the bucket."""
    cluster = own_cluster(3)
    cluster.prefix = request.function.__name__
    return configure(cluster, **swift.settings(cluster.prefix))


def test_restores_to_points_in_time_after_a_failover(encrypted_in_bucket, swift):
    """A backup under load, encrypted and longer than one part; the primary dies; restores from the bucket to a moment
    before an accident, and to the latest, have every acknowledged row.
    """
    in_bucket = encrypted_in_bucket
    primary = in_bucket.primary()
    primary.sql(BULK)
    with in_bucket.load() as load:
        in_bucket.wait_writes(load)
        label = primary.ok("backup", "create", seconds=120).split()[0]
        in_bucket.wait_writes(load)
        primary.kill()
        new = in_bucket.primary(other_than=primary)
        in_bucket.wait_writes(load)
        new.admin("SELECT pg_switch_wal()")
        in_bucket.wait_writes(load)
    tar = f"{in_bucket.prefix}/{facts(in_bucket)['system_id']}/backup/{label}/base.tar.zst"
    # The tag of an object that was put together names the number of its parts.
    assert re.search(r"<ETag>[^<]*-[0-9]+[^<0-9]*</ETag>", swift.request("GET", f"archive?prefix={tar}").decode())
    assert "as they were stored" in new.ok("backup", "verify", label)
    moment = new.admin("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z'")
    new.sql("DELETE FROM bulk")
    wait_archived(in_bucket, new.admin("SELECT pg_current_wal_flush_lsn()"))
    for name, target, bulk in (("by-time", moment, "10000"), ("latest", "latest", "0")):
        to, done = restore(in_bucket, name, "--target", target)
        assert done.returncode == 0, done.stdout + done.stderr + in_bucket.describe()
        assert KEYS["pgkeel:admin"][0] not in done.stdout + done.stderr + (to / "restore.log").read_text()
        with server_of(in_bucket, to) as ask:
            check_rows(load, ask("SELECT id FROM ledger"))
            assert ask("SELECT count(*) FROM bulk") == [bulk]
    for node in in_bucket.nodes:
        assert KEYS["pgkeel:admin"][0] not in node.story()


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]


def test_altered_and_truncated_objects_are_found(in_bucket, swift):
    """One bit of an object changes, or its end is missing: verify finds it, and a restore ends with an error."""
    primary = in_bucket.primary()
    label = primary.ok("backup", "create", seconds=120).split()[0]
    primary.sql("INSERT INTO ledger VALUES (7, 7)")
    primary.admin("SELECT pg_switch_wal()")
    found = wait_archived(in_bucket, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    start = number(next(one for one in found["backups"] if one["label"] == label)["end"]) >> 24
    top = f"{in_bucket.prefix}/{found['system_id']}"
    name = f"{found['timeline']:08X}{0:08X}{start + 1:08X}"
    listed = swift.request("GET", f"archive?prefix={top}/wal/{name[:16]}/{name}").decode()
    segment = listed.split("<Key>")[1].split("</Key>")[0]
    backup = f"{top}/backup/{label}"
    for number_of, (thing, change, words) in enumerate((
            (segment, flip, None), (segment, lambda data: data[:-100], None),
            (f"{backup}/base.tar.zst", flip, "base.tar.zst"),
            (f"{backup}/base.tar.zst", lambda data: data[:len(data) // 2], "base.tar.zst"),
            (f"{backup}/backup_manifest", flip, "backup_manifest"))):
        good = swift.change(thing, change)
        _, done = restore(in_bucket, f"bad-{number_of}")
        assert done.returncode != 0, f"{thing}: {done.stdout}"
        if words:
            assert words in done.stderr, done.stderr
            checked = primary.keel("backup", "verify", label)
            assert checked.returncode != 0 and words in checked.stderr, checked.stdout + checked.stderr
        swift.change(thing, lambda _, good=good: good)
    _, done = restore(in_bucket, "mended")
    assert done.returncode == 0, done.stdout + done.stderr


def test_refusals_say_what_to_do(in_bucket, swift):
    """Whatever is wrong with the way to the bucket is said in words, and nothing is written."""
    wrong_key = swift.write_key("wrong-key", "pgkeel:nobody", "x")
    wrong_secret = swift.write_key("wrong-secret", "pgkeel:admin", "not-the-secret")
    guest = swift.write_key("guest", "pgkeel:guest", KEYS["pgkeel:guest"][0])
    open_to_all = swift.write_key("open-to-all", "pgkeel:admin", KEYS["pgkeel:admin"][0])
    open_to_all.chmod(0o644)
    empty = swift.write_key("empty", "", "")
    node = in_bucket.nodes[0]

    def refused(words, environment=(), **changed):
        command = [*environment, *node.command("backup", "list", *swift.options(in_bucket.prefix, **changed))]
        done = run(["env", *command])
        assert done.returncode != 0 and words in done.stderr, f"{changed}: {done.stdout}{done.stderr}"
        assert "not-the-secret" not in done.stderr and KEYS["pgkeel:admin"][0] not in done.stderr

    refused("aws_access_key_id", s3_credentials_file=wrong_key)
    refused("aws_secret_access_key", s3_credentials_file=wrong_secret)
    refused("permission", s3_credentials_file=guest)
    refused("chmod 0600", s3_credentials_file=open_to_all)
    refused("there is no key", s3_credentials_file=empty)
    refused('s3_region = "eu-test-1"', s3_region="mars-1")
    refused("the bucket does not exist", repository="s3://no-such-bucket/x")
    refused("s3_ca_file", s3_ca_file="/etc/ssl/certs/ca-certificates.crt")
    refused("write https://", s3_endpoint="localhost:1")
    refused("set the clock", environment=faked_clock(FAKETIME="+2h"))
    done = run(node.command("backup", "list", *swift.options(in_bucket.prefix, s3_endpoint="https://localhost:1")), 60)
    assert done.returncode != 0 and "cannot be reached" in done.stderr, done.stderr
    # The bucket's name in the host's place.
    done = run(node.command("backup", "list", *swift.options(in_bucket.prefix), "--s3-addressing", "host"))
    assert done.returncode == 0 and "WAL without a hole" in done.stdout, done.stdout + done.stderr


def test_full_bucket(in_bucket, swift):
    """The bucket takes no more: a backup ends with that, leaves nothing behind, and the archive goes on once there is
    room again.
    """
    primary = in_bucket.primary()
    swift.limit("archive", 1)
    try:
        done = primary.keel("backup", "create", seconds=120)
        assert done.returncode != 0 and "quota" in done.stderr, done.stdout + done.stderr
        primary.sql("INSERT INTO ledger VALUES (7, 7)")
        wait_for(lambda: "quota" in primary.story(), 30, "the archiver says so", in_bucket.describe)
    finally:
        swift.limit("archive", "none")
    found = wait_archived(in_bucket, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    assert not found["backups"]
    assert "<Key>" not in swift.request("GET", f"archive?prefix={in_bucket.prefix}/{found['system_id']}/backup/").decode()
    primary.ok("backup", "create", seconds=120)


@contextlib.contextmanager
def hanging(swift):
    swift.hang()
    try:
        yield
    finally:
        swift.go_on()


def test_server_that_hangs(in_bucket, swift):
    """The server takes connections and says nothing. Commits go on, and nobody follows the primary who would hold its
    orderly stop up. Once it answers again, the archive has everything.
    """
    primary = in_bucket.primary()
    primary.ok("backup", "create", seconds=120)

    def followers():
        return primary.admin("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pgkeel archiver'")

    with in_bucket.load() as load:
        in_bucket.wait_writes(load)
        with hanging(swift):
            def let_go():
                primary.sql("SELECT 1")
                if followers() != "0":
                    raise NotYet("the archiver follows the server")
                return True
            wait_for(let_go, 60, "the archiver lets go of the server", in_bucket.describe)
            # By itself, and not because the server or a request has lost its patience.
            assert "the server is let go of meanwhile" in primary.story(), primary.story()
            in_bucket.wait_writes(load)
            assert primary.terminate() == 0
            new = in_bucket.primary(other_than=primary)
            in_bucket.wait_writes(load)
        in_bucket.wait_writes(load)
    wait_archived(in_bucket, new.admin("SELECT pg_current_wal_flush_lsn()"))
    to, done = restore(in_bucket, "restored")
    assert done.returncode == 0, done.stdout + done.stderr + in_bucket.describe()
    with server_of(in_bucket, to) as ask:
        check_rows(load, ask("SELECT id FROM ledger"))
