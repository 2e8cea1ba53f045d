"""Rows 6 to 13: machines that vanish or stand still, and wires that lose packets."""
import time

from incident import Shape, incident
from waiting import wait_for
from world import acknowledged_by, whole_and_idle

FOUR_VOTERS = Shape(witness=1)


@incident(6, "0.9 / 1.8 s", figure=True)
def host_off(world):
    """Row 6. The primary's machine loses its power. No reset and no farewell reaches anybody, only silence, and its disk
    keeps nothing that was not synced. The others suspect and elect; the machine boots later and follows.
    """
    old, _ = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        old.power_cut()
        world.primary(other_than=old)
        world.wait_writes(load)
        old.power_on()
    world.audit(load)


@incident(7, "the pause", figure=True)
def short_pause(world):
    """Row 7. The primary's virtual machine is moved to another host and stands still for a third of a second, less than the
    four heartbeats that make a suspicion. Nothing changes.
    """
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        old.pause()
        time.sleep(0.3)  # the length of the pause is the incident
        old.resume()
        world.wait_writes(load)
    world.audit(load)
    assert world.epoch() == epoch and world.primary() is old, f"a pause of 0.3 s moved the primary{world.describe()}"


@incident(8, "0.9 / 1.8 s", figure=True)
def long_pause(world):
    """Row 8. The primary's virtual machine stands still for so long that the others elect. Then it goes on, with its clients'
    commits under way: none of them may be acknowledged, its server is killed, and the node follows.
    """
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        old.pause()
        others = [node for node in world.data_nodes() if node is not old]
        wait_for(lambda: any(node.get("/primary")[0] == 200 for node in others), 60, "another primary", world.describe)
        world.wait_writes(load)
        old.resume()
        world.primary(other_than=old)
        world.wait_writes(load)
    world.audit(load)
    assert world.epoch() > epoch


@incident(10, "0.9 / 1.8 s", shape=FOUR_VOTERS, figure=True)
def cut_from_the_voters(world):
    """Row 10. Of three data nodes and a witness the primary reaches one standby only. That standby could acknowledge its
    commits, but two of four voters are no majority: the standby hears of the new epoch and cuts itself off first.
    """
    old, epoch = whole_and_idle(world)
    reached = world.standbys()[0]
    with world.load() as load:
        world.wait_writes(load)
        for node in world.nodes:
            if node not in (old, reached):
                world.note(f"{old.name} and {node.name} lose each other")
                world.network.part(old.host, node.host)
        elected_beside(world, old)
        before = acknowledged_by(load, old)
        world.wait_writes(load, 100)
        assert acknowledged_by(load, old) == before, "the cut primary goes on acknowledging"
    world.audit(load)
    assert world.epoch() > epoch


def one_way(world, describe, lose):
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        world.note(describe.format(old.name))
        for node in world.nodes:
            if node is not old:
                lose(old.host, node.host)
        elected_beside(world, old)
        world.wait_writes(load, 100)
    world.audit(load)
    assert world.epoch() > epoch


def elected_beside(world, old):
    """Another node leads, whatever the old primary, which may see nothing of it, believes of itself."""
    others = [node for node in world.data_nodes() if node is not old]
    wait_for(lambda: any(node.get("/primary")[0] == 200 for node in others), 60, "another primary", world.describe)


@incident(11, "0.9 / 1.8 s", variant="sends", figure=True)
def deaf_others(world):
    """Row 11. A broken transceiver: what the primary sends to the other nodes is lost, what they send arrives. It hears that
    everybody is well and is heard by nobody.
    """
    one_way(world, "nothing that {} sends reaches another node", world.network.lose)


@incident(11, "0.9 / 1.8 s", variant="receives", figure=True)
def deaf_primary(world):
    """Row 11. A broken transceiver the other way: the primary is heard by all and hears nobody."""
    one_way(world, "nothing that is sent to {} arrives", lambda old, other: world.network.lose(other, old))


@incident(12, "2.2 s", variant="one of two standbys", figure=True)
def link_to_one_standby(world):
    """Row 12. The wire between the primary and one of two standbys is cut; everybody else reaches both. The other standby
    acknowledges, the cut one leaves the sync set, and nobody is elected: two of three voters hear the leader.
    """
    old, epoch = whole_and_idle(world)
    cut = world.standbys()[0]
    with world.load() as load:
        world.wait_writes(load)
        world.note(f"{old.name} and {cut.name} lose each other")
        world.network.part(old.host, cut.host)
        world.wait_status(old, lambda status: cut.name not in status["sync_names"], f"{cut.name} is evicted")
        world.wait_writes(load, 100)
    world.audit(load)
    assert world.epoch() == epoch and world.primary() is old, f"a cut wire moved the primary{world.describe()}"


@incident(12, "2.2 s", variant="the only standby", modes=("quorum",), shape=Shape(nodes=2, witness=1), figure=True)
def link_to_the_only_standby(world):
    """Row 12. Two data nodes and a witness; the wire between the two is cut, the witness reaches both. The leader keeps the
    lease with the witness's vote, records that nobody may replace it, and goes on alone until the wire is mended.
    """
    old, epoch = whole_and_idle(world)
    standby = world.standbys()[0]
    with world.load() as load:
        world.wait_writes(load)
        world.note(f"{old.name} and {standby.name} lose each other")
        world.network.part(old.host, standby.host)
        world.wait_status(old, lambda status: status["sync_names"] == [old.name], "S = {leader}")
        world.wait_writes(load, 100)
    world.audit(load)
    assert world.epoch() == epoch and world.primary() is old


@incident(13, "0", variant="loss", figure=True)
def lossy_network(world):
    """Row 13. For twenty seconds every third packet between the nodes is lost. Nobody is elected."""
    noisy(world, lambda old: lossy(world, 20))


@incident(13, "0", variant="latency", figure=True)
def slow_network(world):
    """Row 13. The primary's port is congested, what comes to it waits in a queue, and once it is not heard for half a second. All
    of it is less than a lease: nobody is elected.
    """
    noisy(world, lambda old: slow(world, old))


def noisy(world, noise):
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        noise(old)
        world.network.heal_all()
        world.wait_writes(load)
    world.audit(load)
    assert world.epoch() == epoch, f"noise moved the primary{world.describe()}"


def lossy(world, seconds, percent=30):
    world.note(f"{percent} % of all packets between the nodes are lost")
    world.network.lose_everywhere(percent)
    time.sleep(seconds)  # here and below the length is the incident


def slow(world, node):
    world.note(f"{node.name}'s port is congested")
    world.network.congest(node.host)
    time.sleep(8)
    world.note(f"{node.name} is not heard for half a second")
    world.network.cut(node.host)
    time.sleep(0.5)
    world.network.heal(node.host)
    time.sleep(3)
