"""Row 34: every connection is taken and the processors are busy. The lease, the sync set and a switchover go on."""
import contextlib
import subprocess
import sys
import threading

import psycopg

import processes
from waiting import wait_for


@contextlib.contextmanager
def every_connection_taken(node):
    """By sessions of a superuser, so that those reserved for superusers are gone as well."""
    node.admin(f"DO $$ BEGIN IF to_regrole('hog') IS NULL THEN CREATE ROLE hog SUPERUSER LOGIN PASSWORD "
               f"'{node.cluster.password}'; END IF; END $$")
    taken = []

    def take():
        while True:
            try:
                taken.append(node.connect(user="hog", dbname="postgres"))
            except psycopg.OperationalError as error:
                return "too many clients" in str(error)

    ending = threading.Event()

    def take_what_comes_free():
        while not ending.wait(0.002):
            with contextlib.suppress(psycopg.Error):
                take()

    crowd = threading.Thread(target=take_what_comes_free)
    try:
        wait_for(take, 60, f"every connection of {node.name} is taken", node.cluster.describe)
        crowd.start()
        yield
    finally:
        ending.set()
        if crowd.is_alive():
            crowd.join()
        for connection in taken:
            connection.close()


@contextlib.contextmanager
def busy_processors(hogs=8):
    """More work than this machine has processors for, of the same priority as the servers."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(hogs)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def tells_of_the_crowd(cluster, node):
    status = cluster.wait_status(node, lambda status: "max_connections" in cluster.member(status, node.name)["problem"],
                                 "status tells that clients are turned away")
    assert status["leader_alive"] and status["health"] == "degraded", status["verdict"]


def test_row_34_every_connection_is_taken(three):
    """Row 34. Clients hold every connection of the primary, the reserved ones too. It keeps its lease; a standby that
    dies leaves the sync set and comes back into it, for which the server must be told twice; and a switchover works.
    """
    primary = three.wait_whole()
    epoch, (victim, other) = three.epoch(), three.standbys()
    with three.load(routed=0) as load:
        three.wait_writes(load)
        with every_connection_taken(primary):
            tells_of_the_crowd(three, primary)
            victim.kill()
            three.wait_status(primary, lambda status: victim.name not in status["sync_names"], "it is evicted")
            three.wait_writes(load)
            victim.start()
            three.wait_status(primary, lambda status: victim.name in status["sync_names"], "it is taken back", 60)
            three.wait_writes(load)
            assert three.wait_status(primary, lambda status: status["leader"] == primary.name, "it leads")["epoch"] == epoch
            primary.ok("switchover", "--to", other.name, "--yes")
        assert three.primary(other_than=primary) is other
        three.wait_writes(load)
    three.audit(load)


def test_row_34_agent_restarted_in_the_crowd(three):
    """Row 34. The agent of such a primary is killed, too: another adopts the server, which it must look into anew.

    The long lease (wan) because nothing here may depend on how fast a loaded machine starts a process.
    """
    primary = three.wait_whole()
    primary.ok("config", "set", "profile", "wan")
    three.wait_whole()
    epoch, agent, postmaster = three.epoch(), primary.inner("agent"), primary.postmaster()
    with three.load(routed=0) as load:
        three.wait_writes(load)
        with every_connection_taken(primary):
            processes.kill_all(lambda: [agent] if processes.alive(agent) else [])
            wait_for(lambda: primary.inner("agent") != agent, 30, "another agent", three.describe)
            status = three.wait_status(primary, lambda status: status["leader_alive"] and status["lease_ms"],
                                       "the new agent leads")
            assert status["leader"] == primary.name and status["epoch"] == epoch
            three.wait_writes(load)
    three.audit(load)
    assert primary.postmaster() == postmaster and three.epoch() == epoch
    primary.ok("config", "set", "profile", "lan")
    three.wait_whole()


def test_row_34_processors_are_busy(three):
    """Row 34. Every processor has many times the work it can do, and every connection is taken: nobody is elected."""
    primary = three.wait_whole()
    epoch, postmaster = three.epoch(), primary.postmaster()
    with three.load(routed=0) as load, busy_processors():
        three.wait_writes(load)
        with every_connection_taken(primary):
            tells_of_the_crowd(three, primary)
            three.wait_writes(load, 2000, 120)
    three.audit(load)
    assert primary.postmaster() == postmaster and three.epoch() == epoch
