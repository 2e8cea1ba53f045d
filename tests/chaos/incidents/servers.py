"""Rows 2, 33, 34, 36 and 27: one process of the server, its connections, its program, its clock."""
import os
import pathlib
import shutil
import signal
import threading
import time

import psycopg

import processes
import program
from cpu import Burners
from incident import incident
from waiting import NotYet, wait_for
from world import whole_and_idle


@incident(2, "0.4..1.3 s", figure=True)
def backend_crashes(world):
    """Row 2. A bug in an extension crashes one backend of the primary. PostgreSQL takes all the others down with it and does
    not start again by itself: the agent gives the lease back, and an election follows.
    """
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        old.kill_process(old.client_backends()[0], "one client's backend")
        world.wait_status(world.nodes[-1], lambda status: status["epoch"] > epoch, "a new epoch")
        world.primary()
        world.wait_writes(load)
    world.audit(load)


class Reader(threading.Thread):
    """Reads each writer's newest row from whichever node takes logins as a primary, and remembers all that it was ever shown."""

    def __init__(self, world):
        super().__init__(daemon=True, name="reader")
        self.world, self.seen, self.ending = world, set(), threading.Event()

    def run(self):
        while not self.ending.is_set():
            for node in self.world.data_nodes():
                try:
                    self.read(node)
                except psycopg.Error:
                    self.ending.wait(0.01)

    def read(self, node):
        with node.connect(target_session_attrs="read-write") as connection:
            while not self.ending.is_set():
                rows = connection.execute("SELECT max(id) FROM ledger GROUP BY writer")
                self.seen.update(row for row, in rows)
                self.ending.wait(0.005)

    def stop(self):
        self.ending.set()
        self.join(20)


@incident(33, "recovery + ms", modes=("quorum",))
def restart_with_waiting_commits(world):
    """Row 33. While both standbys hang, so that commits wait for them, the primary's postmaster is killed. Its WAL holds commits
    that nobody was told of. Whoever leads afterwards must show no client a row that disappears later: a reader who comes
    in through every door remembers all that it saw.
    """
    old, _ = whole_and_idle(world)
    standbys = world.standbys()
    reader = Reader(world)
    with world.load() as load:
        world.wait_writes(load)
        reader.start()
        wait_for(lambda: len(reader.seen) > 50, 30, "the reader reads", world.describe)
        for node in standbys:
            for pid in node.backends("walreceiver"):
                node.stop_process(pid, "its WAL receiver")
        waiting = "SELECT count(*) > 2 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        wait_for(lambda: old.admin(waiting) == "t", 20, "commits wait for a standby", world.describe)
        old.kill_process(old.postmaster(), "the postmaster")
        for node in standbys:
            node.heal()
        world.primary()
        world.wait_writes(load)
    reader.stop()
    world.audit(load)
    kept = {row for row, in world.primary().sql("SELECT id FROM ledger")}
    assert not reader.seen - kept, f"shown to a client, then gone: {sorted(reader.seen - kept)[:20]}{world.describe()}"
    assert len(reader.seen) > 100


@incident(34, "0", figure=True)
def no_connections_no_processor(world):
    """Row 34. An application's pool runs wild: every connection of the primary is taken, and every processor of the machine is
    busy, for ten seconds. The lease needs neither a connection nor much of a processor: nothing changes.
    """
    old, epoch = whole_and_idle(world)
    taken = []
    with world.load() as load:
        world.wait_writes(load)
        try:
            with Burners(2 * os.cpu_count()):
                world.note(f"{old.name}: every connection is taken, every processor is busy")
                end = time.monotonic() + 10
                while time.monotonic() < end:
                    try:
                        taken.append(old.connect(connect_timeout=5))
                    except psycopg.Error:
                        time.sleep(0.05)
                world.note(f"{len(taken)} connections were had")
                world.wait_writes(load)
        finally:
            for connection in taken:
                connection.close()
    world.audit(load)
    assert len(taken) > 50, f"only {len(taken)} connections: not exhausted"
    assert world.epoch() == epoch, f"a busy machine moved the primary{world.describe()}"


@incident(36, "0", figure=True)
def program_upgraded(world):
    """Row 36. The program's file is replaced on the primary while it runs, and its processes are ended one after the other:
    agent, guardian, at last the root of the tree. Each successor is the new file, adopts the server that runs and goes on
    with the lease: same postmaster, same epoch.

    The long lease (wan) because nothing here may depend on how fast a loaded machine starts a process.
    """
    old, _ = whole_and_idle(world)
    own = old.cluster.root / old.name / "pgkeel"
    shutil.copy2(program.pgkeel(), own)
    old.ok("config", "set", "profile", "wan")
    old.terminate()
    old.program = str(own)
    world.wait_whole()
    world.primary().ok("switchover", "--to", old.name, "--yes")
    old, epoch = whole_and_idle(world)
    postmaster = old.postmaster()
    with world.load() as load:
        world.wait_writes(load)
        world.note(f"{old.name}: a new version of the program is put in place")
        shutil.copy2(program.pgkeel(), own.with_suffix(".new"))
        own.with_suffix(".new").rename(own)
        for what in ("agent", "guardian"):
            replace(world, old, what, own)
        world.wait_writes(load)
        world.note(f"{old.name}: SIGKILL to the root of the tree, and a new one is started")
        processes.send(old.root_pid(), signal.SIGKILL)
        old.process.wait(20)
        old.process = None
        old.start()
        world.wait_status(old, lambda status: status["leader"] == old.name and status["leader_alive"], "it leads on")
        world.wait_writes(load)
    world.audit(load)
    assert old.postmaster() == postmaster and world.epoch() == epoch, f"the upgrade cost a failover{world.describe()}"
    old.ok("config", "set", "profile", "lan")
    old.terminate()
    old.program = None
    world.wait_whole()


def replace(world, node, what, program_file):
    gone = node.inner(what)
    node.kill_process(gone, f"the {what}")

    def successor():
        pid = node.inner(what)
        if pid == gone:
            raise NotYet(f"the {what} is the old one")
        return pathlib.Path(f"/proc/{pid}/exe").samefile(program_file)

    wait_for(successor, 30, f"a {what} of the new file", world.describe)
    world.wait_status(node, lambda status: status["leader"] == node.name and status["leader_alive"], "it leads on")


@incident(27, "0", figure=True)
def clock_steps(world):
    """Row 27. The primary's wall clock jumps an hour ahead, then two hours back, and a standby's runs ten minutes late all the
    time. Only durations count, on a clock that nobody sets: nothing changes.

    The machine's own clock is not touched: libfaketime shows agent, guardian and root another one. (The server, which is
    started with an environment of its own, keeps the true one.)
    """
    old, _ = whole_and_idle(world)
    late = world.standbys()[0]
    for node, offset in ((old, "+0"), (late, "-600")):
        clock = world.root / node.name / "clock"
        clock.write_text(offset)
        node.terminate()
        node.environment = program.faked_clock(FAKETIME_NO_CACHE=1, FAKETIME_TIMESTAMP_FILE=clock)
        node.start()
    world.wait_whole()
    if world.primary() is not old:
        world.primary().ok("switchover", "--to", old.name, "--yes")
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        for offset in ("+3600", "-7200", "+0"):
            world.note(f"{old.name}: its clock is {offset} s off")
            (world.root / old.name / "clock").write_text(offset)
            world.wait_writes(load, 200)
            shown = old.status()["unix_ms"] / 1000 - time.time()
            assert abs(shown - int(offset)) < 60, f"its clock is {shown:.0f} s off, not {offset}"
    world.audit(load)
    assert world.epoch() == epoch, f"a clock moved the primary{world.describe()}"
    for node in (old, late):
        node.terminate()
        node.environment = []
    world.wait_whole()
