"""A second repository: what the first one has comes there by itself, and is enough when the first is gone for good."""
import json

import pytest
from restoring import check_rows, facts, key_file, restore, server_of, wait_archived, with_repository
from waiting import NotYet, wait_for


def add_copy(cluster, name, **settings):
    """Takes effect when the nodes are started again."""
    for node in cluster.nodes:
        lines = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
        path = node.directory / "node.toml"
        path.write_text(path.read_text() + f"\n[backup.copies.{name}]\n{lines}")


@pytest.fixture
def copied(own_cluster, swift, request):
    """Three nodes, whose repository is a directory, with a copy in a bucket that is encrypted."""
    cluster = own_cluster(3)
    add_copy(cluster, "offsite", encryption_key_file=key_file(cluster, "key", "0123456789abcdef" * 4),
             **swift.settings(request.function.__name__))
    with_repository(cluster)
    cluster.primary().ok("config", "set", "backup_full=off", "backup_expire=off", "backup_prove=off", "backup_copy=off")
    return cluster


def of_copy(cluster):
    done = cluster.any_running().keel("backup", "list", "--json", "--copy", "offsite")
    if done.returncode != 0:
        raise NotYet(done.stderr)
    return json.loads(done.stdout)


def test_a_copy_restores_all_when_the_first_is_gone(copied):
    """Backups, a dump and WAL over a failover are in the copy, by schedule and asked for; the first repository goes, and
    the copy alone brings back every acknowledged row. What is wrong is said, and is a failure of the job.
    """
    primary = copied.primary()
    with copied.load() as load:
        copied.wait_writes(load)
        label = primary.ok("backup", "create", seconds=120).split()[0]
        primary.ok("config", "set", "backup_copy=* * * * *")
        found = wait_for(lambda: [one["label"] for one in of_copy(copied)["backups"]], 100, "a copy by schedule",
                         copied.describe)
        assert found == [label]
        primary.ok("config", "set", "backup_copy=off")
        copied.wait_writes(load)
        primary.kill()
        new = copied.primary(other_than=primary)
        copied.wait_writes(load)
        newer = new.ok("backup", "create", "--incremental", seconds=120).split()[0]
        dump = new.ok("backup", "create", "--logical", "audit", seconds=120).split()[0]
        copied.wait_writes(load)
    end = new.admin("SELECT pg_current_wal_flush_lsn()")
    wait_archived(copied, end)
    said = new.ok("backup", "run", "copy", seconds=120)
    assert "copied to offsite: 1 backups, 1 dumps" in said, said
    there = of_copy(copied)
    assert [one["label"] for one in there["backups"]] == [label, newer]
    assert [one["label"] for one in there["dumps"]] == [dump]
    assert [one["to"] for one in there["wal"]] == [one["to"] for one in facts(copied)["wal"]]
    assert "0 problems" in new.ok("backup", "verify", "--copy", "offsite", seconds=120)
    assert "offsite: 0 backups, 0 dumps" in new.ok("backup", "copy", "--to", "offsite", seconds=120)
    copied.repository.rename(copied.root / "away")
    failed = new.keel("backup", "run", "copy", seconds=120)
    assert failed.returncode != 0 and str(copied.repository) in failed.stderr, failed.stderr
    assert "copy failed once" in new.ok("status")
    to, done = restore(copied, "from-copy", "--copy", "offsite", "--target", "latest")
    assert done.returncode == 0, done.stdout + done.stderr + copied.describe()
    with server_of(copied, to) as ask:
        check_rows(load, ask("SELECT id FROM ledger"))
    refused = new.keel("backup", "list", "--copy", "elsewhere")
    assert refused.returncode == 2 and "names no copy elsewhere" in refused.stderr, refused.stderr


def test_a_copy_keeps_what_was_removed_from_the_first_by_mistake(copied):
    """Three full backups, of which the first repository loses two; the copy has them as long as its own retention says."""
    node = copied.primary()
    node.ok("config", "set", "backup_expire=0 0 1 1 *", "backup_keep_full=2", "backup_keep_days=0")
    labels = [node.ok("backup", "create", seconds=120).split()[0] for _ in range(3)]
    node.ok("backup", "run", "copy", seconds=120)
    node.ok("backup", "expire", "--keep-full", "1", seconds=120)
    assert [one["label"] for one in facts(copied)["backups"]] == labels[2:]
    assert [one["label"] for one in of_copy(copied)["backups"]] == labels
    labels.append(node.ok("backup", "create", seconds=120).split()[0])
    said = node.ok("backup", "run", "copy", seconds=120)
    assert "removed: 2 backups" in said, said
    assert [one["label"] for one in of_copy(copied)["backups"]] == labels[2:]
    assert "removed: 0 backups" not in node.ok("backup", "copy", seconds=120)
    assert [one["label"] for one in of_copy(copied)["backups"]] == labels[2:]


def test_without_a_copy_nothing_is_copied(own_cluster):
    cluster = own_cluster(1, mode="async")
    with_repository(cluster)
    node = cluster.primary()
    for words in (("backup", "copy"), ("backup", "run", "copy")):
        refused = node.keel(*words)
        assert refused.returncode != 0 and "[backup.copies.<name>]" in refused.stderr, refused.stderr
    jobs = json.loads(node.ok("status", "--json"))["backup"]["jobs"]
    assert "copy" not in [one["kind"] for one in jobs]
    node.edit_config("backup", "repository", '"/nowhere"')
    add_copy(cluster, "offsite", repository="/nowhere")
    refused = node.keel("backup", "copy")
    assert refused.returncode != 0 and "named twice" in refused.stderr, refused.stderr
