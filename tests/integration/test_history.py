"""What is kept for a year: events on every node, figures, outages, the report of an incident."""
import json
import subprocess
import threading
import time

import psycopg
import pytest

from waiting import NotYet, wait_for


def numbers(node):
    return [event["number"] for event in json.loads(node.ok("history", "--json"))]


def wait_complete(node, seconds=90):
    """Until the node's own files have every event that the cluster ever wrote."""
    def complete():
        kept = numbers(node)
        newest = json.loads(node.get("/history")[1])[-1]["number"]
        if kept != list(range(1, newest + 1)):
            raise NotYet(f"{node.name} has {len(kept)} of {newest} events: {kept[:5]}...")
        return kept
    return wait_for(complete, seconds, f"{node.name}'s history is complete", node.cluster.describe)


def account(node):
    return json.loads(node.ok("history", "--availability", "--json"))


def outage_of(node, epoch):
    def told():
        found = [one for one in account(node)["outages"] if one["epoch"] == epoch]
        if not found or not found[0]["phases"]:
            raise NotYet(f"{node.name} knows {account(node)['outages']}")
        return found[0]
    return wait_for(told, 60, f"{node.name} has the outage of epoch {epoch} with its phases", node.cluster.describe)


class Client(threading.Thread):
    """Writes again and again, on whichever node takes it; remembers when it could."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.acknowledged, self.ended = cluster, [], threading.Event()

    def run(self):
        node = 0
        nodes = self.cluster.data_nodes()
        while not self.ended.is_set():
            try:
                with nodes[node].connect(autocommit=True, connect_timeout=2) as connection:
                    while not self.ended.is_set():
                        connection.execute("CREATE TEMP TABLE IF NOT EXISTS t (x int)")
                        connection.execute("INSERT INTO written DEFAULT VALUES")
                        self.acknowledged.append(time.time() * 1000)
            except (psycopg.Error, OSError):
                node = (node + 1) % len(nodes)

    def gap(self):
        """The longest stretch without an acknowledged write: (last before, first after)."""
        return max(zip(self.acknowledged, self.acknowledged[1:]), key=lambda pair: pair[1] - pair[0])

    def close(self):
        self.ended.set()
        self.join(10)


def test_a_failover_is_an_outage_as_long_as_clients_saw_it(three):
    """The primary loses its power. The outage that every node counts lies where a client could not write, and no node
    counts more than the client waited, but for the heartbeat that the old leader may have been ahead of its last write.
    """
    old = three.wait_whole()
    old.sql("CREATE TABLE IF NOT EXISTS written (at timestamptz DEFAULT now())")
    before = account(old)["year"]["failovers"]
    client = Client(three)
    client.start()
    wait_for(lambda: len(client.acknowledged) > 20, 20, "the client writes", three.describe)
    old.kill()
    three.primary(other_than=old)
    count = len(client.acknowledged)
    wait_for(lambda: len(client.acknowledged) > count + 20, 30, "the client writes again", three.describe)
    client.close()
    three.wait_whole()
    epoch = three.epoch()
    last, first = client.gap()
    for node in three.data_nodes():
        outage = outage_of(node, epoch)
        assert outage["cause"] == "failover"
        assert last - 1500 <= outage["from_ms"] <= outage["until_ms"] <= first + 100, (outage, last, first)
        assert account(node)["year"]["failovers"] == before + 1
    text = old.ok("history", "--availability", "--target", "99.9")
    assert "MTTR" in text and "budget left" in text and outage["why"] in text
    code, metrics = old.get("/metrics")
    assert code == 200
    assert f'pgkeel_availability_outages{{window="30d",cause="failover"}} {before + 1}' in metrics


def test_every_node_has_the_whole_history_also_what_it_missed(three):
    """One node is down while things happen, and another loses its files: both ask the others. A crash leaves half a
    line at the end of the log: it is cut off, and nothing else is missing.
    """
    three.wait_whole()
    for node in three.data_nodes():
        wait_complete(node)
    away, robbed = three.standbys()
    away.kill()
    log = sorted((away.directory / "history").glob("events.*.log"))[-1]
    with log.open("ab") as file:
        file.write(log.read_bytes()[:70])
    robbed.terminate()
    for file in (robbed.directory / "history").iterdir():
        file.unlink()
    three.wait_whole()
    for change in range(60):  # beyond the hundred that the record keeps, with what happened before
        three.primary().ok("config", "set", "postgres.work_mem", f"{4096 + change}kB")
    new = three.primary()
    assert len(json.loads(new.get("/history")[1])) <= 100
    for node in three.data_nodes():
        wait_complete(node)
    assert any("cut 70 bytes off" in line for line in away.story().splitlines()), away.describe()
    everywhere = {node.ok("history", "--json") for node in three.data_nodes()}
    assert len(everywhere) == 1


def test_when_all_nodes_were_down_the_outage_is_counted_too(own_cluster):
    """Everything loses its power at once; nobody is left who could know when. The last figures on disk say it."""
    cluster = own_cluster(3)
    for node in cluster.nodes:
        wait_for(lambda: any(row["writes"] for row in json.loads(node.ok("history", "--metrics", "--json"))), 30,
                 "a row of figures that has seen a leader", cluster.describe)
    for node in cluster.nodes:
        node.kill()
    down = time.time() * 1000
    time.sleep(4)  # the outage itself: it must be longer than an election
    up = time.time() * 1000
    for node in cluster.nodes:
        node.start()
    leader = cluster.wait_whole(90)
    outage = outage_of(leader, cluster.epoch())
    assert outage["from_ms"] <= down and outage["until_ms"] >= up, (outage, down, up)


def test_the_report_of_an_incident(three, tmp_path):
    """A switchover, and the page about it: a file of its own, readable by whoever gets it."""
    old = three.wait_whole()
    old.ok("switchover", "--yes")
    new = three.primary(other_than=old)
    three.wait_whole()
    outage = outage_of(new, three.epoch())
    assert outage["cause"] == "switchover"
    page = tmp_path / "incident.html"
    said = new.ok("history", "--report", page)
    assert f"{old.name} handed over to {new.name}" in said
    text = page.read_text()
    assert text.startswith("<!doctype html>") and outage["phases"].split(",")[0] in text
    checked = subprocess.run(["xmllint", "--html", "--noout", "--nowarning", page], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    refused = new.keel("history", "--report", tmp_path / "none.html", "--epoch", 4711)
    assert refused.returncode == 1 and "no change of leader began epoch 4711" in refused.stderr


def test_a_leader_that_is_stopped_is_no_failover(three):
    """The leader's node gets SIGTERM while a switchover is planned for later, so it cannot ask for one of its own: it
    stops, and the others elect. Nothing broke, and nobody is told that something did.
    """
    old = three.wait_whole()
    old.ok("switchover", "--yes", "--at", "+2h")
    failovers = account(old)["year"]["failovers"]
    old.terminate()
    new = three.primary(other_than=old)
    outage = outage_of(new, three.epoch())
    assert outage["cause"] == "switchover", outage
    stops = json.loads(new.ok("history", "--json", "--kind", "stop"))
    assert stops and f"{old.name} is being stopped" in stops[-1]["text"]
    assert account(new)["year"]["failovers"] == failovers
    alerts = json.loads(new.ok("alert", "list", "--all", "--json"))["alerts"]
    assert f"epoch {three.epoch()}" not in [one["subject"] for one in alerts if one["rule"] == "failover"], alerts
    three.wait_whole()


@pytest.mark.parametrize("words, code, said", [
    (["--since", "yesterday"], 2, '"yesterday" is not a time'),
    (["--until", "2d", "--since", "1d"], 2, "--until lies before --since"),
    (["--availability", "--target", "100"], 2, "no share of the time"),
    (["--availability", "--metrics"], 2, "exclude each other"),
])
def test_wrong_words_are_refused_with_a_mend(three, words, code, said):
    done = three.any_running().keel("history", *words)
    assert done.returncode == code, done
    assert said in done.stderr and "mend:" in done.stderr


def test_ranges_of_the_history(three):
    node = three.wait_whole()
    assert numbers(node) and "Nothing of that kind" in node.ok("history", "--since", "1s", "--kind", "nothing")
    leaders = json.loads(node.ok("history", "--json", "--kind", "leader"))
    assert leaders and {event["kind"] for event in leaders} == {"leader"}
    assert json.loads(node.ok("history", "--json", "--until", "2020-01-01")) == []
    assert len(json.loads(node.ok("history", "--json", "-n", "2"))) == 2
    wait_for(lambda: "possible" in node.ok("history", "--metrics", "--since", "1h"), 30, "a row of figures")


def test_a_plan_needs_no_cluster_and_refuses_nonsense(three):
    node = three.any_running()
    done = subprocess.run(node.command("plan", "--server", "45", "--server", "23", "--server", "15", "--proxy", "5",
                                       "--users", "100", "--hour-down", "28", "--json"), capture_output=True, text=True)
    plan = json.loads(done.stdout)
    assert plan["price_month"] == 88 and plan["price_user_month"] == 0.88
    for words, said in (([], "without a server"), (["--server", "x"], "is no machine"),
                        (["--server", "1", "--mode", "fast"], "no mode")):
        done = subprocess.run(node.command("plan", *words), capture_output=True, text=True)
        assert done.returncode == 2 and said in done.stderr and "mend:" in done.stderr
