"""Expiry, pins and verify with real repositories: what is kept can be restored, and what is wrong is named."""
import contextlib
import json
import subprocess

import pytest
from program import faked_clock, run
from restoring import change_byte, check_rows, facts, number, restore, server_of, wait_archived, with_repository


@pytest.fixture
def archived(own_cluster):
    return with_repository(own_cluster(3))


def backup_under_load(cluster, load):
    """The label of a new backup; its WAL begins in a segment that no older backup needs."""
    primary = cluster.primary()
    primary.admin("SELECT pg_switch_wal()")
    cluster.wait_writes(load)
    label = primary.ok("backup", "create", seconds=120).split()[0]
    cluster.wait_writes(load)
    return label


def labels(cluster):
    return [one["label"] for one in facts(cluster)["backups"]]


def segments(cluster):
    return sorted(path.name[:24] for path in (cluster.repository / facts(cluster)["system_id"] / "wal").rglob("*.zst")
                  if ".history" not in path.name)


def start_of(cluster, label):
    return next(number(one["start"]) for one in facts(cluster)["backups"] if one["label"] == label)


def expire(cluster, *options):
    return cluster.any_running().ok("backup", "expire", *options)


def test_expiry_keeps_what_is_kept_across_a_failover(archived):
    """Backups before and after a failover. A dry run removes nothing; an expiry that is killed at any moment, and the one
    after it, leave the newest backups and all their WAL: both ends of it are restored, row by row.
    """
    with archived.load() as load:
        archived.wait_writes(load)
        names = [backup_under_load(archived, load) for _ in range(3)]
        old = archived.primary()
        old.kill()
        archived.primary(other_than=old)
        old.start()
        archived.wait_whole(90)
        names.append(backup_under_load(archived, load))
    wait_archived(archived, archived.primary().admin("SELECT pg_current_wal_flush_lsn()"))
    everything = segments(archived)
    said = expire(archived, "--keep-full", "2", "--dry-run")
    assert f"goes   {names[1]}" in said and f"stays  {names[2]}" in said, said
    assert labels(archived) == names and segments(archived) == everything
    node = archived.any_running()
    for attempt in range(6):
        process = subprocess.Popen([*map(str, node.command("backup", "expire", "--keep-full", "2", "--dir", node.directory))],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02 * attempt)
        process.kill()
        process.wait()
        assert labels(archived)[-2:] == names[2:]
    expire(archived, "--keep-full", "2")
    assert labels(archived) == names[2:]
    left = segments(archived)
    first = start_of(archived, names[2]) >> 24
    assert all(int(name[8:16], 16) << 8 | int(name[16:24], 16) >= first for name in left) and left
    assert set(left) < set(everything)
    assert "0 problems" in node.ok("backup", "verify", seconds=120)
    earliest = next(one["end"] for one in facts(archived)["backups"] if one["label"] == names[2])
    to, done = restore(archived, "earliest", "--target", earliest)
    assert done.returncode == 0, done.stdout + done.stderr
    to, done = restore(archived, "latest")
    assert done.returncode == 0, done.stdout + done.stderr
    with server_of(archived, to) as ask:
        check_rows(load, ask("SELECT id FROM ledger"))


def test_pins_and_retentions(archived):
    """A pinned backup stays with its WAL until it is unpinned; what keeps nothing is refused, and so are days by a
    clock that is wrong. An archive goes on after an expiry.
    """
    with archived.load() as load:
        names = [backup_under_load(archived, load) for _ in range(3)]
    node = archived.any_running()
    refused = node.keel("backup", "expire")
    assert refused.returncode != 0 and "--keep-full" in refused.stderr, refused.stderr
    refused = node.keel("backup", "pin", "no-such")
    assert refused.returncode != 0 and "there is no backup" in refused.stderr
    refused = node.keel("backup", "unpin", names[0])
    assert refused.returncode != 0 and "is not pinned" in refused.stderr
    node.ok("backup", "pin", names[0], "--why", "before the migration")
    before = segments(archived)
    said = expire(archived, "--keep-full", "1")
    assert "pinned: before the migration" in said
    assert labels(archived) == [names[0], names[2]]
    assert set(segments(archived)) >= {name for name in before if int(name[16:24], 16) >= start_of(archived, names[0]) >> 24}
    to, done = restore(archived, "pinned", "--target", next(one["end"] for one in facts(archived)["backups"]))
    assert done.returncode == 0, done.stdout + done.stderr
    node.ok("backup", "unpin", names[0])
    expire(archived, "--keep-days", "1", "--keep-full", "1")
    assert labels(archived) == [names[0], names[2]]  # of today
    for clock, words in (("+400d", "the newest in the repository is of"), ("-400d", "has something of")):
        done = run(["env", *faked_clock(FAKETIME=clock),
                    *node.command("backup", "expire", "--keep-days", "1", "--dir", node.directory)])
        assert done.returncode != 0 and words in done.stderr, done.stdout + done.stderr
    assert labels(archived) == [names[0], names[2]]
    expire(archived, "--keep-full", "1")
    assert labels(archived) == [names[2]]
    archived.primary().sql("INSERT INTO ledger VALUES (-5, 5)")
    found = wait_archived(archived, archived.primary().admin("SELECT pg_current_wal_flush_lsn()"))
    assert len(found["wal"]) == 1


def test_verify_lists_all_that_is_wrong(archived):
    """An altered segment, a missing one and an altered backup: each is named, in one run."""
    with archived.load() as load:
        first = backup_under_load(archived, load)
        for _ in range(4):
            archived.primary().admin("SELECT pg_switch_wal()")
            archived.wait_writes(load)
        second = backup_under_load(archived, load)
    wait_archived(archived, archived.primary().admin("SELECT pg_current_wal_flush_lsn()"))
    node = archived.any_running()
    assert "0 problems" in node.ok("backup", "verify", seconds=120)
    system = archived.repository / facts(archived)["system_id"]
    start = start_of(archived, first) >> 24
    by_number = {int(path.name[16:24], 16): path for path in (system / "wal").rglob("*.zst")
                 if ".history" not in path.name}
    change_byte(by_number[start + 2])
    by_number[start + 3].unlink()
    change_byte(system / "backup" / second / "base.tar.zst")
    done = node.keel("backup", "verify", seconds=120)
    assert done.returncode != 0
    wrong = [line for line in done.stdout.splitlines() if line.startswith("wrong: ")]
    assert len(wrong) == 3, done.stdout
    assert any(by_number[start + 2].name[:24] in line for line in wrong), wrong
    assert any("is missing" in line and first in line for line in wrong), wrong
    assert any(second in line and "base.tar.zst" in line for line in wrong), wrong
    # The newest that can be restored is the first one, however the second is counted by its WAL.
    assert json.loads(node.ok("backup", "show", second))["label"] == second
