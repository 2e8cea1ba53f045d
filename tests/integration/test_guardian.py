"""F3 alone: clusters in async mode whose servers have no fence inside, so that only the guardian ends a primary whose
agent cannot. Writers at every node; nobody may acknowledge on the old primary what came after another leader's first."""
import contextlib
import pathlib
import shutil
import signal
import tempfile
import time

import pytest

import audit as auditing
import hinder
import processes
import program
import words
from cluster import Cluster
from sharing import shared
from waiting import NotYet, wait_for


@pytest.fixture(scope="module")
def bare_program():
    """The program alone: the library lies beside the build, and is not found from here."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pgkeel-bare-"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    yield shutil.copy2(program.pgkeel(), folder / "bin" / "pgkeel")
    shutil.rmtree(folder)


holder = shared(lambda request: Cluster(3, mode="async", binary=request.getfixturevalue("bare_program")))


@pytest.fixture
def bare(holder):
    return holder.get()


class Timed(auditing.Writer):
    """Knows when it began what was acknowledged, and when it was told."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.times = []

    def insert(self, connection):
        begun = time.monotonic()
        if not super().insert(connection):
            return False
        self.times.append((begun, time.monotonic()))
        return True


def writers(cluster):
    return {node: Timed(cluster.next_writer(), lambda node=node: node.connect(target_session_attrs="read-write"))
            for node in cluster.data_nodes()}


def server_is_gone(node):
    return not [pid for pid in processes.pids() if processes.working_directory(pid) == str(node.directory / "data")
                and processes.alive(pid)]


@contextlib.contextmanager
def agent_killed_under_a_hung_tree(node):
    """Nobody starts another agent."""
    with hinder.stopped(node.root_pid()):
        processes.send(node.inner("agent"), signal.SIGKILL)
        yield


@contextlib.contextmanager
def tree_killed(node):
    """The agent dies with it; the guardian goes on until its work is done."""
    guardian, process = node.inner("guardian"), node.process
    process.kill()
    process.wait(20)
    yield
    wait_for(lambda: not processes.alive(guardian), 30, "the guardian ends when nothing is left to guard")


@contextlib.contextmanager
def guardian_killed_then_agent_stopped(node):
    """The next guardian finds the words armed, and nobody who renews them."""
    guardian, agent = node.inner("guardian"), node.inner("agent")
    processes.send(guardian, signal.SIGKILL)
    with hinder.stopped(agent):
        yield


@contextlib.contextmanager
def guardian_and_agent_stopped(node):
    """One misfortune for both: the tree notices that its guardian does not beat, and replaces it."""
    guardian = node.inner("guardian")
    with hinder.stopped(guardian, node.inner("agent")):
        yield
        assert not processes.alive(guardian), "the hung guardian was not killed"


HUNG = {
    "agent stopped": lambda node: hinder.stopped(node.inner("agent")),
    "agent frozen": lambda node: hinder.frozen(node.inner("agent")),
    "agent starved": lambda node: hinder.starved(node.inner("agent")),
    "agent killed, tree stopped": agent_killed_under_a_hung_tree,
    "agent and postmaster stopped": lambda node: hinder.stopped(node.inner("agent"), node.postmaster()),
    "all of the server stopped": lambda node: hinder.stopped(node.inner("agent"), node.postmaster(),
                                                             *processes.descendants(node.postmaster())),
    "tree killed": tree_killed,
    "guardian killed, agent stopped": guardian_killed_then_agent_stopped,
    "guardian and agent stopped": guardian_and_agent_stopped,
}


@pytest.mark.parametrize("case", HUNG)
def test_row_4_nobody_renews(bare, case):
    """The lease runs out on a primary that knows nothing of it. Its server dies, every process of it, before another
    node's acknowledges anything; nothing is on two histories; the node comes back as a standby."""
    old = bare.wait_whole(90)
    timed = writers(bare)
    with auditing.Load(list(timed.values())) as load:
        bare.wait_writes(load)
        with HUNG[case](old):
            wait_for(lambda: server_is_gone(old), 60, "the old primary's server is dead", bare.describe)
            bare.primary(other_than=old)
            bare.wait_writes(load)
        first_elsewhere = min(told for node, writer in timed.items() if node is not old for _, told in writer.times)
        late = [begun for begun, _ in timed[old].times if begun > first_elsewhere]
        assert not late, f"{len(late)} writes were acknowledged by {old.name} after another node's first"
    bare.audit(load, lost_max=10_000)


def test_status_says_whether_the_guardian_is_on_duty(bare):
    primary = bare.wait_whole(90)
    seen = words.read(primary.directory)
    assert seen.guardian == primary.inner("guardian") and seen.armed
    for node in bare.data_nodes():
        bare.wait_status(node, lambda status: status["guardian"].startswith("on duty"), f"the guardian of {node.name}")


def test_an_asynchronous_leader_without_a_guardian_gives_its_office_up(bare):
    """The root of its tree hangs, so nobody replaces the guardian. If the agent hung now, two primaries would answer."""
    old = bare.wait_whole(90)
    with hinder.stopped(old.root_pid()):
        processes.send(old.inner("guardian"), signal.SIGKILL)
        bare.wait_status(old, lambda status: status["guardian"].startswith("silent"), "the missing guardian")
        bare.primary(other_than=old)
        bare.wait_status(old, lambda status: status["leader"] != old.name, "it follows another")
    assert "nothing would end this server if the agent hung" in old.story()
    bare.wait_whole(90)


def test_a_hung_agent_is_replaced(bare):
    """It stays stopped for ever, and the node comes back all the same."""
    old = bare.wait_whole(90)
    agent = old.inner("agent")
    processes.send(agent, signal.SIGSTOP)
    wait_for(lambda: old.inner("agent") != agent, 60, "another agent", bare.describe)
    assert not processes.alive(agent)
    bare.wait_whole(90)


def test_the_guardian_stays_while_the_node_is_being_stopped(bare):
    """It is killed while its node hands over and stops PostgreSQL: the words are armed then, so another one comes."""
    node = bare.wait_whole(90)
    guardian = node.inner("guardian")
    # A shutdown that waits: a standby which does not take the last WAL.
    receivers = [pid for one in bare.standbys() for pid in one.backends("walreceiver")]
    with hinder.stopped(*receivers):
        process = node.process
        process.send_signal(signal.SIGTERM)
        processes.send(guardian, signal.SIGKILL)

        def another():
            found = node.inner("guardian")
            if found == guardian:
                raise NotYet("the same guardian")
            return found

        wait_for(another, 20, "another guardian", bare.describe)
    process.wait(90)
    assert process.returncode == 0, bare.describe()
    node.process = None
    assert server_is_gone(node)
    bare.wait_whole(90)
