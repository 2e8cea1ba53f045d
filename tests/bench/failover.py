#!/usr/bin/python3
"""The failure matrix's outages on this machine: median and worst of each row that can be repeated, in quorum and async mode.

usage: failover.py [--binary build/release/pgkeel] [--repeat 20] [--rows 1,6] [--mode async] [--noise 30]

Each run is an incident of tests/chaos with its whole audit. The outage is the longest time in which no client outside of the
nodes' hosts got an acknowledgement, though one knocks at every node every 6 ms. --noise: no rows, but minutes of congestion,
short silence and busy processors, in which nobody may be elected. Needs root, and hours for all rows.
"""
import argparse
import os
import pathlib
import platform
import signal
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tests/chaos")]
sys.dont_write_bytecode = True

import chaos  # noqa: E402
import program  # noqa: E402
from cpu import Burners  # noqa: E402
from incident import BOTH, INCIDENTS, Shape  # noqa: E402
from incidents import network  # noqa: E402


def measure(incident, mode, repeat, stage):
    """(outages in seconds, lost writes, WAL bytes lost at most, failures) of `repeat` runs."""
    outages, lost, lost_bytes, failures = [], 0, 0, []
    for number in range(repeat):
        failure = chaos.play(incident, mode, stage)
        outcome = stage.world.outcome if stage.world else None
        if failure is None and outcome:
            outages.append(outcome.silence)
            lost, lost_bytes = lost + outcome.lost, max(lost_bytes, outcome.lost_bytes)
            print(f"    {number + 1:>3}: {outcome.silence * 1000:.0f} ms", file=sys.stderr, flush=True)
            continue
        failures.append(failure)
        print(f"    {number + 1:>3}: FAILED\n{failure}", file=sys.stderr, flush=True)
        for world in stage.made:
            world.failed = True
        stage.close()
    return outages, lost, lost_bytes, failures


def report(incident, mode, outages, lost, lost_bytes, failures):
    figures = (f"median {statistics.median(outages) * 1000:5.0f} ms, worst of {len(outages)} {max(outages) * 1000:5.0f} ms"
               if outages else "no figure")
    cost = f"lost {lost}" + (f" (at most {lost_bytes} bytes of WAL)" if lost else "")
    failed = f", {len(failures)} runs FAILED" if failures else ""
    print(f"  row {incident.row:>2} {mode:<6} {figures}  {cost}{failed}  matrix: {incident.outage}; {incident.title}", flush=True)


def noise(minutes, mode, stage):
    """Elections in the given time of everything that is less than a fault."""
    world = stage.make(3, mode=mode)
    old, epoch = network.whole_and_idle(world)
    world.begin()
    end = time.monotonic() + minutes * 60
    with world.load() as load, Burners(2 * os.cpu_count()):
        while time.monotonic() < end:
            network.slow(world, old)
            world.network.heal_all()
            world.wait_writes(load, 200)
    world.audit(load)
    elections = world.epoch() - epoch
    print(f"  noise, {mode}: {minutes:g} minutes, false failovers {elections}, lost {world.outcome.lost} of "
          f"{world.outcome.acknowledged} writes, longest silence {world.outcome.silence:.2f} s", flush=True)
    return elections + world.outcome.lost


def wanted(args):
    rows = {int(row) for row in args.rows.split(",")} if args.rows else {one.row for one in INCIDENTS if one.figure}
    chosen = [(one, mode) for one in INCIDENTS for mode in BOTH
              if one.figure and one.row in rows and mode in one.modes and args.mode in ("", mode)]
    if not chosen:
        sys.exit(f"failover: no such row can be repeated; there are {sorted({one.row for one in INCIDENTS if one.figure})}")
    order = {shape: number for number, shape in enumerate({Shape(): 0} | {one.shape: 0 for one, _ in chosen})}
    return sorted(chosen, key=lambda pair: (order[pair[0].shape], BOTH.index(pair[1]), pair[0].row))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/pgkeel")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--rows", default="")
    parser.add_argument("--mode", default="", choices=["", *BOTH])
    parser.add_argument("--noise", type=float, default=0, help="minutes")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("failover: needs root, for namespaces and loop devices")
    os.environ["PGKEEL_BINARY"] = str(pathlib.Path(args.binary).resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = program.run([program.postgres_bin() / "postgres", "-V"]).stdout.strip()
    print(f"pgkeel bench-failover: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, {server}, profile lan, "
          f"disks in memory;\n  {platform.platform()}; {args.binary}", flush=True)
    stage, bad = chaos.Stage(), 0
    try:
        if args.noise:
            bad += sum(noise(args.noise, mode, stage) for mode in BOTH if args.mode in ("", mode))
        else:
            for incident, mode in wanted(args):
                found = measure(incident, mode, args.repeat, stage)
                report(incident, mode, *found)
                bad += len(found[3])
        return 1 if bad else 0
    except KeyboardInterrupt:
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stage.close()


if __name__ == "__main__":
    sys.exit(main())
