"""What a repository keeps to itself, whom it refuses, and what it gets rid of."""
import json
import signal
import subprocess

import processes
import pytest
from restoring import facts, key_file, number, restore, server_of, wait_archived, with_repository
from waiting import NotYet, wait_for

KEY, OTHER_KEY = "0123456789abcdef" * 4, "fedcba9876543210" * 4
WORD = "the-patient-has-a-secret"


def stored(cluster):
    return {path: path.read_bytes() for path in cluster.repository.rglob("*") if path.is_file()}


def unpacked(data):
    """What zstd finds in it; nothing when it is not compressed."""
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True).stdout


def begin_anew(node, cluster):
    """Another archiver process, which opens the repository for the first time."""
    processes.send(node.inner("archiver"), signal.SIGKILL)
    return wait_for(lambda: node.inner("archiver"), 30, "another archiver", cluster.describe)


@pytest.mark.parametrize("key", [KEY, None], ids=["encrypted", "plain"])
def test_contents_at_rest(own_cluster, key):
    """A word that is in the WAL and in the backup is in no object of an encrypted repository; in a plain one it is,
    so the search would have found it. Whoever has another key, or none, is refused before anything is changed.
    """
    cluster = own_cluster(2)
    with_repository(cluster, **({"encryption_key_file": key_file(cluster, "key", key)} if key else {}))
    node = cluster.primary()
    node.sql("CREATE TABLE notes AS SELECT %s AS note", WORD)
    node.admin("CHECKPOINT")
    label = node.ok("backup", "create", seconds=120).split()[0]
    node.sql("INSERT INTO notes VALUES (%s)", WORD)
    node.admin("SELECT pg_switch_wal()")
    wait_archived(cluster, node.admin("SELECT pg_current_wal_flush_lsn()"))
    found = [path for path, data in stored(cluster).items() if WORD.encode() in data or WORD.encode() in unpacked(data)]
    assert bool(found) == (key is None), found
    assert "as they were stored" in node.ok("backup", "verify", label)
    to, done = restore(cluster, "restored")
    assert done.returncode == 0, done.stdout + done.stderr
    with server_of(cluster, to) as ask:
        assert ask("SELECT note FROM notes") == [WORD, WORD]

    wrong = key_file(cluster, "wrong", OTHER_KEY)
    words = "is not the one under which" if key else "that is not encrypted"
    _, done = restore(cluster, "wrong-key", "--repository", cluster.repository, "--encryption-key-file", wrong)
    assert done.returncode != 0 and words in done.stderr, done.stdout + done.stderr
    assert not (cluster.root / "restores" / "wrong-key").exists()
    if key:
        _, done = restore(cluster, "no-key", "--repository", cluster.repository)
        assert done.returncode != 0 and "encryption_key_file" in done.stderr, done.stdout + done.stderr
    for node in cluster.nodes:
        node.terminate()
        node.edit_config("backup", "encryption_key_file", f'"{wrong}"')
    before = stored(cluster)
    cluster.wait_whole()
    for node in cluster.nodes:
        wait_for(lambda: words in node.story(), 60, "the archiver says that the key is wrong", cluster.describe)
    assert stored(cluster) == before


def test_another_cluster_of_the_same_origin_is_refused(own_cluster):
    """A restored copy has its original's system identifier. When it becomes a cluster of its own with the same
    repository, neither its WAL nor its backups get into the archive of the original, and it removes nothing there.
    """
    cluster = with_repository(own_cluster(2))
    node = cluster.primary()
    label = node.ok("backup", "create", seconds=120).split()[0]
    owner = cluster.repository / facts(cluster)["system_id"] / "owner"
    mine = owner.read_text()
    assert mine.strip() == node.identity()["cluster_id"]
    processes.send(node.inner("archiver"), signal.SIGSTOP)
    owner.write_text("the-original\n")
    before = stored(cluster)
    begin_anew(node, cluster)
    wait_for(lambda: "archive of another cluster" in node.story(), 30, "the archiver refuses", cluster.describe)
    node.sql("INSERT INTO ledger VALUES (7, 7)")
    done = node.keel("backup", "create", seconds=120)
    assert done.returncode != 0 and "a repository of its own" in done.stderr, done.stdout + done.stderr
    for words in (["expire", "--keep-full", "1"], ["pin", label], ["unpin", label]):
        done = node.keel("backup", *words)
        assert done.returncode != 0 and "archive of another cluster" in done.stderr, done.stdout + done.stderr
        done = node.keel("backup", *words, "--repository", cluster.repository)
        assert done.returncode != 0 and "--system" in done.stderr, done.stdout + done.stderr
    assert stored(cluster) == before
    # As the message says for an original that is gone.
    owner.unlink()
    wait_archived(cluster, node.admin("SELECT pg_current_wal_flush_lsn()"))
    assert owner.read_text() == mine
    node.ok("backup", "pin", label)
    system = ["--repository", cluster.repository, "--system", facts(cluster)["system_id"]]
    node.ok("backup", "unpin", label, *system)
    assert f"stays  {label}" in node.ok("backup", "expire", "--keep-full", "1", *system)


def test_beginnings_of_a_former_primary_are_removed(own_cluster):
    """After a switchover the former primary's last segment is only begun in the repository. It goes once its successor
    has archived the whole segment; a backup whose WAL was in it, a standby's, is sound as before.
    """
    cluster = with_repository(own_cluster(2))
    old = cluster.primary()
    old.sql("INSERT INTO ledger VALUES (7, 7)")
    label = cluster.standbys()[0].ok("backup", "create", seconds=120).split()[0]
    wait_archived(cluster, old.admin("SELECT pg_current_wal_flush_lsn()"))
    tails = cluster.repository / facts(cluster)["system_id"] / "tail"
    timeline = f"{facts(cluster)['timeline']:08X}"
    assert [path.name for path in tails.iterdir() if path.name.startswith(timeline)]
    old.ok("switchover", "--to", next(node.name for node in cluster.nodes if node is not old), "--yes")
    new = cluster.primary(other_than=old)
    new.sql("INSERT INTO ledger VALUES (8, 8)")
    new.admin("SELECT pg_switch_wal()")

    def gone():
        left = [path.name for path in tails.iterdir() if path.name.startswith(timeline)]
        if left:
            raise NotYet(f"there is {left}")
        return True
    wait_for(gone, 60, "the old timeline's beginnings are gone", cluster.describe)
    wait_archived(cluster, new.admin("SELECT pg_current_wal_flush_lsn()"))
    backup = json.loads(new.ok("backup", "show", label))
    segment = number(backup["end"]) - 1 >> 24
    names = [path.name[:24] for path in (tails.parent / "wal").rglob("*.zst") if path.name[8:24] == f"{0:08X}{segment:08X}"]
    assert len(names) == 1 and int(names[0][:8], 16) > backup["end_timeline"], f"{names} of {backup}"
    assert "as they were stored" in new.ok("backup", "verify", label)
    assert "0 problems" in new.ok("backup", "verify")
