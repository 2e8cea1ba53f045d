"""Incremental backups of real servers: a chain of them gives back every moment, row by row, and nothing takes away what one
that stays is built on.
"""
import contextlib
import json
import shutil
import subprocess

import pytest
from restoring import BULK, change_byte, check_rows, facts, key_file, restore, server_of, wait_archived, with_repository
from test_backup import stopped_in_mid_backup
from test_backup_schedule import job, member
from waiting import NotYet, wait_for


@pytest.fixture
def archived(own_cluster):
    return with_repository(own_cluster(3))


def create(node, *options):
    return node.ok("backup", "create", *options, seconds=120).split()[0]


def shown(cluster, label):
    return json.loads(cluster.any_running().ok("backup", "show", label))


def standby_of(cluster):
    primary = cluster.primary()
    return next(node for node in cluster.nodes if node is not primary)


def point(node):
    """Where the WAL is now, and the bulk as it is there."""
    rows = node.sql("SELECT i, md5(noise) FROM bulk ORDER BY i")
    return node.admin("SELECT pg_current_wal_insert_lsn()"), [f"{i}|{digest}" for i, digest in rows]


def killed_expiry(node, seconds):
    process = subprocess.Popen([*map(str, node.command("backup", "expire", "--keep-full", "1", "--dir", node.directory))],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.wait()


def chain_and_points(cluster):
    """A full backup and an incremental one of a standby, and one of the primary, with changes before, between and behind."""
    primary = cluster.primary()
    primary.sql(BULK)
    primary.admin("VACUUM (FREEZE) bulk", "audit")  # or the first to read it changes every page, by its hint bits
    primary.admin("CHECKPOINT")
    points, labels = [], [create(standby_of(cluster))]
    for step, node in ((1, standby_of(cluster)), (2, primary), (3, None)):
        points.append(point(primary))
        primary.sql(f"UPDATE bulk SET noise = '\\x{step:02}' WHERE i = {step * 1000}")
        primary.sql(f"DELETE FROM bulk WHERE i BETWEEN {step * 100} AND {step * 100 + 5}")
        primary.sql(f"CREATE TABLE later_{step} AS SELECT generate_series(1, 50000) AS i")
        if node is not None:
            primary.admin("CHECKPOINT")
            labels.append(create(node, "--incremental"))
    points.append(point(primary))
    primary.sql("UPDATE bulk SET noise = ''")
    wait_archived(cluster, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    return labels, points


def check_points(cluster, labels, points):
    """Each is restored from the newest backup before it, and has its rows."""
    for number, (lsn, rows) in enumerate(points):
        to, done = restore(cluster, f"point-{number}", "--target", lsn)
        assert done.returncode == 0, done.stdout + done.stderr + cluster.describe()
        assert f"backup    {labels[min(number, len(labels) - 1)]}" in done.stdout
        with server_of(cluster, to) as ask:
            assert ask("SELECT i || '|' || md5(noise) FROM bulk ORDER BY i") == rows
            tables = ask("SELECT relname FROM pg_class WHERE relname LIKE 'later_%' ORDER BY 1")
            assert tables == [f"later_{step}" for step in range(1, number + 1)]


def test_every_moment_between_is_restored(archived):
    """The incrementals store little, say what they are built on, and each moment comes back exactly. Then the full one's
    chain ends: an expiry keeps all of a chain that is pinned, and takes all of it, the last one first, when it is not.
    """
    labels, points = chain_and_points(archived)
    full, first, second = (shown(archived, label) for label in labels)
    assert [one["kind"] for one in (full, first, second)] == ["full", "incremental", "incremental"]
    assert first["chain"] == labels[:1] and second["chain"] == labels[:2] and full["chain"] == []
    assert [one["kind"] for one in facts(archived)["backups"]] == ["full", "incremental", "incremental"]
    assert first["stored_bytes"] < full["stored_bytes"] * 0.5 and first["bytes"] > full["bytes"]
    node = archived.any_running()
    assert f"incremental, on {labels[1]}" in node.ok("backup", "list")
    assert "So are the 2 backups" in node.ok("backup", "verify", labels[2])
    assert "3 backups" in (said := node.ok("backup", "verify", seconds=120)) and "0 problems" in said
    check_points(archived, labels, points)
    node.ok("backup", "pin", labels[2])
    labels.append(create(archived.primary()))
    said = node.ok("backup", "expire", "--keep-full", "1")
    assert f"{labels[2]} is built on it" in said, said
    assert [one["label"] for one in facts(archived)["backups"]] == labels
    to, done = restore(archived, "pinned", "--target", points[2][0])
    assert done.returncode == 0 and labels[2] in done.stdout, done.stdout + done.stderr
    node.ok("backup", "unpin", labels[2])
    node.ok("backup", "expire", "--keep-full", "1")
    assert [one["label"] for one in facts(archived)["backups"]] == labels[3:]
    assert "0 problems" in node.ok("backup", "verify", seconds=120)
    to, done = restore(archived, "after-expiry")
    assert done.returncode == 0, done.stdout + done.stderr
    with server_of(archived, to) as ask:
        assert ask("SELECT DISTINCT length(noise) FROM bulk") == ["0"]


def test_in_an_encrypted_bucket(encrypted_in_bucket, swift):
    """The same in a bucket of a real S3 server; with another key not even a list is read."""
    cluster = encrypted_in_bucket
    labels, points = chain_and_points(cluster)
    assert "0 problems" in cluster.any_running().ok("backup", "verify", seconds=120)
    check_points(cluster, labels, points)
    node = standby_of(cluster)
    node.edit_config("backup", "encryption_key_file", f'"{key_file(cluster, "other", "f" * 64)}"')
    refused = node.keel("backup", "create", "--incremental")
    assert refused.returncode != 0 and "is not the one under which the repository" in refused.stderr, refused.stderr
    node.edit_config("backup", "encryption_key_file", f'"{cluster.root / "key"}"')
    assert [one["label"] for one in facts(cluster)["backups"]] == labels


def test_one_that_is_killed_leaves_nothing_in_the_way(archived):
    """Under load: an incremental one is killed in mid-backup, nobody sees it, and the next one goes on from what was
    there. An expiry that is killed again and again leaves each that is listed whole.
    """
    primary = archived.primary()
    primary.sql(BULK)
    with archived.load() as load:
        archived.wait_writes(load)
        labels = [create(primary)]
        primary.sql("UPDATE bulk SET noise = noise || noise")
        process = stopped_in_mid_backup(archived, primary, "--incremental")
        process.kill()
        process.wait()
        assert [one["label"] for one in facts(archived)["backups"]] == labels
        labels.append(create(primary, "--incremental"))
        assert shown(archived, labels[1])["chain"] == labels[:1]
        backups = archived.repository / facts(archived)["system_id"] / "backup"
        assert sorted(path.name for path in backups.iterdir()) == sorted(labels)
        archived.wait_writes(load)
        labels.append(create(primary, "--incremental"))
        labels.append(create(primary))
    wait_archived(archived, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    for attempt in range(6):
        killed_expiry(primary, 0.02 * attempt)
        left = facts(archived)["backups"]
        for one in left:
            assert set(one["chain"]) <= {other["label"] for other in left}, left
    primary.ok("backup", "expire", "--keep-full", "1")
    assert [one["label"] for one in facts(archived)["backups"]] == labels[3:]
    to, done = restore(archived, "latest")
    assert done.returncode == 0, done.stdout + done.stderr
    with server_of(archived, to) as ask:
        check_rows(load, ask("SELECT id FROM ledger"))


def test_what_is_damaged_or_missing_is_refused(archived):
    """Without a backup to build on, with one that is not what was stored, and without one's files, nothing is written, and
    the mend is said. A restore begins with nothing that is not there.
    """
    primary = archived.primary()

    def refused(words):
        done = primary.keel("backup", "create", "--incremental", seconds=120)
        assert done.returncode != 0 and words in done.stderr and "take a full one" in done.stderr, done.stdout + done.stderr

    refused("there is no backup in the repository")
    labels = [create(primary), create(primary, "--incremental")]
    wait_archived(archived, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    backups = archived.repository / facts(archived)["system_id"] / "backup"
    there = sorted(path.name for path in backups.rglob("*"))
    listed = backups / labels[1] / "blocklist.zst"
    change_byte(listed)
    refused("blocklist.zst is not what was stored")
    to, done = restore(archived, "bad-list")
    assert done.returncode != 0 and "blocklist.zst" in done.stderr and not to.exists(), done.stdout + done.stderr
    wrong = primary.keel("backup", "verify", seconds=120)
    assert wrong.returncode != 0 and "blocklist.zst" in wrong.stdout, wrong.stdout
    change_byte(listed)
    tar = backups / labels[0] / "base.tar.zst"
    change_byte(tar)
    to, done = restore(archived, "bad-parent")
    assert done.returncode != 0 and "base.tar.zst" in done.stderr, done.stdout + done.stderr
    wrong = primary.keel("backup", "verify", labels[1], seconds=120)
    assert wrong.returncode != 0 and "base.tar.zst" in wrong.stderr, wrong.stderr
    change_byte(tar)
    aside = archived.root / "aside"
    shutil.move(tar, aside)
    refused("base.tar.zst is not there")
    to, done = restore(archived, "no-parent")
    assert done.returncode != 0 and "base.tar.zst is not there" in done.stderr and not to.exists(), done.stdout + done.stderr
    shutil.move(aside, tar)
    assert sorted(path.name for path in backups.rglob("*")) == there
    shutil.move(backups / labels[0], aside)
    refused("there is no backup in the repository")
    assert "It cannot be restored" in primary.ok("backup", "list")
    to, done = restore(archived, "no-chain")
    assert done.returncode != 0 and "cannot be reached" in done.stderr and not to.exists(), done.stdout + done.stderr
    wrong = primary.keel("backup", "verify", seconds=120)
    assert wrong.returncode != 0 and f"{labels[0]}, which it is built on, is not there" in wrong.stdout, wrong.stdout
    shutil.move(aside, backups / labels[0])
    to, done = restore(archived, "whole")
    assert done.returncode == 0 and labels[1] in done.stdout, done.stdout + done.stderr
    done = primary.keel("backup", "create", "--incremental", "--all-databases")
    assert done.returncode != 0 and "--incremental" in done.stderr, done.stderr


def test_one_comes_by_schedule_once_there_is_a_full_one(archived):
    """By a standby, once for the cluster, on the full one."""
    node = archived.any_running()
    node.ok("config", "set", "backup_full=off", "backup_expire=off", "backup_prove=off", "backup_incremental=* * * * *")
    full = node.ok("backup", "run", "full").split()[2].rstrip(":")

    def there():
        found = job(archived, "incremental")
        if not found["good"] or found["running_on"]:
            raise NotYet(json.dumps(found))
        return found
    found = wait_for(there, 150, "the incremental backup of a minute", archived.describe)
    node.ok("config", "set", "backup_incremental=off")
    assert member(archived, found["good"]["node"]) is not archived.primary()
    made = shown(archived, found["good"]["text"].split()[2])
    assert made["kind"] == "incremental" and made["chain"] == [full]
    said = node.ok("backup", "run", "incremental")
    assert said.startswith("incremental backup "), said
    assert len(facts(archived)["backups"][-1]["chain"]) >= 2
