"""Failures of processes in a cluster of three data nodes, quorum mode, lan profile."""
import pathlib
import signal
import subprocess
import sys

import processes
from waiting import wait_for

STALL = pathlib.Path(__file__).with_name("stall.py")


def test_row_1_postmaster_killed(three):
    """Row 1. The OOM killer takes the primary's postmaster; its agent lives.

    The agent kills the orphaned backends, gives the lease back, and an election follows at once.
    """
    old = three.wait_whole()
    epoch = three.epoch()
    with three.load() as load:
        three.wait_writes(load)
        postmaster = old.postmaster()
        processes.send(postmaster, signal.SIGKILL)
        three.wait_status(three.standbys()[0], lambda status: status["epoch"] > epoch, "a new epoch")
        three.primary()
        three.wait_writes(load)
    assert not processes.alive(postmaster)
    three.audit(load)
    assert three.epoch() > epoch


def test_row_3_agent_killed(three):
    """Row 3. A bug kills the primary's agent. The root of the tree starts another, which adopts the running server and
    goes on with the lease: same postmaster, same epoch, no client loses its connection.

    The long lease (wan) because nothing here may depend on how fast a loaded machine starts a process.
    """
    primary = three.wait_whole()
    primary.ok("config", "set", "profile", "wan")
    three.wait_whole()
    epoch, agent, postmaster = three.epoch(), primary.inner("agent"), primary.postmaster()
    with three.load(routed=0) as load:
        three.wait_writes(load)
        unknown = sum(len(writer.ledger.unknown) for writer in load.writers)
        processes.send(agent, signal.SIGKILL)
        wait_for(lambda: primary.inner("agent") != agent, 30, "another agent", three.describe)
        three.wait_status(primary, lambda status: status["leader"] == primary.name and status["leader_alive"],
                          "the new agent leads")
        three.wait_writes(load)
        assert unknown == sum(len(writer.ledger.unknown) for writer in load.writers)
    three.audit(load)
    assert primary.postmaster() == postmaster
    assert three.epoch() == epoch
    primary.ok("config", "set", "profile", "lan")
    three.wait_whole()


def test_row_4_agent_frozen(three):
    """Row 4. The primary's agent hangs. Nobody refreshes the deadline, so the guardian kills the server when the lease is
    over; the others elect. The agent wakes up later, finds itself overtaken, and the node rejoins as a standby.
    """
    old = three.wait_whole()
    epoch = three.epoch()
    with three.load() as load:
        three.wait_writes(load)
        agent, postmaster = old.inner("agent"), old.postmaster()
        processes.send(agent, signal.SIGSTOP)
        try:
            wait_for(lambda: not processes.alive(postmaster), 30, "the guardian kills the old primary's server",
                     three.describe)
            new = three.primary(other_than=old)
            three.wait_writes(load)
        finally:
            processes.send(agent, signal.SIGCONT)
    three.audit(load)
    assert new is not old and three.epoch() > epoch


def test_row_5_postmaster_frozen(three):
    """Row 5. The primary's postmaster hangs. The connections that are open go on, so everything looks well to whoever has
    one; nobody gets a new one. The agent sees the process stopped, kills the server and gives the lease back.
    """
    old = three.wait_whole()
    epoch = three.epoch()
    with three.load() as load:
        three.wait_writes(load)
        postmaster = old.postmaster()
        processes.send(postmaster, signal.SIGSTOP)
        wait_for(lambda: not processes.alive(postmaster), 30, "the agent kills the hung server", three.describe)
        three.wait_status(three.standbys()[0], lambda status: status["epoch"] > epoch, "a new epoch")
        three.primary()
        three.wait_writes(load)
    three.audit(load)
    assert three.epoch() > epoch


def test_row_14_standby_dies(three):
    """Row 14. One of two standbys loses its power. The other one acknowledges: no commit fails, nobody is elected, and
    the dead one leaves the sync set until it streams again.
    """
    primary = three.wait_whole()
    epoch, victim = three.epoch(), three.standbys()[0]
    with three.load() as load:
        three.wait_writes(load)
        victim.kill()
        three.wait_writes(load)
        three.wait_status(primary, lambda status: victim.name not in status["sync_names"], "the dead standby is evicted")
        three.wait_writes(load)
        assert three.primary() is primary
    three.audit(load)
    assert three.epoch() == epoch


def test_row_25_candidate_stalls_while_promoting(three):
    """Row 25. The primary's host dies, and the disk of the standby that was chosen stalls in the middle of its promotion.

    At the promotion's deadline its server is killed, its timeline is burnt, and the other standby takes over.
    """
    old = three.wait_whole()
    old.ok("config", "set", "promote_timeout_ms", "1500")
    first, second = three.standbys()
    old.ok("tag", first.name, "priority=10")
    three.wait_status(old, lambda status: three.member(status, first.name)["tags"]["priority"] == 10, "the tag")
    three.wait_whole()
    watcher = subprocess.Popen([sys.executable, STALL, first.directory / "data" / "pgkeel.conf",
                                str(first.backends("startup")[0])], stdout=subprocess.PIPE, text=True)
    assert watcher.stdout.readline() == "watching\n"
    try:
        with three.load() as load:
            three.wait_writes(load)
            old.kill()
            new = three.primary(other_than=old, seconds=60)
            assert watcher.stdout.readline() == "frozen\n"
            assert new is second, f"{first.name} was promoted in spite of its stall{three.describe()}"
            three.wait_writes(load)
    finally:
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()
    three.audit(load)
    new.ok("config", "set", "promote_timeout_ms", "5000")
    new.ok("tag", first.name, "priority=0")
    three.wait_whole()


def test_row_29_old_primary_returns_diverged(three):
    """Row 29. A primary dies with WAL that no standby has received. It comes back after another one has taken over.

    What it wrote alone is put aside with a text that lists the range, pg_rewind takes it back, and it streams.
    """
    old = three.wait_whole()
    with three.load() as load:
        three.wait_writes(load)
        old.diverge()
        three.primary(other_than=old)
        three.wait_writes(load)
    three.audit(load)
    notes = list((old.directory / "quarantine").glob("*/lost.txt"))
    assert notes, f"nothing in quarantine{three.describe()}"
    assert "timeline" in notes[0].read_text()
    for node in three.data_nodes():
        assert node.value("SELECT to_regclass('alone') IS NULL"), f"{node.name} kept what only the old primary had"


def test_row_39_planned_switchover_under_load(three):
    """Row 39. An operator moves the primary to a certain node while everybody writes. Nothing acknowledged is lost."""
    old = three.wait_whole()
    target = three.standbys()[-1]
    with three.load() as load:
        three.wait_writes(load)
        old.ok("switchover", "--to", target.name, "--yes")
        assert three.primary(other_than=old) is target
        three.wait_writes(load)
    three.audit(load)
    assert three.primary() is target
