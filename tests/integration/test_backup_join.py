"""A new node whose data comes out of the repository instead of from another node: `pgkeel join --from-backup`."""
import pytest
from restoring import check_rows, wait_archived, with_repository
from waiting import wait_for


@pytest.fixture
def archived(own_cluster):
    cluster = with_repository(own_cluster(3))
    for node in cluster.nodes:
        node.admin("ALTER SYSTEM SET log_replication_commands = on")
        node.admin("SELECT pg_reload_conf()")
    return cluster


def from_backup(cluster, *options):
    return ["--from-backup", "--repository", str(cluster.repository), *options]


def asked_for_base_backups(node):
    """By whom."""
    log = "".join(path.read_text(errors="replace") for path in (node.directory / "log").glob("postgres*"))
    return [line for line in log.splitlines() if "BASE_BACKUP" in line]


def test_a_replica_from_the_repository(archived):
    """It has what was written before and behind the backup, across a failover, streams, and takes over; no server was asked
    for a base backup. One that joins without a backup asks for one.
    """
    with archived.load() as load:
        archived.wait_writes(load)
        archived.primary().ok("backup", "create", seconds=120)
        old = archived.primary()
        old.kill()
        archived.primary(other_than=old)
        old.start()
        archived.wait_writes(load)
        archived.wait_whole(60)
        wait_archived(archived, archived.primary().admin("SELECT pg_current_wal_flush_lsn()"))
        before = [asked_for_base_backups(node) for node in archived.nodes]
        servers = list(archived.nodes)
        replica = archived.join(archived.add_node(), *from_backup(archived))
        replica.start()
        archived.wait_whole(90)
        archived.wait_writes(load)
        assert [asked_for_base_backups(node) for node in servers] == before
        assert "cloning" not in replica.story() and "rewinding" not in replica.story()
    assert f'repository = "{archived.repository}"' in (replica.directory / "node.toml").read_text()
    replica.ok("switchover", "--to", replica.name, "--yes")
    wait_for(replica.is_primary, 60, "it takes over", archived.describe)
    check_rows(load, [row for row, in replica.sql("SELECT id FROM ledger")])
    assert replica.admin("SHOW ssl") == "on" and replica.admin("SHOW restore_command") == ""
    plain = archived.join(archived.add_node())
    plain.start()
    archived.wait_whole(90)
    assert sum(len(asked_for_base_backups(node)) for node in [*servers, replica]) > sum(map(len, before))
    assert "cloning" in plain.story()


def test_what_cannot_be_joined_is_said_before(archived):
    """Nothing of it is left on the new node, and the cluster has no new member."""
    node = archived.add_node()
    archived.nodes.remove(node)

    def refused(words, *options):
        done = archived.try_join(node, *options)
        assert done.returncode != 0 and words in done.stderr and "mend: " in done.stderr, done.stdout + done.stderr
        assert not (node.directory / "data").exists() and not (node.directory / "node.toml").exists()
        assert len(archived.primary().status()["members"]) == 3

    refused("no complete backup", *from_backup(archived))
    refused("--repository", "--from-backup")
    refused("is no directory", "--from-backup", "--repository", "/nowhere/at/all")
    empty = archived.root / "empty"
    empty.mkdir()
    empty.chmod(0o777)
    refused("nothing of this database cluster", "--from-backup", "--repository", str(empty))
    primary = archived.primary()
    primary.ok("backup", "create", seconds=120)
    owner = next(archived.repository.glob("*/owner"))
    mine = owner.read_text()
    owner.write_text("another\n")
    refused("archive of another cluster", *from_backup(archived))
    owner.write_text(mine)

    for _ in range(4):
        primary.admin("SELECT pg_logical_emit_message(true, 'some', 'more')")
        primary.admin("SELECT pg_switch_wal()")
    wait_archived(archived, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    segments = sorted(path for path in archived.repository.glob("*/wal/*/*.zst"))
    lost = segments[-2]
    aside = lost.rename(archived.root / lost.name)
    refused("without a hole", *from_backup(archived))
    aside.rename(lost)
    archived.nodes.append(archived.join(node, *from_backup(archived)))
    node.start()
    archived.wait_whole(90)
