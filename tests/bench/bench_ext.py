#!/usr/bin/python3
"""What the extension costs a transaction: pgbench against servers with and without it, in turn, as ratios.

usage: bench_ext.py [--rounds 15] [--seconds 4] [--clients 4]

fsync is off, so that a disk hides nothing. A second server without the library shows what the machine's noise is. The
processor time of the server's sessions per transaction is the steadier figure where others use the machine.
"""
import argparse
import os
import pathlib
import platform
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tests/ext")]

import processes  # noqa: E402
import program  # noqa: E402
from server import Server, Template, as_user  # noqa: E402
from waiting import wait_for  # noqa: E402
from words import LOCAL  # noqa: E402

LOADS = {"reads (pgbench -S)": ["-S"], "writes (TPC-B)": []}
SCALE = 10


def pgbench(server, *arguments, report=False):
    command = ["env", f"PGOPTIONS=-c pgkeel.report={'on' if report else 'off'}"] if report else []
    return as_user(*command, program.postgres_bin() / "pgbench", "-h", server.socket, "-p", server.port, "-U", "postgres", *arguments,
                   "postgres", seconds=300)


def processor_seconds(server):
    """Of the sessions that have ended: the postmaster's children."""
    fields = processes.stat_fields(server.process.pid)
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def run_once(server, load, args, report):
    """(transactions per second, transactions per second of the server's processor time)"""
    before = processor_seconds(server)
    text = pgbench(server, "-n", *load, "-c", args.clients, "-j", 2, "-T", args.seconds, report=report)
    wait_for(lambda: server.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'") == 0, 30, "its end")
    done = int(re.search(r"actually processed: (\d+)", text)[1])
    return float(re.search(r"tps = ([\d.]+)", text)[1]), done / (processor_seconds(server) - before)


def make_server(template, loaded):
    server = Server(template, settings={} if loaded else {"shared_preload_libraries": ""})
    server.words.allow(floor=LOCAL, recheck=1)
    if not loaded:
        del server.settings["pgkeel.gate_file"]
    server.start()
    pgbench(server, "-i", "-q", "-s", SCALE)
    return server


def measure(servers, load, args):
    """{variant: [(transactions per second, per processor second)]}; each round runs all of them, the order turns."""
    found = {name: [] for name in servers}
    order = list(servers)
    for number in range(args.rounds):
        for name in order:
            server, report = servers[name]
            server.run("CHECKPOINT")
            found[name].append(run_once(server, load, args, report))
        order = order[1:] + order[:1]
        print(f"    {number + 1:>3}: " + ", ".join(f"{name} {rates[-1][0]:.0f}" for name, rates in found.items()), file=sys.stderr)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--clients", type=int, default=4)
    args = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"{as_user(program.postgres_bin() / 'postgres', '--version').strip()}")
    print(f"{args.rounds} rounds of {args.seconds} s for each, {args.clients} clients, scale {SCALE}, fsync off")
    template = Template()
    plain, other, loaded = (make_server(template, loaded) for loaded in (False, False, True))
    servers = {"without": (plain, False), "without, again": (other, False), "with": (loaded, False),
               "with, report on": (loaded, True)}
    try:
        for name, load in LOADS.items():
            found = measure(servers, load, args)
            for which, what in enumerate(("per second", "per second of processor time")):
                base = [one[which] for one in found["without"]]
                print(f"{name}, transactions {what}: without {statistics.median(base):.0f}")
                for variant in list(servers)[1:]:
                    ratios = [one[which] / other_one for one, other_one in zip(found[variant], base)]
                    low, middle, high = statistics.quantiles(ratios, n=4)
                    goal = "goal >= 0.98" if variant == "with" else ""
                    print(f"  {variant:<18} {middle:.3f} of that (quartiles {low:.3f} .. {high:.3f})  {goal}", flush=True)
    finally:
        for server in (plain, other, loaded):
            server.close()
        template.close()


if __name__ == "__main__":
    main()
