"""A real Prometheus over a live cluster, a real Alertmanager as a channel, and the Grafana dashboard's questions."""
import contextlib
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

import program
from network import PORTS, free_port
from waiting import NotYet, wait_for

RULES = program.ROOT / "packaging/prometheus/pgkeel.rules.yml"
DASHBOARD = program.ROOT / "packaging/grafana/pgkeel.json"


@pytest.fixture(scope="module", autouse=True)
def programs_are_here():
    for name in ("prometheus", "prometheus-alertmanager"):
        assert shutil.which(name), f"no {name}. mend: make deps"


def fetch(port, path, **query):
    url = f"http://127.0.0.1:{port}{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:  # Prometheus says what it does not understand
        raise NotYet(f"{url}: {error.code} {error.read()[:300]}") from None


@contextlib.contextmanager
def running(words, log, port, ready):
    with log.open("w") as out:
        process = subprocess.Popen([str(word) for word in words], stdout=out, stderr=subprocess.STDOUT)
    try:
        def answers():
            assert process.poll() is None, log.read_text()[-3000:]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=5) as answer:
                return answer.status == 200
        wait_for(answers, 60, f"{words[0]} is ready", lambda: log.read_text()[-3000:])
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def alertmanager(tmp_path):
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    words = ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={tmp_path / 'am'}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with running(words, tmp_path / "alertmanager.log", port, "/-/ready"):
        yield port


def prometheus_over(cluster, directory, alertmanager):
    targets = [f"{node.address}:{PORTS['api']}" for node in cluster.data_nodes()]
    config = directory / "prometheus.json"  # JSON is YAML
    config.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
        "scrape_configs": [{"job_name": "pgkeel", "static_configs": [{"targets": targets}]}]}))
    port = free_port()
    words = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{port}"]
    return running(words, directory / "prometheus.log", port, "/-/ready")


def all_scraped(port, count):
    targets = fetch(port, "/api/v1/targets")["data"]["activeTargets"]
    up = [target for target in targets if target["health"] == "up"]
    if len(up) != count:
        raise NotYet(f"{[(target['scrapeUrl'], target['health'], target['lastError']) for target in targets]}")
    return up


def questions():
    """Every expression of the dashboard, as Grafana would send it."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [one["expr"] for one in dashboard["annotations"]["list"]]
    return [expr.replace("$job", "pgkeel") for expr in found]


def test_prometheus_scrapes_a_live_cluster_and_evaluates_our_rules(three, tmp_path, alertmanager):
    """Every target is up, no rule has an error, every question of the dashboard has an answer; then a standby loses its
    power, and the rules' alert arrives at the Alertmanager.
    """
    three.wait_whole()
    old = three.primary()
    old.ok("switchover", "--yes")  # so that there are phases and an outage to be asked for
    three.primary(other_than=old)
    three.wait_whole()
    with prometheus_over(three, tmp_path, alertmanager) as port:
        wait_for(lambda: all_scraped(port, 3), 60, "three targets are scraped")

        def rules_evaluated():
            rules = [rule for group in fetch(port, "/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
            bad = [(rule["name"], rule["health"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"]
            if bad or not rules:
                raise NotYet(f"{bad}")
            return rules
        assert len(wait_for(rules_evaluated, 60, "each rule has been evaluated")) == RULES.read_text().count("alert:")
        for expr in questions():
            if expr.startswith("changes("):  # none within that minute is an answer too
                assert fetch(port, "/api/v1/query", query=expr)["status"] == "success"
                continue
            wait_for(lambda: fetch(port, "/api/v1/query", query=expr)["data"]["result"], 60,
                     f"an answer to {expr}", three.describe)
        victim = three.standbys()[0]
        victim.kill()

        def told():
            names = {alert["labels"]["alertname"] for alert in fetch(alertmanager, "/api/v2/alerts")}
            if "PgkeelNodeDown" not in names:
                raise NotYet(f"{names}")
            return names
        wait_for(told, 120, "Prometheus tells the Alertmanager that a node is down")
    three.wait_whole()


def test_every_metric_of_the_dashboard_exists(three):
    """A panel that asks for a metric nobody gives stays empty, and nobody notices."""
    asked = set(re.findall(r"\bpgkeel_\w+", " ".join(questions())))
    assert len(asked) > 10
    primary = three.wait_whole()
    given = set()

    def complete():
        for node in three.data_nodes():
            given.update(re.findall(r"^(?:# HELP )?(\w+)", node.get("/metrics")[1], re.MULTILINE))
        if asked - given:
            raise NotYet(f"nobody gives {asked - given}")
        return True
    wait_for(complete, 40, "the dashboard's metrics", primary.cluster.describe)


def test_pgkeel_delivers_to_a_real_alertmanager(three, alertmanager):
    """An alert of pgkeel's own goes to the Alertmanager, and ends there when it is over here."""
    three.wait_whole()
    for node in three.data_nodes():
        (node.directory / "alerts.toml").write_text(
            f'[rule.paused]\nhold_s = 1\nseverity = "critical"\n[alertmanager.am]\nurl = "http://127.0.0.1:{alertmanager}"\n')
        node.ok("reload")
    try:
        primary = three.primary()
        assert "delivered" in primary.ok("alert", "test")

        def of_rule(active):
            alerts = fetch(alertmanager, "/api/v2/alerts", active="true")
            found = [alert for alert in alerts if "paused" in json.dumps(alert["labels"])]
            if bool(found) != active:
                raise NotYet(f"{alerts}")
            return found or True
        primary.ok("pause")
        alert, = wait_for(lambda: of_rule(True), 60, "the Alertmanager has the alert", three.describe)
        assert "critical" in json.dumps(alert["labels"]) and "paused" in json.dumps(alert["annotations"])
        primary.ok("resume")
        wait_for(lambda: of_rule(False), 60, "the Alertmanager knows that it is over", three.describe)
    finally:
        for node in three.data_nodes():
            (node.directory / "alerts.toml").unlink()
            node.keel("resume")
            node.ok("reload")
