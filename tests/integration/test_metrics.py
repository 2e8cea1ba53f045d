"""/metrics of a live cluster, and the Prometheus rules over it, judged by promtool."""
import json
import re
import shutil
import subprocess

import pytest

import program
from waiting import NotYet, wait_for

RULES = program.ROOT / "packaging/prometheus/pgkeel.rules.yml"
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")


def promtool(*words, text=None, seconds=60):
    return subprocess.run(["promtool", *(str(word) for word in words)], input=text, capture_output=True, text=True,
                          timeout=seconds)


@pytest.fixture(scope="module", autouse=True)
def prometheus_is_here():
    assert shutil.which("promtool"), "no promtool. mend: make deps"


def scrape(node):
    code, text = node.get("/metrics")
    assert code == 200
    return text


def samples(text):
    """[(name, labels as written, value)]"""
    found = [SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#")]
    assert all(found)
    return [(match[1], match[2] or "", match[3]) for match in found]


def with_vitals(node):
    def look():
        text = scrape(node)
        if "pgkeel_slot_retained_bytes{" not in text or "pgkeel_proxy_up 1" not in text:
            raise NotYet(f"{node.name} or its proxy has not told its figures yet")
        return text
    return wait_for(look, 40, "vitals", node.cluster.describe)


def alerts_of(tmp_path, texts, down=()):
    """Names of the alerts that the rules find after ten minutes of these scrapes, by promtool itself."""
    series = [{"series": f'up{{job="pgkeel",instance="{name}"}}', "values": ("0" if name in down else "1") + "+0x40"}
              for name in [*texts, *down]]
    for instance, text in texts.items():
        for name, labels, value in samples(text):
            inside = ",".join(part for part in (labels, f'job="pgkeel",instance="{instance}"') if part)
            series.append({"series": f"{name}{{{inside}}}", "values": f"{value}+0x40"})
    names = re.findall(r"alert: (\w+)", RULES.read_text())
    test = {"rule_files": [str(RULES)], "evaluation_interval": "15s",
            "tests": [{"interval": "15s", "input_series": series,
                       "alert_rule_test": [{"eval_time": "10m", "alertname": name, "exp_alerts": []} for name in names]}]}
    path = tmp_path / "rules_test.json"  # JSON is YAML
    path.write_text(json.dumps(test))
    done = promtool("test", "rules", path)
    fired = set(re.findall(r"alertname:\s*(\w+), time: 10m", done.stdout + done.stderr))
    assert fired or done.returncode == 0, done.stdout + done.stderr
    return fired


def test_prometheus_has_nothing_against_the_metrics(three):
    """promtool reads what each role tells, and finds no fault in names, types and help texts."""
    three.wait_whole()
    for node in three.data_nodes():
        done = promtool("check", "metrics", text=with_vitals(node))
        # Two names are postgres_exporter's own.
        faults = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("pg_")]
        assert not faults, faults


def test_every_metric_of_the_rules_exists(three):
    """Published rules rot: they ask for metrics that nobody gives any more."""
    primary = three.wait_whole()
    assert promtool("check", "rules", RULES).returncode == 0
    (primary.directory / "alerts.toml").write_text('[command.x]\nprogram = "/bin/true"\n')
    primary.ok("reload")
    try:
        given = {name for name, _, _ in samples(with_vitals(primary))}
    finally:
        (primary.directory / "alerts.toml").unlink()
        primary.ok("reload")
    asked = set(re.findall(r"\b(?:pgkeel|pg)_\w+", "\n".join(re.findall(r"expr: (.*)", RULES.read_text()))))
    assert asked - given == set()


def test_the_rules_are_quiet_on_a_whole_cluster_and_speak_on_a_broken_one(three, tmp_path):
    """What the rules make of real scrapes: nothing while all is well, and the right names when a standby is dead."""
    three.wait_whole()
    quiet = {"PgkeelFenceDegraded"}  # the tests may run without the extension
    texts = {node.name: with_vitals(node) for node in three.data_nodes()}
    assert alerts_of(tmp_path, texts) - quiet == set()
    victim = three.standbys()[0]
    victim.kill()
    primary = three.primary()
    three.wait_status(primary, lambda status: not three.member(status, victim.name)["healthy"], "it is missed")
    texts = {node.name: scrape(node) for node in three.data_nodes() if node is not victim}
    assert alerts_of(tmp_path, texts, down=[victim.name]) - quiet == {"PgkeelNodeDown", "PgkeelMemberUnhealthy"}
    three.wait_whole()


def test_lag_of_a_standby_that_has_all_is_nothing(three):
    """After a load has ended, the server still has the lag that it measured last; the metrics say 0 and caught up."""
    primary = three.wait_whole()
    with three.load() as load:
        three.wait_writes(load, 200)
    def caught_up():
        text = scrape(primary)
        for node in three.standbys():
            for line in (f'pgkeel_standby_caught_up{{standby="{node.name}"}} 1',
                         f'pgkeel_standby_lag_seconds{{standby="{node.name}",stage="replay"}} 0',
                         f'pgkeel_standby_delay_seconds{{standby="{node.name}",part="apply"}} 0'):
                if line not in text.splitlines():
                    raise NotYet(line)
        return True
    wait_for(caught_up, 30, "lag 0", three.describe)
