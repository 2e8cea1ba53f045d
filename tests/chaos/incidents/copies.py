"""Rows 21 and 38: too old a record, and too old a copy."""
import shutil

import processes
import signal
from incident import Shape, incident
from waiting import NotYet, wait_for
from world import whole_and_idle


@incident(21, "0", variant="etcd", modes=("quorum",), shape=Shape(etcd=True))
def etcd_from_an_old_copy(world):
    """Row 21. Somebody restores etcd's data from a copy that is older than the last failover. Every node knows a newer epoch: the
    old record is refused and named as trouble, the primary leads on, and nobody is elected out of it.
    """
    first = world.wait_whole()
    data, copy = world.root / "etcd", world.root / "etcd.copy"
    world.etcd.kill()
    shutil.copytree(data, copy)
    world.etcd.start()
    world.wait_whole()
    first.ok("switchover", "--yes")
    leader, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        world.note("etcd's data is replaced by a copy from before the last change of the leader")
        world.etcd.kill()
        newest = data.rename(world.root / "etcd.newest")
        shutil.copytree(copy, data)
        world.etcd.start()
        world.wait_status(leader, lambda status: status["store_trouble"], "the old record is named as trouble")
        world.wait_writes(load, 300)
        assert world.primary() is leader
        world.note("the newest data is put back")
        world.etcd.kill()
        shutil.rmtree(data)
        newest.rename(data)
        world.etcd.start()
        world.wait_status(leader, lambda status: not status["store_trouble"], "the trouble is over")
    world.audit(load)
    assert world.epoch() == epoch and world.primary() is leader
    shutil.rmtree(copy)


@incident(21, "0", variant="register", modes=("quorum",))
def register_from_an_old_copy(world):
    """Row 21. A standby's part of the register is restored from an old copy, and the other's is wiped. Neither may break a promise
    that it forgot: two of three voters that remember nothing of the last epoch must not undo it.
    """
    first = world.wait_whole()
    old_one, wiped = world.standbys()
    old_one.terminate()
    copy = world.root / "acceptor.copy"
    shutil.copy2(old_one.directory / "state" / "acceptor", copy)
    world.wait_whole()
    first.ok("switchover", "--to", wiped.name, "--yes")
    world.wait_whole()
    wiped.ok("switchover", "--to", first.name, "--yes")
    leader, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        for node in (old_one, wiped):
            node.kill()
            file = node.directory / "state" / "acceptor"
            if node is wiped:
                world.note(f"{node.name}: its part of the register is wiped")
                file.unlink()
            else:
                world.note(f"{node.name}: its part of the register comes from an old copy")
                with open(file, "r+b") as acceptor:
                    acceptor.write(copy.read_bytes())
            node.start()
            wait_for(lambda node=node: node.running() and node.status()["epoch"] == epoch, 60,
                     f"{node.name} knows the epoch again", world.describe)
            world.wait_writes(load)
    world.audit(load)
    assert world.epoch() == epoch and world.primary() is leader


@incident(38, "by design", modes=("quorum",), shape=Shape(witness=2))
def only_the_stale_standby_is_left(world):
    """Row 38. One standby has fallen far behind, out of the sync set. Then the only up-to-date standby and the primary die together.
    Three of five voters are left, a majority, but none of them has the last commits: the cluster is blocked, says whom it
    waits for, and leads nobody. When the up-to-date standby returns, it leads, and nothing is lost.
    """
    old, epoch = whole_and_idle(world)
    fresh, stale = world.standbys()
    with world.load() as load:
        world.wait_writes(load)
        for pid in stale.backends("walreceiver"):
            stale.stop_process(pid, "its WAL receiver")
        world.wait_status(old, lambda status: stale.name not in status["sync_names"], f"{stale.name} is evicted")
        world.wait_writes(load)
        world.note(f"{old.name} and {fresh.name} die together")
        for pid in old.all_pids() | fresh.all_pids():
            processes.send(pid, signal.SIGKILL)
        old.kill()
        fresh.kill()
        stale.heal()
        status = world.wait_status(stale, lambda status: status["blocked"], "blocked")
        assert fresh.name in status["verdict"] + status["reason"] or old.name in status["verdict"] + status["reason"], status
        refused = stale.keel("failover", "--yes")
        assert refused.returncode == 3, refused.stdout + refused.stderr
        assert not stale.is_primary()
        fresh.start()

        def leads():
            if fresh.get("/primary")[0] != 200:
                raise NotYet(f"{fresh.name} does not lead")
            return True

        wait_for(leads, 60, f"{fresh.name} leads", world.describe)
        world.wait_writes(load)
    world.audit(load)
    assert world.epoch() > epoch
