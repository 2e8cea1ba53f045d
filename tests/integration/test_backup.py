"""WAL archive, base backups and restores with real clusters: what was acknowledged comes back, row by row."""
import contextlib
import json
import signal

import processes
import program
import pytest
from program import run
from waiting import NotYet, wait_for


@pytest.fixture
def archived(own_cluster):
    """Three nodes that share a repository, and have one backup in it."""
    cluster = own_cluster(3)
    repository = cluster.root / "repository"
    repository.mkdir()
    run(["chown", program.SERVER_USER, repository])
    cluster.repository = repository
    for node in cluster.nodes:
        node.edit_config("backup", "repository", f'"{repository}"')
        node.terminate()
    cluster.wait_whole(90)
    wait_for(lambda: facts(cluster)["wal"], 30, "WAL in the repository", cluster.describe)
    return cluster


def facts(cluster):
    done = cluster.any_running().keel("backup", "list", "--json")
    if done.returncode != 0:
        raise NotYet(done.stderr)
    return json.loads(done.stdout)


def number(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def wait_archived(cluster, lsn):
    """Until the WAL up to there is in the repository without a hole."""
    def there():
        found = facts(cluster)
        if len(found["wal"]) != 1 or number(found["wal"][0]["to"]) < number(lsn):
            raise NotYet(f"{found['wal']} has not {lsn}")
        return found
    return wait_for(there, 60, f"the archive has {lsn}", cluster.describe)


def restore(cluster, name, *options):
    place = cluster.root / "restores"
    place.mkdir(exist_ok=True)
    run(["chown", program.SERVER_USER, place])
    to = place / name
    done = cluster.any_running().keel("restore", "--to", to, "--postgres-bin", program.postgres_bin(), *options,
                                      seconds=180)
    return to, done


@contextlib.contextmanager
def server_of(cluster, data):
    """The restored server, running; gives a function that asks it."""
    socket = cluster.root / "restored-socket"
    socket.mkdir(exist_ok=True)
    run(["chown", program.SERVER_USER, socket])
    control = [program.postgres_bin() / "pg_ctl", "-D", data, "-w"]
    done = run(program.as_server_user([*control, "-l", data / "again.log", "-o",
                                       f"-p 5432 -c unix_socket_directories={socket} -c listen_addresses=", "start"]), 60,
               cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr

    def ask(text):
        answer = run(program.as_server_user([program.postgres_bin() / "psql", "-XAtq", "-h", socket, "-p", "5432", "-U", "postgres",
                                             "-d", "audit", "-c", text]), cwd="/")
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.split()
    try:
        yield ask
    finally:
        run(program.as_server_user([*control, "-m", "immediate", "stop"]), 60, cwd="/")


def check_rows(load, rows, minimum=100):
    """Every acknowledged row is there, and none that nobody wrote."""
    stored = [int(row) for row in rows]
    acknowledged = {row for writer in load.writers for row in writer.ledger.acknowledged}
    unknown = {row for writer in load.writers for row in writer.ledger.unknown}
    assert len(acknowledged) >= minimum
    assert not acknowledged - set(stored), f"lost: {sorted(acknowledged - set(stored))[:20]}"
    assert set(stored) <= acknowledged | unknown and len(stored) == len(set(stored))


def test_restore_after_failovers_in_mid_load(archived):
    """A backup is taken under load; the primary dies, with a part of its last segment archived; the next one goes on
    with the archive. The restore to the latest has every acknowledged row, and starts without the cluster.

    So is the hole of archive_mode closed: there, WAL that a standby had streamed was never archived after its promotion.
    """
    with archived.load() as load:
        archived.wait_writes(load)
        archived.primary().ok("backup", "create", seconds=120)
        archived.wait_writes(load)
        old = archived.primary()
        old.kill()
        new = archived.primary(other_than=old)
        archived.wait_writes(load)
        new.admin("SELECT pg_switch_wal()")
        archived.wait_writes(load)
    end = archived.primary().admin("SELECT pg_current_wal_flush_lsn()")
    found = wait_archived(archived, end)
    assert found["timeline"] > 1 and len(found["wal"]) == 1
    to, done = restore(archived, "restored")
    assert done.returncode == 0, done.stdout + done.stderr + archived.describe()
    with server_of(archived, to) as ask:
        check_rows(load, ask("SELECT id FROM ledger"))


def test_hole_of_a_dead_archiver_is_filled_by_a_survivor(archived):
    """The primary's archiver is stopped, so its newest segments are in no repository when it dies. The standby that takes
    over still has them, pinned, and the archive has no hole.
    """
    old = archived.primary()
    old.ok("backup", "create", seconds=120)
    archiver = old.inner("archiver")
    processes.send(archiver, signal.SIGSTOP)
    with archived.load() as load:
        for _ in range(3):
            archived.wait_writes(load)
            old.admin("SELECT pg_switch_wal()")
        behind = old.admin("SELECT pg_current_wal_flush_lsn()")
        assert number(facts(archived)["wal"][-1]["to"]) < number(behind)
        old.kill()
        archived.primary(other_than=old)
        archived.wait_writes(load)
    end = archived.primary().admin("SELECT pg_current_wal_flush_lsn()")
    wait_archived(archived, end)
    to, done = restore(archived, "restored")
    assert done.returncode == 0, done.stdout + done.stderr + archived.describe()
    with server_of(archived, to) as ask:
        check_rows(load, ask("SELECT id FROM ledger"))


def test_killed_archivers_and_points_in_time(archived):
    """The archiver is killed again and again under load. Then restores to an LSN and to a time give exactly the rows that
    were there at that moment, and what cannot be reached is refused before a byte is written.
    """
    primary = archived.primary()
    primary.ok("backup", "create", seconds=120)
    with archived.load() as load:
        for _ in range(6):
            archived.wait_writes(load, 30)
            archiver = wait_for(lambda: primary.inner("archiver"), 30, "another archiver", archived.describe)
            processes.send(archiver, signal.SIGKILL)
            primary.admin("SELECT pg_switch_wal()")
    before = sorted(row for row, in primary.sql("SELECT id FROM ledger"))
    moment = primary.admin("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z'")
    lsn = primary.admin("SELECT pg_current_wal_insert_lsn()")
    primary.sql("DELETE FROM ledger")
    primary.sql("INSERT INTO ledger VALUES (1, 1)")
    wait_archived(archived, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    for name, target in (("by-time", moment), ("latest", "latest")):
        to, done = restore(archived, name, "--target", target)
        assert done.returncode == 0, done.stdout + done.stderr + archived.describe()
        with server_of(archived, to) as ask:
            rows = sorted(int(row) for row in ask("SELECT id FROM ledger"))
            assert rows == (before if target == moment else [1])

    def refused(words, *options):
        to, done = restore(archived, "refused", *options)
        assert done.returncode != 0 and words in done.stderr, done.stdout + done.stderr
        assert not to.exists()

    refused("possible are:", "--target", "0/28")
    refused("possible are:", "--target", "FF/0")
    refused("possible are:", "--target", "2020-01-01 00:00:00Z")
    refused("possible are:", "--target", "2120-01-01 00:00:00Z")
    refused("is no target", "--target", "yesterday")
    _, done = restore(archived, "by-time")
    assert done.returncode != 0 and "is not an empty directory" in done.stderr
    to, done = restore(archived, "dry", "--dry-run", "--target", lsn)
    assert done.returncode == 0 and "target" in done.stdout and not to.exists(), done.stderr


def change_byte(path):
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def test_altered_objects_are_found(archived):
    """One bit of a WAL segment, then of a backup, changes on the repository's disk: verify finds it, and a restore ends
    with an error and never with less than was asked for.
    """
    primary = archived.primary()
    label = primary.ok("backup", "create", seconds=120).split()[0]
    assert "as they were stored" in primary.ok("backup", "verify", label)
    primary.sql("INSERT INTO ledger VALUES (7, 7)")
    primary.admin("SELECT pg_switch_wal()")
    wait_archived(archived, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    start = number(next(one for one in facts(archived)["backups"] if one["label"] == label)["end"]) >> 24
    wal = archived.repository / facts(archived)["system_id"] / "wal"
    segment = next(path for path in sorted(wal.iterdir()) if path.name[8:24] == f"{0:08X}{start + 1:08X}")
    change_byte(segment)
    _, done = restore(archived, "altered-wal")
    assert done.returncode != 0, done.stdout
    change_byte(segment)
    to, done = restore(archived, "mended")
    assert done.returncode == 0, done.stdout + done.stderr
    tar = archived.repository / facts(archived)["system_id"] / "backup" / label / "base.tar.zst"
    change_byte(tar)
    done = primary.keel("backup", "verify", label)
    assert done.returncode != 0 and "base.tar.zst" in done.stderr, done.stdout + done.stderr
    _, done = restore(archived, "altered-backup")
    assert done.returncode != 0 and "base.tar.zst" in done.stderr, done.stdout + done.stderr
