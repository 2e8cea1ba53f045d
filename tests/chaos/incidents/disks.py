"""Rows 22 to 24, 26 and 28: disks that stall, fill up, fail, and lose what was not synced."""
import time

from incident import incident
from waiting import wait_for
from world import whole_and_idle


@incident(22, "2..5 s", figure=True)
def primary_stalls(world):
    """Row 22. The primary's disk takes no more writes: every fsync hangs, nothing reports an error, and the lease, which needs no
    disk, goes on. The leader notices that its own writes do not come back, sees that another could do better, and steps
    down. Later the disk goes on as if nothing had been.
    """
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        world.note(f"{old.name}: its disk stalls")
        old.disk.freeze()
        wait_for(lambda: leads(world, old), 60, "another primary", world.describe)
        world.wait_writes(load)
        world.note(f"{old.name}: its disk goes on")
        old.disk.thaw()
        world.wait_writes(load)
    world.audit(load)
    assert world.epoch() > epoch


def leads(world, old):
    return any(node.get("/primary")[0] == 200 for node in world.data_nodes() if node is not old)


@incident(23, "0.4..1 s", figure=True)
def disk_full(world):
    """Row 23. Somebody's dump fills the primary's disk to the last kilobyte. The ballast is given up first; then the primary is
    moved while the server still runs, or at the latest when it panics. Clients write on elsewhere. The dump is removed, and
    the node follows.
    """
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        world.note(f"{old.name}: its disk is full")
        old.disk.fill()
        end = time.monotonic() + 90
        while not leads(world, old):
            assert time.monotonic() < end, f"nobody took over from a full disk{world.describe()}"
            old.disk.fill()  # the space that a ballast file leaves is taken too
        world.wait_writes(load)
        world.note(f"{old.name}: the dump is removed")
        old.disk.empty()
        world.wait_writes(load)
    world.audit(load)
    assert world.epoch() > epoch


def io_error(world, how, text):
    old, epoch = whole_and_idle(world)
    with world.load() as load:
        world.wait_writes(load)
        world.note(f"{old.name}: {text}")
        how(old.disk)
        wait_for(lambda: leads(world, old), 60, "another primary", world.describe)
        world.wait_writes(load)
    world.audit(load)
    assert world.epoch() > epoch


@incident(24, "0.4 s", variant="EIO", figure=True)
def disk_fails(world):
    """Row 24. The primary's disk controller dies: every read and write gives EIO. PostgreSQL panics, or hangs on to what it has in
    memory; the node gives up either way, and another leads. With its disk back, the node follows.
    """
    io_error(world, lambda disk: disk.fail(), "its disk gives EIO for everything")


@incident(24, "0.4 s", variant="read-only", figure=True)
def file_system_turns_read_only(world):
    """Row 24. The kernel finds an error in the primary's file system and turns it read-only, as `errors=remount-ro` asks."""
    io_error(world, lambda disk: disk.turn_read_only(), "its file system turns read-only")


@incident(26, "0", figure=True)
def standby_stalls(world):
    """Row 26. A standby's disk stalls. The other one acknowledges; the stalled one leaves the sync set and would be no candidate.
    When its disk goes on, it comes back.
    """
    old, epoch = whole_and_idle(world)
    victim = world.standbys()[0]
    with world.load() as load:
        world.wait_writes(load)
        world.note(f"{victim.name}: its disk stalls")
        victim.disk.freeze()
        world.wait_status(old, lambda status: victim.name not in status["sync_names"], f"{victim.name} is evicted")
        world.wait_writes(load, 100)
        world.note(f"{victim.name}: its disk goes on")
        victim.disk.thaw()
    world.audit(load)
    assert world.epoch() == epoch and world.primary() is old


def power_loss(world, order):
    old, _ = whole_and_idle(world)
    standbys = world.standbys()
    with world.load() as load:
        world.wait_writes(load)
        for node in world.nodes:
            node.power_cut()
        if order == "without":
            for node in standbys:
                node.power_on()
            world.primary(other_than=old)
            world.wait_writes(load)
            old.power_on()
        else:
            for node in [old, *standbys] if order == "first" else [*standbys, old]:
                node.power_on()
        world.primary()
        world.wait_writes(load)
    world.audit(load)


@incident(28, "boot + 1 s", variant="old primary first")
def power_loss_first(world):
    """Row 28. The whole rack loses power while everybody writes, and what was not synced is gone everywhere. The old primary boots
    first. Whoever has the last acknowledged commit leads.
    """
    power_loss(world, "first")


@incident(28, "boot + 1 s", variant="old primary last")
def power_loss_last(world):
    """Row 28. The whole rack loses power; the old primary boots last."""
    power_loss(world, "last")


@incident(28, "boot + 1 s", variant="without the old primary", modes=("quorum",))
def power_loss_without(world):
    """Row 28. The whole rack loses power; the old primary comes back only after another one leads."""
    power_loss(world, "without")
