"""The life of a cluster: members come and go, and what operators do in between."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.parse

import pytest

from network import PORTS
from waiting import NotYet, wait_for


@pytest.fixture
def shop(three):
    return three


def test_join_and_leave_under_load(shop):
    """A fourth node joins with a token while everybody writes, streams, acknowledges, and leaves again in order.

    It does not vote: the number of voters stays odd.
    """
    shop.wait_whole()
    shop.token = shop.fresh_token()
    new = shop.add_node("dora")
    with shop.load() as load:
        shop.wait_writes(load)
        shop.join(new).start()
        primary = shop.wait_whole(90)
        status = primary.status()
        assert shop.member(status, "dora")["in_sync_set"] and status["voters"] == 3
        late = shop.add_node("late")
        shop.nodes.remove(late)
        shop.extras.append(late)
        refused = shop.try_join(late)
        assert refused.returncode != 0 and "token" in refused.stderr, f"its one use is gone: {refused.stderr}"
        assert "mend: " in refused.stderr and not (late.directory / "identity.json").exists()
        shop.wait_writes(load)
        new.ok("leave", "--yes", seconds=90)

        def gone():
            names = [member["name"] for member in shop.primary().status()["members"]]
            if "dora" in names:
                raise NotYet(f"members: {names}")
            return True

        wait_for(gone, 60, "dora has left", shop.describe)
        shop.wait_writes(load)
        new.kill()
        shop.nodes.remove(new)
        shop.extras.append(new)
    shop.audit(load)
    slots = shop.primary().value("SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical'")
    assert slots == 2, "the slot of the member that left holds WAL for ever"


SLOW_DISK = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
int fsync(int file) { usleep(200000); return syscall(SYS_fsync, file); }
"""


def test_ctrl_c_while_a_node_joins(shop, tmp_path_factory):
    """Once the cluster has it as a member, the node is made to its end. Its disk is slow, so that there is a moment between."""
    shop.wait_whole()
    slow = tmp_path_factory.mktemp("slow")
    for folder in (slow, slow.parent, slow.parent.parent):
        folder.chmod(0o755)
    (slow / "slow.c").write_text(SLOW_DISK)
    subprocess.run(["clang-19", "-shared", "-fPIC", "-o", slow / "slow.so", slow / "slow.c"], check=True)
    for number in range(2):
        node = shop.add_node(f"hasty{number}")
        shop.nodes.remove(node)
        shop.extras.append(node)
        words = ["join", f"{shop.any_running().address}:{PORTS['api']}", "--token", shop.fresh_token(), *node.place_options()]
        join = subprocess.Popen(node.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True, env={**os.environ, "LD_PRELOAD": str(slow / "slow.so")})
        primary = shop.primary()
        members = lambda: [member["name"] for member in primary.status()["members"]]  # noqa: E731
        wait_for(lambda: node.name in members(), 30, f"{node.name} is a member", shop.describe)
        os.killpg(join.pid, signal.SIGINT)
        join.wait(30)
        wait_for(lambda: (node.directory / "identity.json").exists() and not (node.directory / "setup-unfinished").exists(), 10,
                 f"{node.name} is made", lambda: str(list(node.directory.iterdir())))
        node.start()
        shop.wait_status(primary, lambda status: shop.member(status, node.name)["streaming"], f"{node.name} streams", 60)
        node.ok("leave", "--yes", seconds=90)
        node.kill()
    shop.wait_whole()


def test_join_with_an_expired_token(shop):
    """Yesterday's token, today's machine."""
    shop.wait_whole()
    node = shop.add_node("later")
    shop.nodes.remove(node)
    shop.extras.append(node)
    token = shop.fresh_token("--valid", "1s")
    made = time.monotonic()
    wait_for(lambda: time.monotonic() - made > 1.2, 5, "the token's time is over")
    done = shop.try_join(node, token=token)
    assert done.returncode != 0 and "expired" in done.stderr and "mend: " in done.stderr, done.stderr
    assert not (node.directory / "data").exists()


def test_reinit(shop):
    """A standby's disk is suspect; the operator has it cloned anew. Without --yes nothing happens."""
    primary = shop.wait_whole()
    victim = shop.standbys()[0]
    inode = (victim.directory / "data").stat().st_ino
    refused = primary.keel("reinit", victim.name)
    assert refused.returncode in (2, 3) and "--yes" in refused.stderr and victim.name in refused.stderr, refused.stderr
    with shop.load() as load:
        shop.wait_writes(load)
        primary.ok("reinit", victim.name, "--yes")
        wait_for(lambda: (victim.directory / "data").stat().st_ino != inode, 60, "a new data directory", shop.describe)
        shop.wait_whole()
    shop.audit(load)
    refused = primary.keel("reinit", primary.name, "--yes")
    assert refused.returncode != 0 and "leader" in refused.stderr, refused.stderr


def test_mode_changes_under_load(shop):
    """quorum, strict, async and back while everybody writes: no window in which a commit is acknowledged by too few."""
    primary = shop.wait_whole()
    with shop.load() as load:
        for mode in ("strict", "async", "quorum", "async", "strict", "quorum"):
            shop.wait_writes(load)
            primary.ok("config", "set", "mode", mode)

            def in_force():
                status = primary.status()
                names = primary.value("SHOW synchronous_standby_names")
                if status["sync"]["mode"] != mode or (names == "") != (mode == "async"):
                    raise NotYet(f"{status['sync']} {names!r}")
                return True

            wait_for(in_force, 30, f"mode {mode} in force", shop.describe)
        shop.wait_whole()
        shop.wait_writes(load)
        primary.kill()  # right behind the last change
        shop.primary(other_than=primary)
        shop.wait_writes(load)
    shop.audit(load)


def test_two_standbys_must_acknowledge(shop):
    """W raised to 2 under load: the setting, the barrier and older commits first, then the record; and back."""
    primary = shop.wait_whole()
    with shop.load() as load:
        for count in (2, 1):
            shop.wait_writes(load)
            primary.ok("config", "set", "quorum", count)
            shop.wait_status(primary, lambda status: status["sync"]["quorum"] == count, f"W = {count} recorded")
            assert primary.value("SHOW synchronous_standby_names").startswith(f"ANY {count} (")
        shop.wait_writes(load)
    shop.audit(load)


def test_config(shop):
    """Settings are shown, changed and refused; one that needs a restart says so and takes effect by a rolling restart."""
    primary = shop.wait_whole()
    assert "quorum" in primary.ok("config", "get", "mode")
    before = primary.ok("config", "get")
    for words, expected in ((("nonsense", "3"), "nonsense"), (("mode", "sometimes"), "sometimes"), (("modus", "async"), "mode"),
                            (("postgres.fsync", "off"), "fsync"), (("quorum", "0"), "1..16")):
        done = primary.keel("config", "set", *words)
        assert done.returncode == 2 and expected in done.stderr and "mend: " in done.stderr, done.stderr
    assert primary.ok("config", "get") == before
    primary.ok("config", "set", "postgres.work_mem", "7MB")
    for node in shop.data_nodes():
        wait_for(lambda: node.value("SHOW work_mem") == "7MB", 30, f"work_mem on {node.name}", shop.describe)
    said = primary.keel("config", "set", "postgres.max_connections", "123")
    assert "restart" in said.stdout + said.stderr, said
    for node in shop.data_nodes():
        shop.wait_status(node, lambda status: "max_connections" in status["pending_restart"], "a pending restart")
    with shop.load() as load:
        shop.wait_writes(load)
        primary.ok("restart", "--yes", seconds=180)
        shop.wait_whole()
        for node in shop.data_nodes():
            wait_for(lambda: node.value("SHOW max_connections") == "123", 60, f"max_connections on {node.name}",
                     shop.describe)
        shop.wait_writes(load)
    shop.audit(load)


def test_a_setting_that_only_a_start_refuses(own_cluster, tmp_path):
    """The first standby that gets it stays down and says why; the others run on; put right, the restart goes on by itself."""
    cluster = own_cluster(2)
    primary = cluster.wait_whole()
    standby = cluster.standbys()[0]
    primary.ok("config", "set", "postgres.shared_preload_libraries", "no_such_library")
    said = tmp_path / "restart.txt"
    with open(said, "w") as out:
        restart = subprocess.Popen(primary.command("restart", "--yes", "--dir", primary.directory), stdout=out, stderr=out)
    try:
        cluster.wait_status(primary, lambda status: any(
            member["name"] == standby.name and "did not start" in member["problem"] and "no_such_library" in member["problem"]
            for member in status["members"]), "the status says why")
        wait_for(lambda: "waits: " in said.read_text() and "no_such_library" in said.read_text(), 30, "the command says why",
                 said.read_text)
        assert primary.is_primary() and restart.poll() is None
        primary.ok("config", "set", "postgres.shared_preload_libraries=")
        assert restart.wait(90) == 0, said.read_text()
    finally:
        if restart.poll() is None:
            restart.terminate()
            restart.wait(10)
    assert "All of them are back" in said.read_text()
    cluster.wait_whole()


def test_pause_and_resume(shop):
    """During maintenance nobody is elected, even when the primary dies; with `resume` life goes on."""
    old = shop.wait_whole()
    survivor = shop.standbys()[0]
    with shop.load() as load:
        shop.wait_writes(load)
        old.ok("pause")
        for node in shop.nodes:
            shop.wait_status(node, lambda status: status["paused"], "paused")
        epoch = shop.epoch()
        old.kill()
        # Longer than any election takes, and then some: until the survivor has not heard it for 5 s.
        shop.wait_status(survivor, lambda status: shop.member(status, old.name)["heard_ms_ago"] > 5000, "a long silence")
        assert shop.primaries() == [] and survivor.status()["epoch"] == epoch
        survivor.ok("resume")
        shop.primary(other_than=old)
        shop.wait_writes(load)
    shop.audit(load)


def test_health_endpoints(shop):
    """What HAProxy and its like ask, by GET, HEAD and OPTIONS without TLS: 200 from the right nodes, 503 from the others."""
    primary = shop.wait_whole()
    standby = shop.standbys()[0]
    answers = {path: (primary.get(path)[0], standby.get(path)[0]) for path in (
        "/primary", "/leader", "/read-write", "/master", "/replica", "/replica?lag=10MB", "/read-only", "/sync",
        "/synchronous", "/async", "/health", "/liveness", "/readiness", "/")}
    assert answers == {
        "/primary": (200, 503), "/leader": (200, 503), "/read-write": (200, 503), "/master": (200, 503),
        "/replica": (503, 200), "/replica?lag=10MB": (503, 200), "/read-only": (200, 200), "/sync": (503, 200),
        "/synchronous": (503, 200), "/async": (503, 503), "/health": (200, 200), "/liveness": (200, 200),
        "/readiness": (200, 200), "/": (200, 503)}
    for path in ("/cluster", "/history"):
        code, body = primary.get(path)
        assert code == 200 and json.loads(body), path
    assert primary.get("/nothing")[0] == 404
    # Nobody changes anything without TLS and a certificate.
    assert primary.get("/" + urllib.parse.quote("v1/switchover"))[0] in (403, 404, 405)


def test_metrics(shop):
    """/metrics is Prometheus text: every sample has a type, no series twice, and it tells the leader from the others."""
    primary = shop.wait_whole()
    sample = re.compile(r'^([a-zA-Z_:][\w:]*)(\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$')
    values = {}
    for node in shop.nodes:
        code, body = node.get("/metrics")
        assert code == 200
        types, seen = {}, set()
        for line in body.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                types[name] = kind
            elif line and not line.startswith("#"):
                found = sample.match(line)
                assert found, f"not a sample: {line!r}"
                name, labels, value = found.groups()
                float(value)
                assert re.sub(r"_(bucket|sum|count)$", "", name) in types or name in types, f"no TYPE for {name}"
                assert (name, labels) not in seen, f"twice: {line}"
                seen.add((name, labels))
                values[node.name, name] = float(value)
        assert any(name.startswith("pgkeel_") for name in types)
    leads = {node.name: value for node in shop.nodes for (name, metric), value in values.items()
             if name == node.name and metric == "pgkeel_leader"}
    assert leads == {node.name: float(node is primary) for node in shop.nodes}


def test_status_for_people_and_programs(shop):
    """Every view of the cluster works on every node, also on one that does not lead."""
    primary = shop.wait_whole()
    for node in shop.nodes:
        text = node.ok("status")
        assert primary.name in text and "fence      full" in text, text
        assert json.loads(node.ok("status", "--json"))["leader"] == primary.name
        assert all(other.name in node.ok("topology") for other in shop.nodes)
        assert node.ok("history").strip()
        assert node.ok("explain").strip()
        node.ok("doctor")


def test_destructive_commands_ask(shop):
    """leave, reinit, restart and failover say what they would do and do nothing without --yes."""
    primary = shop.wait_whole()
    standby = shop.standbys()[0]

    def wanted():
        """What these commands would have changed; the record goes on by itself, as with the phases of the last election."""
        now = standby.status()
        return now["epoch"], now["handover"], [(one["name"], one["leaving"], one["errand"]) for one in now["members"]]

    before = wanted()
    for node, words in ((standby, ["leave"]), (primary, ["reinit", standby.name]), (primary, ["failover"])):
        done = node.keel(*words)
        assert done.returncode in (2, 3), f"{words}: {done.returncode} {done.stdout}{done.stderr}"
    assert wanted() == before
    shop.wait_whole()


def test_switchover_to_nobody(shop):
    """A target that does not exist, or leads already, or is a typing error: refused with the names that there are."""
    primary = shop.wait_whole()
    for name, expected in (("nobody", "bela"), (primary.name, primary.name)):
        done = primary.keel("switchover", "--to", name, "--yes")
        assert done.returncode in (1, 2, 3) and expected in done.stderr and "mend: " in done.stderr, done.stderr
    assert shop.primary() is primary


def test_sigterm_and_start_again(shop):
    """A node is stopped by its service manager at any moment and started again: it is where it was."""
    shop.wait_whole()
    with shop.load() as load:
        for node in list(shop.nodes):
            shop.wait_writes(load)
            node.terminate()
            shop.primary()
            shop.wait_writes(load)
            shop.wait_whole()
    shop.audit(load)


def test_async_loss_is_bounded(own_cluster):
    """Row 6 in async mode. What the standbys had not received is lost, and that is all: the loss is counted, and is no
    more than what was acknowledged in the moments before the kill.
    """
    cluster = own_cluster(3, mode="async")
    old = cluster.wait_whole()
    with cluster.load() as load:
        cluster.wait_writes(load, 300)
        old.kill()
        cluster.primary(other_than=old)
        cluster.wait_writes(load)
    result = cluster.audit(load, lost_max=100)
    print(f"async mode lost {len(result.lost)} of {result.acknowledged} acknowledged writes")


def test_spare_takes_the_place_of_a_lost_member(own_cluster):
    """A standby's machine burns down at night. After the grace time the spare is cloned, votes and acknowledges in its
    place, and nobody had to get up.
    """
    cluster = own_cluster(3)
    primary, lost = cluster.wait_whole(), cluster.standbys()[0]
    primary.ok("config", "set", "spare_grace_s", "5")
    cluster.token = cluster.fresh_token()
    spare = cluster.add_node("spare")
    cluster.join(spare, "--spare").start()
    cluster.wait_status(primary, lambda status: cluster.member(status, "spare")["role"] == "spare", "a spare is there")
    with cluster.load() as load:
        cluster.wait_writes(load)
        lost.kill()
        cluster.nodes.remove(lost)
        cluster.extras.append(lost)
        cluster.wait_status(primary, lambda status: cluster.member(status, "spare")["voter"]
                            and cluster.member(status, "spare")["in_sync_set"], "the spare is in its place", 90)
        cluster.wait_writes(load)
        cluster.primary().kill()
        cluster.primary(other_than=primary)
        cluster.wait_writes(load)
    load.stop()
    rows = {row for row, in cluster.primary().sql("SELECT id FROM ledger")}
    missing = [row for writer in load.writers for row in writer.ledger.acknowledged if row not in rows]
    assert not missing and load.acknowledged() > 100
