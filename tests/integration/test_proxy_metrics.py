"""The proxy's figures on /metrics of its node: what promtool thinks of them, and whether they are what happened."""
import os
import signal
import threading
import urllib.error
import urllib.request

import psycopg
import pytest

from network import PORTS, PROXY_PORTS
from proxy_wire import Wire
from test_metrics import promtool, samples
from waiting import NotYet, wait_for


@pytest.fixture
def node(three):
    return three.primary()


def labelled(name, **labels):
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name


def figures(node):
    """{name with labels as written: value}"""
    code, text = node.get("/metrics")
    assert code == 200
    return {f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in samples(text)}


def told(node, condition, what):
    """The figures when the condition holds of them; the proxy tells them each two seconds."""
    def look():
        now = figures(node)
        if "pgkeel_proxy_queries_total" not in now:
            raise NotYet("the proxy has not told anything yet")
        if not condition(now):
            raise NotYet({key: value for key, value in now.items() if key.startswith("pgkeel_proxy") and value})
        return now
    return wait_for(look, 20, what, node.cluster.describe)


POOL = dict(database="audit", user="auditor")


def test_prometheus_has_nothing_against_the_figures(node):
    node.admin('CREATE DATABASE "a""b\\c{}, é"')
    try:
        with node.proxy("read-write", dbname='a"b\\c{}, é') as odd:
            odd.execute("SELECT 1")
            name = r'a\"b\\c{}, é'
            told(node, lambda now: now.get(labelled("pgkeel_proxy_pool_queries_total", database=name, user="auditor")),
                 "the pool with the odd name")
            done = promtool("check", "metrics", text=node.get("/metrics")[1])
    finally:
        with_nobody = 'DROP DATABASE "a""b\\c{}, é" WITH (FORCE)'
        wait_for(lambda: node.admin(with_nobody) is not None, 10, "it is dropped")
    faults = [line for line in (done.stdout + done.stderr).splitlines() if "pgkeel_proxy" in line or "error" in line]
    assert not faults, faults


def test_each_node_tells_of_its_own_proxy(three):
    three.wait_whole()
    wanted = {labelled("pgkeel_proxy_node_takes_reads", node=other.name): 1 for other in three.standbys()}
    for node in three.data_nodes():
        # What a standby has shown, a proxy hears a moment later.
        now = told(node, lambda now: now["pgkeel_proxy_holding"] == 0 and all(now.get(key) == 1 for key in wanted), "its proxy tells")
        assert now["pgkeel_proxy_up"] == 1 and now["pgkeel_proxy_agent_heard"] == 1
        reads = {key: value for key, value in now.items() if key.startswith("pgkeel_proxy_node_takes_reads")}
        assert reads == wanted


def test_counters_count_what_was_done(node):
    queries = labelled("pgkeel_proxy_pool_queries_total", **POOL)
    with node.proxy("read-write") as one:
        one.prepare_threshold = None
        one.execute("SELECT 1")
        before = told(node, lambda now: queries in now, "the pool is told")
        for _ in range(20):
            one.execute("SELECT 1")
        with pytest.raises(psycopg.errors.UniqueViolation):
            one.execute("DO $$ BEGIN RAISE unique_violation; END $$")
        with pytest.raises(psycopg.Error):
            one.execute("DO $$ BEGIN RAISE 'own' USING ERRCODE = 'QQ123'; END $$")
        with one.transaction():
            one.execute("SELECT repeat('x', 10000)")
        after = told(node, lambda now: now[queries] - before[queries] == 25, "25 queries more")
    def grew(name, **labels):
        key = labelled(name, **labels)
        return after[key] - before.get(key, 0)
    # Two that failed, and a transaction of three queries.
    assert grew("pgkeel_proxy_pool_transactions_total", **POOL) == 23
    assert grew("pgkeel_proxy_pool_sent_bytes_total", **POOL) > 10_000
    assert grew("pgkeel_proxy_pool_received_bytes_total", **POOL) > 20 * len("SELECT 1")
    # Fewer where a server was still there for what came next.
    assert 3 <= grew("pgkeel_proxy_pool_assignments_total", **POOL) <= 23
    assert grew("pgkeel_proxy_errors_total", **{"class": "23"}, origin="server") == 1
    assert grew("pgkeel_proxy_errors_total", **{"class": "other"}, origin="server") == 1
    assert grew("pgkeel_proxy_wait_seconds_bucket", le="+Inf") == grew("pgkeel_proxy_wait_seconds_count") >= 3
    # DO is followed by a question of the proxy's own; what the client asks meanwhile counts as one with it.
    assert grew("pgkeel_proxy_query_seconds_count") >= 20


def test_logins_and_cancels(node):
    before = told(node, lambda now: True, "it tells")
    with pytest.raises(psycopg.OperationalError):
        node.proxy(password="wrong")
    with node.proxy() as one:
        asks = threading.Thread(target=lambda: pytest.raises(psycopg.errors.QueryCanceled, one.execute, "SELECT pg_sleep(60)"))
        asks.start()
        wait_for(lambda: node.admin("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'") == "1", 10,
                 "it sleeps")
        one.cancel()
        asks.join(15)
    with Wire(node.address, PROXY_PORTS["auto"]) as wire:  # a cancel request of nobody's
        wire.send(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x01")
    names = [labelled("pgkeel_proxy_logins_total", outcome="refused"), labelled("pgkeel_proxy_logins_total", outcome="accepted"),
             labelled("pgkeel_proxy_cancels_total", outcome="sent"), labelled("pgkeel_proxy_cancels_total", outcome="in_vain"),
             labelled("pgkeel_proxy_errors_total", **{"class": "28"}, origin="proxy")]
    told(node, lambda now: all(now.get(name, 0) > before.get(name, 0) for name in names), "all of them have grown")


def test_gauges_follow_what_is_there(node):
    def gauge(kind, state):
        return labelled(f"pgkeel_proxy_pool_{kind}", **POOL, state=state)
    with node.proxy("read-write", autocommit=False) as active, node.proxy("read-write") as idle:
        idle.execute("SELECT 1")
        active.execute("SELECT 1")
        told(node, lambda now: (now[gauge("clients", "active")], now[gauge("clients", "idle")], now[gauge("servers", "active")])
             == (1, 1, 1), "one active, one idle")
    told(node, lambda now: (now[gauge("clients", "active")], now[gauge("clients", "idle")], now[gauge("servers", "active")])
         == (0, 0, 0), "nobody")


def test_who_names_what_is_not_there_makes_no_series(node):
    for number in range(5):
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            node.proxy("read-write", dbname=f"absent{number}")
    before = told(node, lambda now: True, "it tells")[labelled("pgkeel_proxy_logins_total", outcome="accepted")]
    node.proxy().close()
    now = told(node, lambda now: now[labelled("pgkeel_proxy_logins_total", outcome="accepted")] > before, "later figures")
    assert not [key for key in now if "absent" in key]


def test_a_proxy_that_is_gone_is_told_as_gone(own_cluster):
    cluster = own_cluster(2)
    node = cluster.primary()
    told(node, lambda now: now["pgkeel_proxy_up"] == 1, "it is up")
    pid = node.inner("proxy")
    os.kill(pid, signal.SIGSTOP)
    try:
        def is_down():
            now = figures(node)
            if now["pgkeel_proxy_up"] != 0:
                raise NotYet("it is still up")
            return now
        now = wait_for(is_down, 30, "it is missed", cluster.describe)
        assert not [key for key in now if key.startswith("pgkeel_proxy_") and key != "pgkeel_proxy_up"], "no old figures"
    finally:
        os.kill(pid, signal.SIGCONT)
    told(node, lambda now: now["pgkeel_proxy_up"] == 1, "it is up again")


def test_only_this_node_may_tell_figures(node):
    request = urllib.request.Request(f"http://{node.address}:{PORTS['api']}/proxy/figures", data=b"pgkeel_forged 1\n")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 403 and "pgkeel_forged" not in node.get("/metrics")[1]
