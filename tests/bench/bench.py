#!/usr/bin/python3
"""The figures of pgkeel on this machine. They are measured, not tested: a figure that is out of bounds fails nothing.

usage: bench.py [--binary build/release/pgkeel] [--repeat 20] [figure...]

figures: postmaster node-quorum node-async switchover guardian idle rewind scrape page live alert build (default: all but build)
"""
import argparse
import functools
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tests/bench")]

import guardian  # noqa: E402
import processes  # noqa: E402
import program  # noqa: E402
import sight  # noqa: E402
from client import Client  # noqa: E402
from cluster import Cluster  # noqa: E402
from waiting import wait_for  # noqa: E402
import signal  # noqa: E402

REWIND_MB = 1024
IDLE_SECONDS = 30
SETTLE_SECONDS = 35  # a new connection between nodes costs more for 30 s


def line(name, text, goal=""):
    print(f"  {name:<34} {text:<44} {'goal ' + goal if goal else ''}", flush=True)


def outages(cluster, repeat, strike):
    """Outage in seconds of each of `repeat` strikes; the cluster is whole before each."""
    found = []
    for number in range(repeat):
        primary = cluster.wait_whole(120)
        client = Client(cluster)
        client.start()
        wait_for(lambda: len(client.moments) > 100, 30, "the client's writes", cluster.describe)
        moment = time.monotonic()
        strike(cluster, primary)
        found.append(client.outage_after(moment))
        client.stop()
        print(f"    {number + 1:>3}: {found[-1] * 1000:.0f} ms", file=sys.stderr, flush=True)
    return found


def report_outages(name, goal, repeat, strike, **options):
    cluster = Cluster(3, **options)
    try:
        found = outages(cluster, repeat, strike)
    finally:
        cluster.close()
    line(name, f"median {statistics.median(found) * 1000:.0f} ms, worst of {len(found)} {max(found) * 1000:.0f} ms", goal)


def kill_postmaster(cluster, primary):
    processes.send(primary.postmaster(), signal.SIGKILL)


def kill_node(cluster, primary):
    primary.kill()


def switch_over(cluster, primary):
    primary.ok("switchover", "--yes")


def bench_postmaster(args):
    report_outages("write outage, postmaster killed", "<= 500 ms", args.repeat, kill_postmaster)


def bench_node_quorum(args):
    report_outages("write outage, node killed, quorum", "<= 1000 ms", args.repeat, kill_node)


def bench_node_async(args):
    report_outages("write outage, node killed, async", "<= 2000 ms", args.repeat, kill_node, mode="async")


def bench_switchover(args):
    report_outages("write outage, planned switchover", "<= 500 ms", args.repeat, switch_over)


def bench_guardian(args):
    guardian.bench(args, line)


def processor_seconds(pid):
    """Of all threads, user and kernel, in nanoseconds of the scheduler: the ticks of proc(5) stat are 10 ms each."""
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def resident_mb(pid):
    for text in (processes.PROC / str(pid) / "status").read_text().splitlines():
        if text.startswith("VmRSS:"):
            return int(text.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no VmRSS")


def bench_idle(args):
    cluster = Cluster(3)
    try:
        primary = cluster.wait_whole()
        agents = {"primary": primary.inner("agent"), "standby": cluster.standbys()[0].inner("agent")}
        time.sleep(SETTLE_SECONDS)
        before, start = {what: processor_seconds(pid) for what, pid in agents.items()}, time.monotonic()
        time.sleep(IDLE_SECONDS)
        for what, pid in agents.items():
            share = (processor_seconds(pid) - before[what]) / (time.monotonic() - start)
            line(f"agent of an idle {what}", f"{resident_mb(pid):.1f} MB resident, {share * 100:.2f} % of a core",
                 "<= 30 MB, <= 1 %")
    finally:
        cluster.close()


def bench_rewind(args):
    """A primary of 1 GB dies with WAL that nobody else has, and comes back."""
    cluster = Cluster(3, mode="async")
    try:
        primary = cluster.wait_whole()
        primary.sql("CREATE TABLE filler AS SELECT i, repeat(md5(i::text), 30) AS text "
                    f"FROM generate_series(1, {REWIND_MB * 1000}) i")
        size = primary.value("SELECT pg_database_size('audit')") / 1024 / 1024
        cluster.wait_whole(300)
        for sender in primary.backends("walsender"):
            processes.send(sender, signal.SIGSTOP)
        primary.sql("INSERT INTO ledger SELECT i, 99 FROM generate_series(1, 1000) i")
        primary.kill()
        cluster.primary(other_than=primary)
        start = time.monotonic()
        primary.start()
        cluster.wait_whole(300)
        spent = time.monotonic() - start
        put_aside = any((primary.directory / "quarantine").iterdir())
        line(f"rejoin of a node of {size:.0f} MB",
             f"{spent:.1f} s, {'by rewind' if put_aside else 'nothing had diverged: no rewind'}", "<= 15 s")
    finally:
        cluster.close()


def bench_build(args):
    """From scratch, without ccache."""
    with tempfile.TemporaryDirectory(prefix="pgkeel-build-") as folder:
        environment = os.environ | {"CCACHE_DISABLE": "1"}
        start = time.monotonic()
        for command in (["cmake", "--preset", "dev", "-B", folder], ["cmake", "--build", folder]):
            subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        line("build from scratch, with all tests", f"{time.monotonic() - start:.0f} s", "<= 600 s on 2 cores")


def bench_sight(name, args):
    getattr(sight, "bench_" + name)(args, line)


FIGURES = {"postmaster": bench_postmaster, "node-quorum": bench_node_quorum, "node-async": bench_node_async,
           "switchover": bench_switchover, "guardian": bench_guardian, "idle": bench_idle, "rewind": bench_rewind,
           **{name: functools.partial(bench_sight, name) for name in ("scrape", "page", "live", "alert")}, "build": bench_build}


def conditions(args):
    server = program.run([program.postgres_bin() / "postgres", "-V"]).stdout.strip()
    load = os.getloadavg()[0]
    print(f"pgkeel bench: {os.cpu_count()} cores, load {load:.1f} at the start, {server}, profile lan, three nodes on "
          f"loopback\n  with one client that reconnects every 5 ms; {platform.platform()}; {args.binary}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/pgkeel")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("figures", nargs="*", default=[name for name in FIGURES if name != "build"])
    args = parser.parse_args()
    os.environ["PGKEEL_BINARY"] = str(pathlib.Path(args.binary).resolve())
    conditions(args)
    failed = []
    for name in args.figures:
        try:
            FIGURES[name](args)
        except KeyError:
            parser.error(f"no figure is called {name}; there are: {', '.join(FIGURES)}")
        except AssertionError as error:
            failed.append(name)
            print(f"  {name}: could not be measured: {str(error)[:4000]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
