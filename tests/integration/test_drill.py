"""`pgkeel drill`: a failure on purpose in the user's own cluster, safe before it, honest after it."""
import json
import os
import signal
import subprocess
import time

import pytest

import processes
import program
from waiting import NotYet, wait_for


@pytest.fixture
def shop(three):
    three.wait_whole()
    yield three
    for node in three.nodes:
        if not node.running():
            node.start()
    three.wait_whole(90)


def drill(node, *words, seconds=150, **options):
    return program.run(node.command("drill", "--dir", node.directory, *words), seconds, **options)


def report_of(done):
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(f"exit code {done.returncode}, no report:\n{done.stdout}{done.stderr}") from None


def other_than(shop, node):
    return next(one for one in shop.data_nodes() if one is not node)


def schemas(shop, database="postgres"):
    """How many schemas of drills the primary has."""
    return shop.primary().admin("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgkeel_drill'", database)


def check_good(shop, done, fault, before):
    """The report of a drill that changed the leader and lost nothing, and that it left nothing behind."""
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{shop.describe()}"
    report = report_of(done)
    assert report["format"] == 1 and report["fault"] == fault and report["verdict"] == "good", report
    assert report["checked"] and report["lost"] == 0 and report["foreign"] == 0 and report["acknowledged"] > 50, report
    assert report["leader_before"] == before and report["leader_after"] == shop.primary().name != before, report
    assert report["epoch_after"] > report["epoch_before"] and report["whole"] and not report["not_whole"], report
    phases = [phase["who"] for phase in report["phases"]]
    assert phases[0] == "fault", report["phases"]
    assert {"noticed", "epoch_taken", "promoted", "writes_again", "redundancy_restored"} <= set(phases), report["phases"]
    times = [phase["ms"] for phase in report["phases"]]
    assert times == sorted(times) and times[0] == 0
    assert report["write_outage_ms"] > 0 and report["read_outage_ms"] is not None
    assert any("leads epoch" in line for line in report["history"]), report["history"]
    assert report["schema_dropped"] and schemas(shop) == "0", "it left its schema behind"
    return report


def events_of(node):
    """The history but for what comes late by itself: a slow standby leaves S and comes back, and a leader's phases are told after its election."""
    events = json.loads(node.get("/history")[1])
    return [event["text"] for event in events if event["kind"] not in ("sync", "phases")]


def test_a_dry_run_changes_nothing(shop):
    """It names the processes that would die, and they live on; nothing is written anywhere."""
    primary = shop.primary()
    before = primary.status()
    events = events_of(primary)
    pids = {"postmaster": primary.postmaster(), "agent": primary.inner("agent"), "node": primary.root_pid()}
    for fault in ("switchover", "postmaster", "agent", "node"):
        done = drill(primary, "--fault", fault, "--dry-run")
        assert done.returncode == 0, f"{fault}: {done.stdout}{done.stderr}"
        assert "nothing is done now" in done.stdout and "at risk" in done.stdout and "all passed" in done.stdout
        plan = report_of(drill(primary, "--fault", fault, "--dry-run", "--json"))
        named = {process["pid"] for process in plan["processes"]}
        assert plan["fault"] == fault and not plan["objections"] and len(plan["candidates"]) == 2, plan
        if fault == "node":
            assert set(pids.values()) | {primary.inner("guardian")} <= named, (pids, plan)
            assert not named - primary.all_pids(), "only processes of this node"
        else:
            assert named == ({pids[fault]} if fault in pids else set()), (pids, plan)
    assert all(processes.alive(pid) for pid in pids.values())
    # The record may change meanwhile, a slow standby leaves S and comes back, but nobody asked for a change of leader.
    after = primary.status()
    assert (after["epoch"], after["leader"]) == (before["epoch"], before["leader"])
    assert events_of(primary) == events, "a dry run was carried out"
    assert schemas(shop) == "0"


def test_a_switchover_drill_loses_nothing(shop, tmp_path):
    """The default: nothing is killed. The page stands alone, and the writes of applications survive too."""
    primary, page = shop.primary(), tmp_path / "drill.html"
    with shop.load() as load:
        shop.wait_writes(load)
        done = drill(primary, "--yes", "--json", "--html", page)
        report = check_good(shop, done, "switchover", primary.name)
    shop.audit(load)
    assert not report["killed"]
    html = page.read_text()
    assert html.startswith("<!doctype html>") and "lost: 0" in html and html.rstrip().endswith("</html>")
    assert "http://" not in html and "https://" not in html and "<script" not in html


def test_a_switchover_drill_to_a_target(shop):
    primary = shop.primary()
    target = other_than(shop, primary)
    report = check_good(shop, drill(primary, "--yes", "--json", "--target", target.name), "switchover", primary.name)
    assert report["leader_after"] == target.name


def test_a_postmaster_drill_loses_nothing(shop):
    """As text. The postmaster that the dry run names is the one that dies."""
    primary = shop.primary()
    postmaster = primary.postmaster()
    done = drill(primary, "--fault", "postmaster", "--yes", "--json")
    report = check_good(shop, done, "postmaster", primary.name)
    assert [process["pid"] for process in report["killed"]] == [postmaster]
    assert not processes.alive(postmaster)


def test_an_agent_drill_ends_with_a_whole_cluster(shop):
    """Whether the agent is back before its lease is over, or another node leads: both are right."""
    primary = shop.primary()
    agent = primary.inner("agent")
    done = drill(primary, "--fault", "agent", "--yes")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{shop.describe()}"
    assert "lost: 0" in done.stdout and "redundancy_restored" in done.stdout and "Verdict: nothing" in done.stdout
    assert not processes.alive(agent) and schemas(shop) == "0"


def test_a_node_drill_waits_for_the_node(shop):
    """Every process of the primary dies, this drill's excepted; the service manager (here: the test) starts it again."""
    primary = shop.primary()
    pids = primary.all_pids()
    running = subprocess.Popen(primary.command("drill", "--dir", primary.directory, "--fault", "node", "--yes", "--json"),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def dead():
        if any(processes.alive(pid) for pid in pids):
            raise NotYet(f"alive: {[pid for pid in pids if processes.alive(pid)]}")
        return True

    wait_for(dead, 60, "every process of the primary is dead", shop.describe)
    primary.process.wait(20)
    primary.process = None
    primary.start()
    out, err = running.communicate(timeout=150)
    report = check_good(shop, subprocess.CompletedProcess([], running.returncode, out, err), "node", primary.name)
    assert len(report["killed"]) > 5


def test_refused_when_a_standby_is_missing(shop):
    """A cluster that has a failure already gets no second one."""
    primary = shop.primary()
    missing = other_than(shop, primary)
    missing.kill()
    shop.wait_status(primary, lambda status: not shop.member(status, missing.name)["healthy"], "it is missed")
    postmaster = primary.postmaster()
    done = drill(primary, "--fault", "postmaster", "--yes")
    assert done.returncode == 3, f"{done.stdout}{done.stderr}"
    assert missing.name in done.stderr and "mend:" in done.stderr and "nothing was done" in done.stderr
    assert primary.postmaster() == postmaster and schemas(shop) == "0"
    planned = drill(primary, "--fault", "postmaster", "--dry-run")
    assert planned.returncode == 3 and "refused" in planned.stdout and missing.name in planned.stdout


def test_refused_when_paused(shop):
    primary = shop.primary()
    primary.ok("pause")
    try:
        done = drill(primary, "--yes")
        assert done.returncode == 3 and "pgkeel resume" in done.stderr, done.stderr
    finally:
        primary.ok("resume")


def test_refused_away_from_the_primary(shop):
    """It kills only where it runs, and says where that would be."""
    primary = shop.primary()
    standby = other_than(shop, primary)
    for words in (["--fault", "postmaster"], ["--fault", "node"], []):
        done = drill(standby, "--yes", *words)
        assert done.returncode == 3 and f"run it on {primary.name}" in done.stderr, done.stderr


def test_a_role_of_ones_own_may_drill_from_anywhere(shop):
    """A switchover goes through the API; the load is the role's, in a database of its own."""
    primary = shop.primary()
    standby = other_than(shop, primary)
    env = os.environ | {"PGPASSWORD": shop.password}
    done = drill(standby, "--yes", "--json", "--user", "auditor", "--database", "audit", env=env)
    check_good(shop, done, "switchover", primary.name)
    assert schemas(shop, "audit") == "0"
    wrong = drill(shop.primary(), "--yes", "--user", "auditor", "--database", "audit", env=env | {"PGPASSWORD": "no"})
    assert wrong.returncode == 3 and "PGPASSFILE" in wrong.stderr, wrong.stderr


def test_a_role_that_may_not_make_its_schema(shop):
    primary = shop.primary()
    primary.admin(f"CREATE ROLE poor LOGIN PASSWORD '{shop.password}'")
    done = drill(primary, "--yes", "--user", "poor", "--database", "audit", env=os.environ | {"PGPASSWORD": shop.password})
    primary.admin("DROP ROLE poor")
    assert done.returncode == 3 and 'GRANT CREATE ON DATABASE "audit" TO "poor"' in done.stderr, done.stderr


def test_a_schema_that_no_drill_made_is_left_alone(shop):
    """Somebody's own schema of this name is not dropped; what an interrupted drill left behind is."""
    primary = shop.primary()
    primary.admin("CREATE SCHEMA pgkeel_drill")
    done = drill(primary, "--yes")
    assert done.returncode == 3 and "no drill has made" in done.stderr, done.stderr
    assert schemas(shop) == "1"
    primary.admin("DROP SCHEMA pgkeel_drill")


def test_one_drill_at_a_time_and_a_dead_one_is_cleared_away(shop):
    """A drill that is killed leaves its schema; the next one knows it by its comment and drops it."""
    primary = shop.primary()
    first = subprocess.Popen(primary.command("drill", "--dir", primary.directory, "--yes", "--json"),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "schema pgkeel_drill is made" in first.stderr.readline()
    second = drill(primary, "--dry-run")
    first.kill()
    first.communicate()
    assert second.returncode == 3 and "another drill is under way" in second.stdout, second.stdout
    assert shop.primary() is primary and schemas(shop) == "1", "it was killed before its fault"

    def gone():
        if drill(primary, "--dry-run").returncode != 0:
            raise NotYet("its sessions have not ended")
        return True

    wait_for(gone, 30, "the dead drill's sessions have ended", shop.describe)
    assert schemas(shop) == "1", "a dry run clears nothing away"
    check_good(shop, drill(primary, "--yes", "--json"), "switchover", primary.name)


def test_ctrl_c_ends_it_and_takes_the_schema_away(shop):
    """Before the fault nothing has happened; behind it, what was seen until then is reported."""
    primary = shop.primary()
    command = primary.command("drill", "--dir", primary.directory, "--yes", "--json")
    early = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "schema pgkeel_drill is made" in early.stderr.readline()
    early.send_signal(signal.SIGINT)
    out, err = early.communicate(timeout=60)
    assert early.returncode == 1 and not out and "nothing was done" in err, f"{early.returncode} {out} {err}"
    assert shop.primary() is primary and schemas(shop) == "0"

    late = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in late.stderr:
        if "hands the leadership" in line:
            break
    time.sleep(0.3)
    late.send_signal(signal.SIGINT)
    out, err = late.communicate(timeout=90)
    report = json.loads(out)
    assert late.returncode == 1 and report["verdict"] == "interrupted" and report["lost"] == 0, f"{report} {err}"
    shop.wait_whole(90)
    assert schemas(shop) == "0"


def test_wrong_words_and_no_confirmation(shop):
    primary = shop.primary()
    for words, told in (
            (["--fault", "flood"], "flood"),
            (["--fault", "node", "--target", "bela"], "--target"),
            (["--database", "shop"], "--user"),
            (["--seconds", "0"], "--seconds"),
            (["--dry-run", "--html", "/tmp/x.html"], "--html"),
            (["--html", "/nowhere/at/all.html", "--yes"], "/nowhere/at/all.html"),
            (["--host", "10.0.0.1"], "--host"),
            ([], "--yes")):
        done = drill(primary, *words)
        assert done.returncode == 2 and told in done.stderr, f"{words}: {done.returncode} {done.stderr}"
    done = drill(primary, "--yes", "--target", "nobody")
    assert done.returncode == 3 and "nobody cannot take over" in done.stderr and "--target" in done.stderr, done.stderr
    assert schemas(shop) == "0"
