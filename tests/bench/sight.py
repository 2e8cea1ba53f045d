"""How soon people and programs see what is: /metrics, the dashboard in a browser, alerts.

What is measured from outside: a scrape and a page by who asks for them; an alert from the end of the command that is its
reason to the webhook's server; the live page from the moment that the record gives a new reign to the new leader's place on
the screen. The record's clock and the browser's are one, that of this machine."""
import signal
import statistics
import sys
import time

import psycopg

import browser
import processes
from cluster import Cluster
from receivers import Http
from waiting import NotYet, wait_for

REPLICAS, POOLS, SCRAPES = 10, 1000, 50
HOLD_S = 3


def spread(found, unit="ms"):
    return f"median {statistics.median(found):.0f} {unit}, worst of {len(found)} {max(found):.0f} {unit}"


def bench_scrape(args, line):
    """/metrics of a primary with ten replicas, whose proxy has a thousand pools."""
    cluster = Cluster(1 + REPLICAS)
    try:
        primary = cluster.wait_whole(300)
        names = [f"pool_{number}" for number in range(POOLS)]
        primary.admin("".join(f"CREATE ROLE {name} LOGIN PASSWORD '{cluster.password}';" for name in names))
        for name in names:
            wait_for(lambda user=name: through_proxy(primary, user), 60, f"{name} logs in", cluster.describe)
        wait_for(lambda: primary.get("/metrics")[1].count("pgkeel_proxy_pool_transactions_total{") >= POOLS, 60,
                 "every pool has its series", cluster.describe)
        spent = []
        for _ in range(SCRAPES):
            start = time.monotonic()
            text = primary.get("/metrics")[1]
            spent.append((time.monotonic() - start) * 1000)
        line(f"scrape, {REPLICAS} replicas, {POOLS} pools", f"{spread(spent)}, {len(text) / 1024:.0f} kB", "<= 50 ms")
    finally:
        cluster.close()


def through_proxy(node, user):
    try:
        with node.proxy("read-write", user=user) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError as error:
        raise NotYet(str(error)) from None


def bench_page(args, line):
    """The dashboard, by a browser that has nothing of it yet, until the cluster's state and its nodes can be read."""
    cluster = Cluster(3)
    try:
        primary = cluster.wait_whole()
        token = primary.ok("access", "add", "reader", "--role", "read", "--bare").strip()
        with browser.Visit("loads", primary, token, repeat=args.repeat) as visit:
            found = visit.at("loaded", 300)
            visit.go()
            visit.end()
        size = max(one["bytes"] for one in found["loads"])
        line("dashboard, until it can be read", spread([one["ms"] for one in found["loads"]]), "<= 1000 ms")
        line("dashboard, over the wire", f"{size / 1024:.0f} kB", "<= 150 kB")
    finally:
        cluster.close()


def bench_live(args, line):
    """A new leader in the eyes of somebody who looks on from a standby."""
    cluster, found = Cluster(3), []
    try:
        token = cluster.wait_whole().ok("access", "add", "reader", "--role", "read", "--bare").strip()
        for number in range(args.repeat):
            primary = cluster.wait_whole(120)
            with browser.Visit("change", cluster.standbys()[0], token, leader=primary.name) as visit:
                visit.at("watching")
                processes.send(primary.postmaster(), signal.SIGKILL)
                visit.go()
                seen = visit.at("changed")
                events = cluster.primary(60, other_than=primary).status()["events"]
                decided = max(one["unix_ms"] for one in events if one["kind"] == "leader")
                found.append(seen["unix_ms"] - decided)
                print(f"    {number + 1:>3}: {found[-1]:.0f} ms", file=sys.stderr, flush=True)
                visit.go()
                visit.end()
        line("live page, new leader", spread(found), "<= 300 ms")
    finally:
        cluster.close()


def bench_alert(args, line):
    """`pgkeel pause` with a hold-off of some seconds; from its end to the webhook."""
    cluster, hook, found = Cluster(3), Http(), []
    try:
        primary = cluster.wait_whole()
        for node in cluster.data_nodes():
            (node.directory / "alerts.toml").write_text(
                f'[rule.paused]\nseverity = "warning"\nhold_s = {HOLD_S}\n[webhook.hook]\nurl = "http://127.0.0.1:{hook.port}/alerts"\n')
            node.ok("reload")
        for number in range(args.repeat):
            before = len(hook.taken)
            primary.ok("pause")
            moment = time.monotonic()
            wait_for(lambda: len(hook.taken) > before, 60, "the alert", cluster.describe)
            found.append((time.monotonic() - moment - HOLD_S) * 1000)
            print(f"    {number + 1:>3}: {found[-1]:.0f} ms", file=sys.stderr, flush=True)
            primary.ok("resume")
            wait_for(lambda: len(hook.taken) > before + 1, 60, "the alert's end", cluster.describe)
        line("alert, after its hold-off", spread(found), "<= 2000 ms")
    finally:
        cluster.close()
        hook.close()
