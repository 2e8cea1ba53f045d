"""A library inside PostgreSQL that is missing, foreign or of another version: the node says so, serves, and takes the right one back."""
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import program
from waiting import NotYet, wait_for

MAJOR = program.postgres_bin().parent.name


class Tree:
    """A program and its library where a build has them, to be changed by one test."""

    def __init__(self, root):
        root.chmod(0o755)
        for parent in list(root.parents)[:3]:  # the server's user has to get there
            if parent.stat().st_uid == os.geteuid() and parent != pathlib.Path("/"):
                parent.chmod(parent.stat().st_mode | 0o055)
        self.root = root
        self.binary = root / "dev" / "pgkeel"
        self.library = root / "ext" / MAJOR / "pgkeel.so"
        for folder in (self.binary.parent, self.library.parent):
            folder.mkdir(parents=True)
        shutil.copy2(program.pgkeel(), self.binary)
        self.good = program.ROOT / "build/ext" / MAJOR / "pgkeel.so"
        self.put(self.good)

    def put(self, library):
        """As a package does: a new file in the old one's place."""
        fresh = self.library.with_suffix(".new")
        shutil.copy(library, fresh)
        fresh.chmod(0o755)
        os.replace(fresh, self.library)

    def compile(self, text):
        source, out = self.root / "made.c", self.root / "made.so"
        source.write_text(text)
        subprocess.run(["clang-19", "-shared", "-fPIC", "-o", str(out), str(source)], check=True)
        return out

    def of_version(self, number):
        """The library as a later release would have it."""
        sources = self.root / "sources"
        shutil.copytree(program.ROOT / "ext", sources)
        header = sources / "pgkeel_gate.h"
        old, text = "#define PGKEEL_LIBRARY_VERSION 100", header.read_text()
        assert old in text
        header.write_text(text.replace(old, f"#define PGKEEL_LIBRARY_VERSION {number}"))
        done = subprocess.run(["make", "-s", "-C", str(sources), f"PG_CONFIG={program.postgres_bin() / 'pg_config'}",
                               "CC=clang-19", "pgkeel.so"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return sources / "pgkeel.so"


@pytest.fixture
def tree(tmp_path_factory):
    return Tree(tmp_path_factory.mktemp("tree"))


def fence_is(cluster, node, *words):
    def right(status):
        return all(word in status["fence"] for word in words)

    cluster.wait_status(node, right, f"the fence of {node.name} says {words}")


def end_postmaster(node):
    """PostgreSQL is started anew by its agent; that is when it loads its libraries."""
    pid = node.postmaster()
    os.kill(pid, signal.SIGQUIT)

    def another():
        if node.postmaster() == pid:
            raise NotYet("no new postmaster")
        return True

    wait_for(another, 60, f"{node.name} has a new postmaster", node.describe)


def writes_are_taken(cluster, row):
    cluster.wait_whole(60)
    cluster.primary().sql("INSERT INTO ledger VALUES (815, %s)", row)


def test_a_library_that_is_missing_or_not_ours_costs_the_fence_and_not_the_server(own_cluster, tree):
    cluster = own_cluster(2, binary=str(tree.binary))
    cluster.wait_whole()
    standby = cluster.standbys()[0]
    fence_is(cluster, standby, "full")

    tree.library.unlink()  # an upgrade that went wrong
    end_postmaster(standby)
    # PostgreSQL's own words, or the agent's if it looked before the start: each record that is learnt has it look.
    fence_is(cluster, standby, "degraded (extension not loaded", "pgkeel.so")
    writes_are_taken(cluster, 1)
    standby.terminate()
    standby.start()
    fence_is(cluster, standby, "degraded", "install pgkeel.so")

    tree.put(tree.compile("int nothing_of_postgresql;\n"))
    standby.terminate()
    standby.start()
    fence_is(cluster, standby, "degraded (extension not loaded: PostgreSQL refuses it", "magic block")
    writes_are_taken(cluster, 2)

    tree.put(tree.good)  # put right: the next start takes it, nothing else is to be done
    end_postmaster(standby)
    fence_is(cluster, standby, "full")
    writes_are_taken(cluster, 3)


def test_a_library_of_another_version_is_named(own_cluster, tree):
    later = tree.of_version(203)
    cluster = own_cluster(2, binary=str(tree.binary))
    cluster.wait_whole()
    standby = cluster.standbys()[0]
    tree.put(later)
    end_postmaster(standby)
    fence_is(cluster, standby, "degraded (PostgreSQL has extension 0.2.3, this program is made for 0.1.0")
    writes_are_taken(cluster, 1)
    tree.put(tree.good)
    cluster.primary().ok("restart", "--yes", seconds=120)  # what the words ask for
    for node in cluster.data_nodes():
        fence_is(cluster, node, "full")
    writes_are_taken(cluster, 2)


def test_a_server_that_somebody_started_without_the_library_is_adopted_and_named(own_cluster):
    """By hand, while its node was down: its agent takes it over as it is, says what it lacks, and how to mend it."""
    cluster = own_cluster(2)
    cluster.wait_whole()
    standby = cluster.standbys()[0]
    standby.terminate()
    command = program.as_server_user([str(program.postgres_bin() / "postgres"), "-D", str(standby.directory / "data"),
                                      "-c", "shared_preload_libraries="])
    with open(cluster.root / "by_hand.log", "wb") as log:
        by_hand = subprocess.Popen([*cluster.network.command(standby.host), *command],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        wait_for(lambda: standby.admin("SELECT pg_is_in_recovery()") == "t", 30, "the server by hand",
                 (cluster.root / "by_hand.log").read_text)
        standby.start()
        fence_is(cluster, standby, "degraded (extension not loaded: PostgreSQL was started without it: pgkeel restart)")
        assert by_hand.poll() is None, "it was to be adopted, not restarted"
        writes_are_taken(cluster, 1)
        standby.ok("restart", "--yes", seconds=120)  # what the words ask for
        fence_is(cluster, standby, "full")
        by_hand.wait(30)
        writes_are_taken(cluster, 2)
    finally:
        if by_hand.poll() is None:
            by_hand.send_signal(signal.SIGQUIT)
            by_hand.wait(30)


def test_people_in_psql_see_what_the_node_says(own_cluster, tree, tmp_path_factory):
    """CREATE EXTENSION on a primary that serves: both servers tell of their own gate, and keep doing so after a switchover."""
    stage = tmp_path_factory.mktemp("stage")
    stage.chmod(0o755)
    program.install_extension(stage)
    tree.library.unlink()
    os.link(program.installed_library(stage), tree.library)  # PostgreSQL tells a library by its file, not by its path
    cluster = own_cluster(2, binary=str(tree.binary))
    primary, standby = cluster.wait_whole(), cluster.standbys()[0]
    for name, value in program.finds_extension_in(stage).items():
        primary.admin(f"ALTER DATABASE audit SET {name} = '{value}'")
    primary.admin("CREATE EXTENSION pgkeel", "audit")

    def fence(node):
        text = node.admin("SELECT open, epoch, library_version, problem FROM pgkeel.fence()", "audit")
        opened, epoch, version, problem = text.split("|")
        return opened == "t", int(epoch), version, problem

    def told(leader):
        if not fence(leader)[0] or fence(leader)[1] != cluster.epoch():
            raise NotYet(f"{leader.name} says {fence(leader)}")
        return True

    wait_for(lambda: told(primary), 30, "the primary's gate is open, for the epoch that its node tells", cluster.describe)
    wait_for(lambda: fence(standby)[0] is False, 30, "the standby's gate is shut", cluster.describe)
    assert fence(primary)[2:] == ("0.1.0", "")
    assert fence(standby)[2] == "0.1.0" and "allowed this server to accept writes" in fence(standby)[3]
    monitor = "SELECT sync_state, level, standby FROM pgkeel.replication_monitor"
    wait_for(lambda: primary.admin(monitor, "audit") == f"quorum|LOW|{standby.identity()['node']}", 30, "the standby is in the view",
             lambda: primary.admin(monitor, "audit"))
    primary.ok("switchover", "--to", standby.name, "--yes")
    assert cluster.primary(60, other_than=primary) is standby
    cluster.wait_whole(120)
    wait_for(lambda: told(standby), 30, "the new primary's gate is open", cluster.describe)
    wait_for(lambda: fence(primary)[0] is False, 30, "the old one's is shut", cluster.describe)
