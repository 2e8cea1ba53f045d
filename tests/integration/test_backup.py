"""WAL archive, base backups and restores with real clusters: what was acknowledged comes back, row by row."""
import json
import signal
import subprocess
import time

import processes
import pytest
from restoring import change_byte, check_rows, facts, number, restore, server_of, wait_archived, with_repository
from waiting import NotYet, wait_for


@pytest.fixture
def archived(own_cluster):
    """Three nodes that share a repository."""
    return with_repository(own_cluster(3))


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
    segment = next(path for path in sorted(wal.rglob("*.zst")) if path.name[8:24] == f"{0:08X}{start + 1:08X}")
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


def stopped_in_mid_backup(cluster, node, *options):
    """`pgkeel backup create`, stopped while the server has files to send."""
    process = subprocess.Popen([*map(str, node.command("backup", "create", *options, "--dir", node.directory))],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    backups = cluster.repository / facts(cluster)["system_id"] / "backup"
    end = time.monotonic() + 60
    while not list(backups.glob(f"*-{node.name}/*.zst.*")):
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
    processes.send(process.pid, signal.SIGSTOP)
    assert node.admin("SELECT phase FROM pg_stat_progress_basebackup") == "streaming database files"
    return process


def test_a_backup_goes_on_across_a_change_of_the_primary(archived):
    """While a standby's backup is taken, another standby becomes the primary, and the one that is backed up follows it. The
    backup begins on one timeline and ends on the next; what was called good here could neither be restored nor verified.
    """
    old = archived.primary()
    node, successor = archived.standbys()
    process = stopped_in_mid_backup(archived, node)
    try:
        old.ok("switchover", "--to", successor.name, "--yes")
        new = archived.primary(other_than=old)
        new.sql("INSERT INTO ledger VALUES (7, 7)")
        new.admin("CHECKPOINT")

        def follows():
            node.admin("CHECKPOINT")
            at = int(node.admin("SELECT min_recovery_end_timeline FROM pg_control_recovery()"))
            if at < facts(archived)["timeline"] or at == 1:
                raise NotYet(f"{node.name} has files of timeline {at}")
            return True
        wait_for(follows, 60, "the standby's files are of the next timeline", archived.describe)
    finally:
        processes.send(process.pid, signal.SIGCONT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said + archived.describe()
    label = said.split()[0]
    backup = json.loads(node.ok("backup", "show", label))
    assert backup["timeline"] < backup["end_timeline"], backup
    assert "as they were stored" in node.ok("backup", "verify", label)
    new.sql("INSERT INTO ledger VALUES (8, 8)")
    wait_archived(archived, new.admin("SELECT pg_current_wal_flush_lsn()"))
    for name, target in (("latest", "latest"), ("earliest", backup["end"])):
        to, done = restore(archived, name, "--target", target)
        assert done.returncode == 0, done.stdout + done.stderr + archived.describe()
        assert label in done.stdout
        with server_of(archived, to) as ask:
            assert ask("SELECT id FROM ledger ORDER BY id")[:1] == ["7"]
