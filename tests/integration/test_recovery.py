"""Power cuts, interrupted repairs, and nodes that are there twice."""
import os
import re
import shutil
import signal

import pytest

import processes
from waiting import NotYet, wait_for


def power_cut(cluster):
    """Every process of every node at once, primaries' trees first or last as the pids fall."""
    for pid in sorted({pid for node in cluster.nodes for pid in node.all_pids()}):
        processes.send(pid, signal.SIGKILL)
    for node in cluster.nodes:
        node.kill()


@pytest.mark.parametrize("order", ["old primary first", "old primary last", "without the old primary"])
def test_row_28_power_loss_of_all(three, order):
    """Row 28. The whole rack loses power while everybody writes; the nodes come back in any order.

    Whoever has the last acknowledged commit leads, whichever node boots first.
    """
    old = three.wait_whole()
    standbys = three.standbys()
    with three.load() as load:
        three.wait_writes(load)
        power_cut(three)
        sequence = [old, *standbys] if order == "old primary first" else [*standbys, old]
        for node in sequence:
            if node is old and order == "without the old primary":
                three.primary(other_than=old)
                three.wait_writes(load)
            node.start()
        three.primary()
        three.wait_writes(load)
    three.audit(load)


def wait_marker_and_kill(cluster, node, word):
    """Kills the node's whole tree in the middle of the work that its marker file names."""
    marker = node.directory / "unfinished"

    def seen():
        text = marker.read_text()
        return word in text and (word != "clone" or (node.directory / "data.new" / "base").exists())

    for _ in range(3):
        wait_for(seen, 60, f"{node.name} begins its {word}", cluster.describe)
        node.kill()
        if marker.exists():
            return marker
    raise AssertionError(f"the {word} of {node.name} was always faster than the kill{cluster.describe()}")


def slow_clones(node, kbytes):
    """0: as fast as it goes. Takes effect with the node's next start."""
    node.edit_config("postgres", "clone_rate_kbytes_max", kbytes)


def test_row_30_rewind_killed_half_way(three):
    """Row 30. A diverged node loses power in the middle of its pg_rewind. Its directory is neither old nor new: the marker
    says so, the directory is never started, and the node is cloned.
    """
    old = three.wait_whole()
    with three.load() as load:
        three.wait_writes(load)
        old.diverge()
        three.primary(other_than=old)
        old.start()
        marker = wait_marker_and_kill(three, old, "rewind")
        since = len(old.story())
        old.start()
        three.wait_whole(90)
    three.audit(load)
    assert not marker.exists()
    assert "clone" in old.story()[since:], "a half-rewound directory was not cloned" + three.describe()


def test_row_30_clone_killed_half_way(three):
    """Row 30. A node that is being cloned loses power in the middle. It begins the clone anew; the old directory was
    not touched before the new one was complete.
    """
    primary = three.wait_whole()
    victim = three.standbys()[0]
    victim.terminate()
    slow_clones(victim, 4000)
    three.wait_whole()
    with three.load() as load:
        three.wait_writes(load)
        primary.ok("reinit", victim.name, "--yes")
        marker = wait_marker_and_kill(three, victim, "clone")
        slow_clones(victim, 0)
        victim.start()
        three.wait_whole(90)
    three.audit(load)
    assert not marker.exists()
    assert not (victim.directory / "data.new").exists()


def test_row_37_source_of_a_clone_dies(three):
    """Row 37. While a node is cloned from a standby, that standby dies. The clone begins again from another source."""
    primary = three.wait_whole()
    victim, source = three.standbys()
    victim.terminate()
    slow_clones(victim, 4000)
    primary.ok("tag", victim.name, f"clonefrom={source.name}")
    three.wait_whole()
    with three.load() as load:
        three.wait_writes(load)
        primary.ok("reinit", victim.name, "--yes")
        marker = victim.directory / "unfinished"

        def cloning_from():
            text = marker.read_text()
            return re.search(r"clone from ([\d.]+)", text)[1] if (victim.directory / "data.new").exists() else None

        address = wait_for(cloning_from, 60, f"{victim.name} begins its clone", three.describe)
        dying = next(node for node in three.nodes if node.address == address)
        dying.kill()
        slow_clones(victim, 0)
        others = [node for node in three.data_nodes() if node not in (dying, victim)]

        def streams():
            uuid = victim.identity()["node"]
            for node in others:
                if node.sql("SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'", uuid):
                    return True
            raise NotYet(f"{victim.name} does not stream")

        wait_for(streams, 120, f"{victim.name} is cloned without {dying.name}", three.describe)
    three.audit(load)
    assert dying is source, f"clonefrom={source.name} was not followed: the source was {dying.name}"
    primary.ok("tag", victim.name, "clonefrom=")
    victim.terminate()
    three.wait_whole()


def test_row_35_copied_directory(three):
    """Row 35. Somebody copies a node's directory to a new machine to save the clone, and starts both.

    The second one is refused with a clear text, and the first one goes on as if nothing had happened.
    """
    primary = three.wait_whole()
    original = three.standbys()[0]
    epoch = three.epoch()
    copy = three.add_node("copy")
    three.nodes.remove(copy)  # never a member: whole() must not wait for it
    three.extras.append(copy)
    with three.load() as load:
        three.wait_writes(load)
        shutil.copytree(original.directory, copy.directory, symlinks=True,
                        ignore=shutil.ignore_patterns("postmaster.pid", "*.sock", ".s.PGSQL*"))
        own_like(original.directory, copy.directory)
        config = copy.directory / "node.toml"
        config.write_text(config.read_text().replace(original.address, copy.address)
                          .replace(str(original.directory), str(copy.directory)))
        copy.start()
        wait_for(lambda: "same" in copy.story() or "copied" in copy.story() or "twice" in copy.story()
                 or "another process" in copy.story(), 30, "the copy says what is wrong", three.describe)
        three.wait_writes(load)
        assert original.running() and three.primary() is primary
        copy.kill()
    three.audit(load)
    assert three.epoch() == epoch


def own_like(original, copied):
    """A copy as `cp -a` makes it."""
    for folder, folders, files in os.walk(copied):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            twin = os.path.join(original, os.path.relpath(path, copied))
            try:
                status = os.lstat(twin)
            except FileNotFoundError:
                continue
            os.lchown(path, status.st_uid, status.st_gid)


def test_row_35_second_node_with_the_same_name(three):
    """Row 35. Two administrators join a machine each, under the same name. The second one is refused and leaves no trace."""
    three.wait_whole()
    name = three.standbys()[0].name
    twin = three.add_node("twin")
    three.nodes.remove(twin)
    three.extras.append(twin)
    token = three.fresh_token()
    twin.name = name
    done = three.try_join(twin, token=token)
    twin.name = "twin"
    assert done.returncode != 0
    assert name in done.stderr and "--name" in done.stderr, done.stderr
    assert not (twin.directory / "identity.json").exists()
    three.wait_whole()
