"""Disks that hang, fill up and fail under the WAL of real servers."""
import os

import pytest

import processes
from cluster import Cluster
from disks import Disk
from waiting import wait_for


@pytest.fixture
def cluster():
    """Three data nodes, the WAL of each on a disk of its own: `disk_of` by the name of the node."""
    made = Cluster(3)
    made.disk_of = {}
    try:
        for node in made.nodes:
            node.terminate()
            made.disk_of[node.name] = Disk(made.root / f"{node.name}.img", made.root / f"{node.name}.wal")
            made.disk_of[node.name].take_wal_of(node)
        made.wait_whole(90)
        yield made
    finally:
        for disk in made.disk_of.values():
            disk.thaw()
        for node in made.nodes:
            node.kill()
        for disk in made.disk_of.values():
            disk.close()
        made.close()


def problem_of(cluster, status, node):
    return cluster.member(status, node.name)["problem"]


def test_row_22_wal_disk_of_the_primary_hangs(cluster):
    """Row 22. No write to the primary's WAL disk comes back. Its backends sleep where no signal reaches them, so the
    server cannot even be killed: its fence is shut, its lease runs out, and a standby takes over. When the disk is
    back, the processes die of the signal that waited, and the node is a standby.
    """
    old = cluster.wait_whole()
    epoch = cluster.epoch()
    with cluster.load() as load:
        cluster.wait_writes(load)
        cluster.disk_of[old.name].freeze()
        new = cluster.primary(other_than=old)
        cluster.wait_writes(load)
        cluster.wait_status(new, lambda status: "hangs" in problem_of(cluster, status, old), "it tells of its disk")
        survivors = [pid for pid in old.all_pids() if processes.state(pid) == "D"]
        assert survivors, "nothing waits for the disk: this test tests nothing"
        cluster.disk_of[old.name].thaw()
    cluster.audit(load)
    assert cluster.epoch() > epoch


def test_row_22_nobody_has_a_better_disk(cluster):
    """Row 22. The storage of all nodes hangs at once, as it does when they share it. Nobody would be better off with
    another primary: it stays, says so, and goes on when the disks do.
    """
    primary = cluster.wait_whole()
    epoch, postmaster = cluster.epoch(), primary.postmaster()
    with cluster.load(routed=0) as load:
        cluster.wait_writes(load)
        for node in sorted(cluster.nodes, key=lambda node: node is primary):
            cluster.disk_of[node.name].freeze()
        cluster.wait_status(primary, lambda status: "nobody else could lead" in status["reason"], "it says why it stays")
        for disk in cluster.disk_of.values():
            disk.thaw()
        cluster.wait_writes(load)
    cluster.audit(load)
    assert cluster.epoch() == epoch and primary.postmaster() == postmaster


def test_row_26_wal_disk_of_a_standby_hangs(cluster):
    """Row 26. A standby's WAL disk hangs while nobody writes anything, so nobody sees it lag. It leaves the sync set on
    its own word. When the primary dies then, the other standby takes over, although this one has the priority.
    """
    primary = cluster.wait_whole()
    victim, other = cluster.standbys()
    primary.ok("tag", victim.name, "priority=10")
    cluster.wait_status(primary, lambda status: cluster.member(status, victim.name)["tags"]["priority"] == 10, "the tag")
    epoch = cluster.epoch()
    cluster.disk_of[victim.name].freeze()
    cluster.wait_status(primary, lambda status: victim.name not in status["sync_names"], "the hung standby is evicted")
    refused = primary.keel("switchover", "--to", victim.name, "--yes")
    assert refused.returncode != 0, refused.stdout
    assert cluster.primary() is primary and cluster.epoch() == epoch
    with cluster.load() as load:
        cluster.wait_writes(load)
        primary.kill()
        assert cluster.primary(other_than=primary) is other
        cluster.disk_of[victim.name].thaw()
        cluster.wait_writes(load)
    cluster.audit(load)


def test_row_23_wal_disk_fills_up(cluster):
    """Row 23. The WAL disk of the primary fills up with what is not PostgreSQL's. At 90 % status and doctor warn; at 95 %
    the ballast is given back and a standby takes over in order. When there is room again, so is the ballast.
    """
    old = cluster.wait_whole()
    ballast = cluster.disk_of[old.name].place / "pg_wal" / "pgsql_tmp_pgkeel_ballast"
    wait_for(ballast.exists, 30, "the ballast", cluster.describe)
    with cluster.load() as load:
        cluster.wait_writes(load)
        cluster.disk_of[old.name].fill(91)
        cluster.wait_status(old, lambda status: "% full" in problem_of(cluster, status, old), "a warning in status")
        assert "% full" in old.keel("doctor").stdout
        assert cluster.primary() is old and ballast.exists()
        cluster.disk_of[old.name].fill(97)
        wait_for(lambda: not ballast.exists(), 30, "the ballast is given back", cluster.describe)
        cluster.primary(other_than=old)
        cluster.wait_writes(load)
        cluster.disk_of[old.name].clear()
        wait_for(ballast.exists, 60, "the ballast is there again", cluster.describe)
    cluster.audit(load)
    assert "hands over" in old.story()


def test_row_23_wal_disk_is_full_at_once(cluster):
    """Row 23. The WAL disk of the primary has no room left, sooner than anybody could do anything in order. Another takes
    over. The server stays down, says what to do, and comes back by itself when that was done.
    """
    old = cluster.wait_whole()
    old.ok("config", "set", "disk_ballast", "0MB")
    ballast = cluster.disk_of[old.name].place / "pg_wal" / "pgsql_tmp_pgkeel_ballast"
    wait_for(lambda: not ballast.exists(), 30, "no ballast", cluster.describe)
    with cluster.load() as load:
        cluster.wait_writes(load)
        cluster.disk_of[old.name].fill(100)
        cluster.primary(other_than=old)
        cluster.wait_writes(load)
        cluster.wait_status(old, lambda status: "stays down" in status["reason"] and "remove" in status["reason"],
                            "it says what to do")
        cluster.disk_of[old.name].clear()
    cluster.audit(load)


def test_row_24_wal_disk_fails(cluster):
    """Row 24. Every write to the primary's WAL disk is an I/O error from one moment to the next. PostgreSQL panics, or is
    killed; another takes over. The node stays broken until a write passes: the disk is repaired, and it rejoins.
    """
    old = cluster.wait_whole()
    with cluster.load() as load:
        cluster.wait_writes(load)
        cluster.disk_of[old.name].fail()
        cluster.primary(other_than=old)
        cluster.wait_writes(load)
        status = cluster.wait_status(old, lambda status: cluster.member(status, old.name)["state"] == "broken", "broken")
        assert os.strerror(5) in status["reason"], status["reason"]
        cluster.disk_of[old.name].repair()
    cluster.audit(load)
