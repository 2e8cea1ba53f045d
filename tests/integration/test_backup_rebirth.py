"""A whole cluster out of a backup, when nothing else is left: `pgkeel init --restore`."""
import json
import shutil

import pytest
from program import SERVER_USER, run
from restoring import check_rows, configure, facts, restore, server_of, wait_archived, with_repository
from waiting import NotYet, wait_for


@pytest.fixture
def burnt(own_cluster):
    """Three nodes with a backup, a failover and writes behind it; then the machines are gone, the repository is not."""
    cluster = with_repository(own_cluster(3))
    with cluster.load() as load:
        cluster.wait_writes(load)
        cluster.primary().admin("ALTER SYSTEM SET work_mem = '5MB'")  # in the files of the node that the backup is of
        cluster.primary().ok("backup", "create", seconds=120)
        cluster.wait_writes(load)
        old = cluster.primary()
        old.kill()
        new = cluster.primary(other_than=old)
        old.start()
        cluster.wait_writes(load)
    cluster.wait_whole(60)
    new.sql("INSERT INTO ledger VALUES (-1, -1)")
    wait_archived(cluster, new.admin("SELECT pg_current_wal_flush_lsn()"))
    cluster.known = facts(cluster)
    for node in cluster.nodes:
        node.kill()
        shutil.rmtree(node.directory)
    cluster.nodes = []
    return cluster, load


def from_repository(cluster, *options):
    return ["--restore", "latest", "--repository", str(cluster.repository), *options]


def test_a_cluster_begins_anew_with_what_the_repository_has(burnt):
    """It leads, others join it, it fails over, and every acknowledged row is there. The old archive stays as it is."""
    cluster, load = burnt
    first = cluster.add_node()
    said = cluster.init(first, from_repository(cluster))
    assert "target" in said and "is the old cluster's" in said
    first.start()
    wait_for(first.is_admin_primary, 60, "the first node leads", cluster.describe)
    for _ in range(2):
        cluster.join(cluster.add_node()).start()
    primary = cluster.wait_whole(90)
    assert primary.status()["epoch"] > 1
    rows = [row[0] for row in primary.sql("SELECT id FROM ledger")]
    check_rows(load, [row for row in rows if row != -1])
    assert -1 in rows
    assert primary.admin("SHOW work_mem") == "5MB" and primary.admin("SHOW ssl") == "on"
    history = json.loads(primary.get("/history")[1])
    assert any("as its first node, from backup" in event["text"] for event in history)
    primary.kill()
    second = cluster.primary(other_than=primary)
    second.sql("INSERT INTO ledger VALUES (-2, -2)")
    primary.start()
    cluster.wait_whole(90)

    before = {path: path.stat().st_mtime_ns for path in cluster.repository.rglob("*") if path.is_file()}
    for node in cluster.nodes:
        node.edit_config("backup", "repository", f'"{cluster.repository}"')
        node.terminate()
    cluster.wait_whole(90)

    def refused():
        trouble = cluster.primary().status()["backup"]["archive"]["trouble"]
        if "restored copy needs a repository of its own" not in trouble:
            raise NotYet(trouble)
        return True

    wait_for(refused, 60, "the old cluster's archive is refused", cluster.describe)
    assert {path: path.stat().st_mtime_ns for path in cluster.repository.rglob("*") if path.is_file()} == before
    cluster.repository = cluster.root / "second"
    cluster.repository.mkdir()
    run(["chown", SERVER_USER, cluster.repository])
    configure(cluster, repository=cluster.repository)
    primary = cluster.primary()
    primary.ok("backup", "create", seconds=120)
    primary.sql("INSERT INTO ledger VALUES (-3, -3)")
    wait_archived(cluster, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    to, done = restore(cluster, "again")
    assert done.returncode == 0, done.stdout + done.stderr
    with server_of(cluster, to) as ask:
        assert ask("SELECT id FROM ledger WHERE id < 0 ORDER BY id") == ["-3", "-2", "-1"]


def test_what_cannot_be_restored_leaves_no_node(burnt):
    cluster, _ = burnt
    node = cluster.add_node()

    def refused(*words, code=None):
        done = run(node.command("init", "--cluster", "shop", *node.place_options(), *words), 120)
        assert done.returncode != 0 and (code is None or done.returncode == code), done.stdout
        assert "mend: " in done.stderr and not (node.directory / "node.toml").exists(), done.stderr
        assert not (node.directory / "data").exists()
        return done.stderr

    repository = ["--repository", str(cluster.repository)]
    refused("--restore", "yesterday", *repository)
    refused("--restore", "2035-01-01 00:00:00Z", *repository)
    refused("--restore", "0/100", *repository)
    refused("--restore", "latest", "--repository", "/nowhere/at/all")
    assert "--repository" in refused("--restore", "latest", code=2)
    assert "--restore" in refused(*repository, code=2)
    for part in cluster.repository.glob("*/backup/*/base.tar.zst"):
        with open(part, "r+b") as file:
            file.seek(part.stat().st_size // 2)
            file.write(b"\0\0\0\0")
    refused("--restore", "latest", *repository)
    cluster.nodes = []
