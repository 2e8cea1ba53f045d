#!/usr/bin/python3
"""Real nodes on machines of their own, broken in every way that the failure matrix lists, and audited.

usage: chaos.py [--rows 6,9] [--mode quorum] [--list]            each row of the matrix
       chaos.py --minutes 10 [--seed 7] [--mode quorum]          several faults at once, drawn from the seed

Needs root: each node has a network namespace, a loop device and a control group. All of it is removed at the end, also after
Ctrl-C. Reports are written to build/chaos/.
"""
import argparse
import os
import pathlib
import signal
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tests/chaos")]
sys.dont_write_bytecode = True

import program  # noqa: E402
import report  # noqa: E402
import storm  # noqa: E402
from incident import BOTH, INCIDENTS  # noqa: E402
from incidents import copies, disks, network, servers, shared  # noqa: E402, F401: they register theirs
from world import World  # noqa: E402

MINUTES_PER_INCIDENT = 6


class Stage:
    """Holds the world that incidents of one shape and mode share. One that failed may have left anything: it is not used again."""

    def __init__(self, verbose=False):
        self.verbose, self.world, self.key, self.made = verbose, None, None, []
        self.left = []  # what could not be removed

    def world_for(self, incident, mode):
        key = (incident.shape, mode)
        if self.world is not None and (self.key != key or self.world.failed):
            self.close()
        if self.world is None:
            shape = incident.shape
            self.world = self.make(shape.nodes, mode=mode, witness=shape.witness, etcd=shape.etcd)
            self.key = key
        self.world.begin()
        return self.world

    def make(self, *arguments, **options):
        world = World(*arguments, **options)
        world.verbose = self.verbose
        self.made.append(world)
        return world

    def close(self):
        made, self.made, self.world = self.made, [], None
        for world in made:
            try:
                world.close()
            except Exception as error:  # noqa: BLE001: the other worlds must go too, and the run goes on
                self.left.append(str(error))
                print(f"chaos: LEFT BEHIND: {error}", flush=True)


def too_long(*_):
    raise AssertionError(f"the incident took longer than {MINUTES_PER_INCIDENT} minutes")


def play(incident, mode, stage):
    """None if all was as expected, else the story of the failure."""
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(MINUTES_PER_INCIDENT * 60)
    try:
        if incident.shape is None:
            stage.close()
            incident.run(lambda *words, **options: stage.make(*words, **({"mode": mode} | options)))
        else:
            incident.run(stage.world_for(incident, mode))
        for world in stage.made:
            if world.outcome is None:
                world.closing_audit()
        return None
    except Exception:  # noqa: BLE001: whatever it is, it is this incident's result
        return traceback.format_exc()
    finally:
        signal.alarm(0)


def tell(incident, mode, stage, failure, seconds):
    """One line for people, the whole report in a file."""
    world = stage.world or (stage.made[-1] if stage.made else None)
    variant = f"-{incident.variant.replace(' ', '-')}" if incident.variant else ""
    path = ROOT / "build/chaos" / f"row-{incident.row:02}{variant}-{mode}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.text(incident, mode, world, failure))
    outcome = world.outcome if world else None
    cost = f"outage {outcome.silence:6.2f} s, lost {outcome.lost}" if outcome else ""
    print(f"row {incident.row:>2} {mode:<6} {'passed' if failure is None else 'FAILED'}  {cost:<26} {incident.title} "
          f"[{seconds:.0f} s]", flush=True)
    if failure is not None:
        print(f"    {failure.strip().splitlines()[-1][:300] if failure.strip() else ''}\n    report: {path}", flush=True)
        for one in stage.made:
            one.failed = True
            print(f"    logs:   {one.root}", flush=True)


def wanted(args):
    rows = [int(row) for row in args.rows.split(",")] if args.rows else sorted({one.row for one in INCIDENTS})
    if unknown := set(rows) - {one.row for one in INCIDENTS}:
        sys.exit(f"chaos: no such row: {sorted(unknown)}; the matrix has 1 to 39 (chaos.py --list)")
    chosen = [(mode, one) for one in INCIDENTS for mode in one.modes
              if one.row in rows and (not args.mode or mode == args.mode)]
    # One shape and mode after the other: a new cluster costs more than most incidents.
    order = {shape: number for number, shape in enumerate({one.shape: 0 for _, one in chosen})}
    return sorted(chosen, key=lambda pair: (order[pair[1].shape], (*BOTH, "strict").index(pair[0]), pair[1].row))


def run_rows(args, stage):
    passed = failed = 0
    for mode, incident in wanted(args):
        begun = time.monotonic()
        failure = play(incident, mode, stage)
        tell(incident, mode, stage, failure, time.monotonic() - begun)
        passed, failed = passed + (failure is None), failed + (failure is not None)
        if incident.shape is None or failure is not None:
            stage.close()
    stage.close()
    print(f"{passed} passed, {failed + len(stage.left)} failed")
    return 1 if failed or stage.left or not passed else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="rows of the matrix, with commas between them")
    parser.add_argument("--mode", default="", choices=["", *BOTH, "strict"])
    parser.add_argument("--minutes", type=float, default=0, help="random faults for this long")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--verbose", action="store_true", help="say what is done to the machines while it happens")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def main():
    args = parse()
    if args.list:
        for one in sorted(INCIDENTS, key=lambda one: one.row):
            print(f"{one.row:>2}  {'/'.join(one.modes):<13} {one.outage:<16} {one.title}")
        return 0
    if os.geteuid() != 0:
        sys.exit("chaos: needs root, for namespaces and loop devices. mend: sudo make chaos")
    program.check_prerequisites()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"chaos: {program.pgkeel()}, {program.run([program.postgres_bin() / 'postgres', '-V']).stdout.strip()}, "
          f"{os.cpu_count()} cores", flush=True)
    stage = Stage(args.verbose)
    try:
        if args.minutes or args.seed is not None:
            return storm.run(stage, args.mode or "quorum", args.seed, args.minutes or 5)
        return run_rows(args, stage)
    except KeyboardInterrupt:
        print("chaos: interrupted; cleaning up", flush=True)
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleaning up
        stage.close()


if __name__ == "__main__":
    sys.exit(main())
