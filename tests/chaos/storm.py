"""Several faults at once, drawn from a seed: the schedule is fixed before the first one, and printed."""
import dataclasses
import random
import time
import traceback

import psycopg

import processes
import signal
from waiting import NotYet

ROUND_SECONDS = 40


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    begin: object  # begin(world, node, other)
    end: object = None  # undone before the round's end; None: nothing to undo, or whoever is dead is started again


def on_a_living_disk(strike):
    """On a stalled disk nothing of this can be done: it would wait until somebody lets it go on, and that is us."""
    def strike_if_it_lives(world, node, other):
        if node.disk.frozen or node.disk.broken:
            raise NotYet("its disk is stalled or broken already")
        strike(world, node, other)

    return strike_if_it_lives


def kill_node(world, node, other):
    node.kill()


def kill_postmaster(world, node, other):
    node.kill_process(node.postmaster(), "the postmaster")


def kill_backend(world, node, other):
    node.kill_process(node.client_backends()[0], "one client's backend")


def kill_inner(what):
    return lambda world, node, other: node.kill_process(node.inner(what), f"the {what}")


def stop_inner(what):
    return lambda world, node, other: node.stop_process(node.inner(what), f"the {what}")


def stop_postmaster(world, node, other):
    node.stop_process(node.postmaster(), "the postmaster")


def go_on(world, node, other):
    for pid in node.stopped:
        processes.send(pid, signal.SIGCONT)
    node.stopped.clear()


def start(world, node, other):
    if not node.running():
        node.start()


def power_cut(world, node, other):
    node.power_cut()


def power_on(world, node, other):
    world.network.heal(node.host)
    start(world, node, other)


def pull_plug(world, node, other):
    node.pull_plug()


def plug_in(world, node, other):
    world.note(f"{node.name}: its network port works again")
    world.network.heal(node.host)


def part(world, node, other):
    world.note(f"{node.name} and {other.name} lose each other")
    world.network.part(node.host, other.host)


def one_way(world, node, other):
    world.note(f"what {node.name} sends to {other.name} is lost")
    world.network.lose(node.host, other.host)


def lose_some(world, node, other):
    world.note("30 % of all packets between the nodes are lost")
    world.network.lose_everywhere(30)


def mend_wires(world, node, other):
    world.note("the wires are whole")
    world.network.mend()


def stall(world, node, other):
    world.note(f"{node.name}: its disk stalls")
    node.disk.freeze()


def unstall(world, node, other):
    world.note(f"{node.name}: its disk goes on")
    node.disk.thaw()


def fill(world, node, other):
    world.note(f"{node.name}: its disk is full")
    node.disk.fill()


def empty(world, node, other):
    world.note(f"{node.name}: its disk has space again")
    node.disk.empty()


def fail_disk(world, node, other):
    world.note(f"{node.name}: its disk gives EIO for everything")
    node.disk.fail()


def replace_disk(world, node, other):
    node.heal()
    start(world, node, other)


def switch_over(world, node, other):
    world.note(f"switchover to {node.name} is asked for")
    other.keel("switchover", "--to", node.name, "--yes", seconds=30)


FAULTS = [
    Fault("postmaster killed", kill_postmaster), Fault("backend killed", kill_backend),
    Fault("agent killed", kill_inner("agent")), Fault("guardian killed", kill_inner("guardian")),
    Fault("agent stopped", stop_inner("agent"), go_on), Fault("postmaster stopped", stop_postmaster, go_on),
    Fault("node killed", on_a_living_disk(kill_node), start), Fault("power cut", power_cut, power_on),
    Fault("machine paused", lambda world, node, other: node.pause(), lambda world, node, other: node.resume()),
    Fault("port dead", pull_plug, plug_in), Fault("two parted", part, mend_wires), Fault("one way lost", one_way, mend_wires),
    Fault("30 % lost", lose_some, mend_wires), Fault("disk stalls", on_a_living_disk(stall), unstall),
    Fault("disk full", on_a_living_disk(fill), on_a_living_disk(empty)),
    Fault("disk fails", on_a_living_disk(fail_disk), replace_disk), Fault("switchover", switch_over),
]


@dataclasses.dataclass(frozen=True)
class Stroke:
    moment: float  # seconds from the round's begin
    fault: Fault
    ends: bool
    node: int  # -1: whoever leads at that moment
    other: int
    number: int  # pairs a fault's begin with its end


def schedule(rng, nodes, seconds):
    """The strokes of a round in order. Which kinds of faults exist at all is drawn first: swarms find more than mixtures."""
    kinds = rng.sample(FAULTS, rng.randint(2, 6))
    strokes, moment, number = [], 1.0, 0
    while moment < seconds:
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            fault, node = rng.choice(kinds), rng.choice([-1, -1, *range(nodes)])
            other, begin = rng.randrange(1, nodes), moment + rng.uniform(0, 0.6)
            strokes.append(Stroke(begin, fault, False, node, other, number))
            if fault.end:
                strokes.append(Stroke(begin + rng.choice([0.3, 0.8, 2.0, 4.0, 8.0]), fault, True, node, other, number))
            number += 1
        moment += rng.uniform(1.0, 8.0)
    return sorted((stroke for stroke in strokes if stroke.moment < seconds), key=lambda stroke: stroke.moment)


def play(world, strokes, nodes):
    """Strikes at the moments drawn, as far as the machine keeps up; a fault whose object is gone by then does not happen."""
    begun, chosen = time.monotonic(), {}
    for stroke in strokes:
        time.sleep(max(0.0, begun + stroke.moment - time.monotonic()))
        if stroke.number not in chosen:
            chosen[stroke.number] = leader(world, nodes) if stroke.node < 0 else nodes[stroke.node]
        node = chosen[stroke.number]
        other = nodes[(nodes.index(node) + stroke.other) % len(nodes)]
        try:
            (stroke.fault.end if stroke.ends else stroke.fault.begin)(world, node, other)
        except (NotYet, OSError, psycopg.Error) as error:
            world.note(f"{node.name}: no {stroke.fault.name}{' end' if stroke.ends else ''}: {str(error).splitlines()[0]}")


def leader(world, nodes):
    """As a stranger sees it: the first who says so by HTTP, else the first of all."""
    for node in nodes:
        try:
            if node.get("/primary")[0] == 200:
                return node
        except OSError:
            continue
    return nodes[0]


def round_of(world, rng, number):
    nodes = world.data_nodes()
    strokes = schedule(rng, len(nodes), ROUND_SECONDS)
    kinds = sorted({stroke.fault.name for stroke in strokes})
    print(f"round {number}: {sum(not stroke.ends for stroke in strokes)} faults of {', '.join(kinds)}", flush=True)
    with world.load() as load:
        world.wait_writes(load)
        play(world, strokes, nodes)
    world.audit(load)
    result = world.outcome
    print(f"    {result.acknowledged} writes acknowledged, lost {result.lost}, unknown {result.unknown}, longest silence "
          f"{result.silence:.1f} s, whole again", flush=True)


def run(stage, mode, seed, minutes):
    seed = random.SystemRandom().randrange(1, 10**6) if seed is None else seed
    print(f"chaos: SEED={seed} MODE={mode}: the same seed draws the same faults for the same moments", flush=True)
    rng = random.Random(seed)
    end, passed, failed, world = time.monotonic() + minutes * 60, 0, 0, None
    stage.verbose = True
    while time.monotonic() < end:
        number = passed + failed + 1
        draw = random.Random(rng.randrange(1 << 62))
        try:
            if world is None:
                world = stage.make(3, mode=mode)
            world.begin()
            round_of(world, draw, number)
            passed += 1
        except Exception:  # noqa: BLE001: whatever it is, it is this round's result
            failed += 1
            print(f"round {number} FAILED:\n{traceback.format_exc()}", flush=True)
            if world is not None:
                world.failed = True
                print(f"    logs: {world.root}", flush=True)
            stage.close()
            world = None
    print(f"{passed} passed, {failed} failed (rounds of SEED={seed})")
    return 1 if failed or not passed else 0
