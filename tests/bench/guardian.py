"""How long after the deadline the last process of a server is gone, when the agent cannot see to it.

One node that leads alone, in async mode, with a client that writes all the time. The deadline is read from the words that
agent and guardian share, as it stood last; the death of each process from its pidfd. The kernel, not this program, says
that a process is gone, so the figures are a little too long by what this program waits for a processor."""
import contextlib
import multiprocessing
import os
import select
import statistics
import sys
import time

import hinder
import processes
import words
from client import Client
from cluster import Cluster
from waiting import NotYet, wait_for
import signal

GOAL_MS = 200
SESSIONS = 70  # the agent, and those of the case before that are still dying, need places as well


@contextlib.contextmanager
def agent_killed(node):
    with hinder.stopped(node.root_pid()):
        processes.send(node.inner("agent"), signal.SIGKILL)
        yield


@contextlib.contextmanager
def guardian_killed(node):
    processes.send(node.inner("guardian"), signal.SIGKILL)
    with hinder.stopped(node.inner("agent")):
        yield


def burn():
    while True:
        pass


@contextlib.contextmanager
def busy_machine(node):
    """Three busy loops for each core, and seventy sessions that all run a query."""
    loops = [multiprocessing.Process(target=burn, daemon=True) for _ in range(3 * os.cpu_count())]
    sessions = []
    try:
        for loop in loops:
            loop.start()
        for _ in range(SESSIONS):
            session = node.connect(connect_timeout=30)
            session.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
            sessions.append(session)
        with hinder.stopped(node.inner("agent")):
            yield
    finally:
        for loop in loops:
            loop.kill()
            loop.join()
        for session in sessions:
            session.close()


CASES = {
    "agent killed": agent_killed,
    "agent stopped": lambda node: hinder.stopped(node.inner("agent")),
    "agent frozen": lambda node: hinder.frozen(node.inner("agent")),
    "agent starved": lambda node: hinder.starved(node.inner("agent")),
    "agent, postmaster stopped": lambda node: hinder.stopped(node.inner("agent"), node.postmaster()),
    "agent, whole server stopped": lambda node: hinder.stopped(node.inner("agent"), node.postmaster(),
                                                               *processes.descendants(node.postmaster())),
    "guardian killed, agent stopped": guardian_killed,
    "both stopped": lambda node: hinder.stopped(node.inner("guardian"), node.inner("agent")),
    "agent stopped, busy machine": busy_machine,
}


def server_pids(node):
    data = str(node.directory / "data")
    return {pid for pid in processes.pids() if processes.working_directory(pid) == data and processes.alive(pid)}


class Deaths:
    """Pidfds of a server's processes; when the last of them was gone."""

    def __init__(self, node):
        self.node, self.poll, self.held, self.last_us, self.deadline_us = node, select.poll(), {}, 0, 0

    def hold(self):
        known = set(self.held.values())
        for pid in server_pids(self.node) - known:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            self.held[handle] = pid
            self.poll.register(handle, select.POLLIN)

    def reap(self, patience_ms):
        for handle, _ in self.poll.poll(patience_ms):
            self.last_us = words.boot_us()
            self.poll.unregister(handle)
            del self.held[handle]
            os.close(handle)

    def wait(self, seconds=30):
        """Milliseconds from the deadline to the last death."""
        end = time.monotonic() + seconds
        self.hold()
        while self.held:
            seen = words.read(self.node.directory)
            if seen.armed:
                self.deadline_us = seen.deadline_us
            self.reap(1)
            # Whatever the server still started; not while it dies, which this would disturb.
            if self.deadline_us > words.boot_us() + 50_000 or not self.held:
                self.hold()
            if time.monotonic() > end:
                raise AssertionError(f"the server does not die\n{self.node.cluster.describe()}")
        return (self.last_us - self.deadline_us) / 1000


def measure(cluster, case):
    node = cluster.nodes[0]
    client = Client(cluster)
    client.start()
    wait_for(lambda: len(client.moments) > 20, 60, "the client's writes", cluster.describe)
    deaths = Deaths(node)
    try:
        with CASES[case](node):
            return deaths.wait()
    finally:
        client.stop()


def leads(node):
    status = node.status()
    if status["health"] == "down" or not node.is_primary() or not status["guardian"].startswith("on duty"):
        raise NotYet(f"{status['verdict']}, guardian {status['guardian']}")
    return True


def bench(args, line):
    cluster = Cluster(1, mode="async", init_options=())
    try:
        node = cluster.nodes[0]
        line("guardian", node.status()["guardian"])
        for case in CASES:
            found = []
            for number in range(args.repeat):
                wait_for(lambda: leads(node), 90, "the node leads again", cluster.describe)
                found.append(measure(cluster, case))
                print(f"    {number + 1:>3}: {found[-1]:.1f} ms", file=sys.stderr, flush=True)
            line(f"dead after D: {case}",
                 f"median {statistics.median(found):.1f} ms, worst of {len(found)} {max(found):.1f} ms", f"<= {GOAL_MS} ms")
    finally:
        cluster.close()
