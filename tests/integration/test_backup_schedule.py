"""Backups, expiries and restore tests that the cluster runs by itself: once, by one node, whatever is killed meanwhile."""
import json
import signal
import time

import processes
import pytest
from cluster import Cluster
from restoring import change_byte, facts, wait_archived, with_repository
from sharing import shared
from waiting import NotYet, wait_for


archived_holder = shared(lambda request: with_repository(Cluster(3)))


@pytest.fixture
def archived(archived_holder):
    return archived_holder.get()


def job(cluster, kind, node=None):
    status = (node or cluster.any_running()).status()
    found = [one for one in (status["backup"] or {}).get("jobs", []) if one["kind"] == kind]
    if not found:
        raise NotYet("the agent has not learnt the record yet")
    return found[0]


def running(cluster, kind):
    """The node that has this job's child process, and the process."""
    verb = {"full": "create"}.get(kind, kind)
    for node in cluster.data_nodes():
        if not node.running():
            continue
        for pid in processes.descendants(node.root_pid()):
            words = processes.arguments(pid)
            if "--as-job" in words and verb in words and processes.alive(pid):
                return node, pid
    raise NotYet(f"no {kind} runs")


def stopped(cluster, kind):
    """As running(), and the process is stopped before it has ended."""
    node, pid = running(cluster, kind)
    processes.send(pid, signal.SIGSTOP)
    if processes.state(pid) not in ("T", "t"):
        raise NotYet("it has ended")
    return node, pid


def member(cluster, node_id):
    return next(node for node in cluster.nodes if node.identity()["node"] == node_id)


def ended(cluster, kind, after_ms, *how):
    """The job, once a run that began after this moment has ended in one of these ways; none named: well."""
    def there():
        found = job(cluster, kind)
        ends = [found[one]["begun_unix_ms"] for one in how or ("good",) if found[one]]
        if max(ends, default=0) < after_ms or not ends or found["running_on"]:
            raise NotYet(json.dumps(found))
        return found
    return wait_for(there, 60, f"{kind} has ended", cluster.describe)


def events(cluster, kind="backup"):
    done = json.loads(cluster.any_running().ok("history", "--json"))
    return [one for one in (done["events"] if isinstance(done, dict) else done) if one["kind"] == kind]


def test_a_restore_test_measures_and_finds_what_is_wrong(archived):
    """The newest backup is restored and checked; its seconds are known everywhere. A killed one leaves nothing behind, and
    a backup that cannot be restored is found.
    """
    node = archived.any_running()
    node.ok("config", "set", "backup_full=off", "backup_expire=off", "backup_prove=off")
    refused = node.keel("backup", "run", "prove")
    assert refused.returncode != 0 and "there is no complete backup" in refused.stderr, refused.stderr
    primary = archived.primary()
    primary.sql("INSERT INTO ledger SELECT generate_series(-2000, -1000), 5")
    label = primary.ok("backup", "create", seconds=120).split()[0]
    assert any(label in one["text"] for one in events(archived))
    wait_archived(archived, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    node.ok("backup", "run", "prove", "--no-wait")
    where, pid = wait_for(lambda: stopped(archived, "prove"), 60, "a restore test runs", archived.describe)
    processes.send(pid, signal.SIGCONT)
    wait_for(lambda: (where.directory / "scratch" / "pgkeel-prove" / "data" / "postmaster.pid").exists(), 60,
             "its server runs", archived.describe)
    processes.send(pid, signal.SIGKILL)
    ended(archived, "prove", 0, "bad")
    said = node.ok("backup", "run", "prove", seconds=120)
    assert label in said and "s for the WAL" in said and "pg_amcheck found nothing wrong" in said, said
    found = job(archived, "prove")["good"]
    assert found["figures"]["restore_seconds"] > 0 and found["figures"]["replay_seconds"] > 0
    assert not (member(archived, found["node"]).directory / "scratch" / "pgkeel-prove").exists()
    code, text = node.get("/metrics")
    assert code == 200 and 'pgkeel_backup_job_figure{job="prove",figure="replay_seconds"}' in text
    said = where.ok("backup", "prove", "--no-check", seconds=120)
    assert "proven" in said and "pg_amcheck" not in said
    assert not (where.directory / "scratch" / "pgkeel-prove").exists()
    change_byte(archived.repository / facts(archived)["system_id"] / "backup" / label / "base.tar.zst")
    refused = node.keel("backup", "run", "prove", seconds=120)
    assert refused.returncode != 0 and "base.tar.zst" in refused.stderr, refused.stderr
    assert "prove failed once" in node.ok("status")

    def told():
        return [one for one in json.loads(archived.primary().ok("alert", "list", "--json"))["alerts"]
                if one["rule"] == "backup_failed"]
    wait_for(told, 30, "the alert", archived.describe)


def test_jobs_survive_what_is_killed(archived):
    """The child of a job, the agent above it, and the node that has it die; the leader changes. Each time the work is done
    once in the end, by whoever is there; the lease is never touched by it.
    """
    node = archived.any_running()
    node.ok("config", "set", "backup_full=off", "backup_prove=off", "backup_expire=off")
    before = {one["label"] for one in facts(archived)["backups"]}
    # The child is killed: a failure with its reason, and asked for again, it succeeds elsewhere.
    node.ok("backup", "run", "full", "--no-wait")
    where, pid = wait_for(lambda: stopped(archived, "full"), 30, "a full runs", archived.describe)
    began = events(archived, "leader")
    processes.send(pid, signal.SIGKILL)
    failed = ended(archived, "full", 0, "bad")
    assert "SIGKILL" in failed["bad"]["text"] and failed["failures"] == 1, failed
    assert "full failed once" in node.ok("status")
    node.ok("backup", "run", "full")
    assert job(archived, "full")["failures"] == 0
    assert member(archived, job(archived, "full")["good"]["node"]) is not where
    # The agent is killed: its child ends with it, and its successor does the work anew.
    asked = int(time.time() * 1000)
    node.ok("backup", "run", "full", "--no-wait")
    where, pid = wait_for(lambda: stopped(archived, "full"), 30, "a full runs", archived.describe)
    processes.send(where.inner("agent"), signal.SIGKILL)
    processes.send(pid, signal.SIGCONT)
    wait_for(lambda: not processes.alive(pid), 20, "the child ends", archived.describe)
    found = ended(archived, "full", asked)
    assert member(archived, found["good"]["node"]) is where
    assert found["failures"] == 0
    assert events(archived, "leader") == began
    # The leader dies while a standby works: the next one hears of the end.
    asked = int(time.time() * 1000)
    old = archived.primary()
    next(one for one in archived.nodes if one is not old).ok("backup", "run", "full", "--no-wait")
    where, pid = wait_for(lambda: stopped(archived, "full"), 30, "a full runs", archived.describe)
    assert where is not old
    old.kill()
    new = archived.primary(other_than=old)
    processes.send(pid, signal.SIGCONT)
    if new is where and not ended(archived, "full", asked, "good", "bad")["good"]["begun_unix_ms"] >= asked:
        # PostgreSQL ends what a standby sends when it is promoted, unless the last of it was on its way already.
        assert "promoted" in job(archived, "full")["bad"]["text"]
        new.ok("backup", "run", "full")
    ended(archived, "full", asked, "good")
    old.start()
    archived.wait_whole(90)
    names = [one["label"] for one in facts(archived)["backups"]]
    assert len(names) == len(set(names)) == len(before) + 3, names


def test_a_schedule_comes_once_on_a_standby_and_an_expiry_after_it(archived):
    """Each minute: all nodes see the same times, and one backup comes of it; two nodes' clocks are not two backups."""
    node = archived.any_running()
    node.ok("config", "set", "backup_keep_full=1", "backup_keep_days=0", "backup_expire=after full", "backup_full=* * * * *",
            "backup_prove=off")
    begun = int(time.time() * 1000)
    found = wait_for(lambda: ended(archived, "full", begun), 90, "the full of this minute", archived.describe)
    label = found["good"]["text"].split()[2]
    node.ok("config", "set", "backup_full=off")
    assert member(archived, found["good"]["node"]) is not archived.primary()
    assert found["good"]["figures"]["bytes"] > 1e6
    expired = ended(archived, "expire", found["good"]["begun_unix_ms"])
    assert "removed: " in expired["good"]["text"]
    names = [one["label"] for one in facts(archived)["backups"]]
    # What is older has gone, but for one that a restore which was killed has marked; the next minute may have come.
    why = node.ok("backup", "expire", "--keep-full", "1", "--dry-run")
    assert label in names, names
    assert all(name >= label or f"stays  {name}  a restore reads it" in why for name in names), why
    assert "the newest is less than a minute old" in node.ok("status")
    wait_for(lambda: "the archive has everything" in archived.primary().ok("status"), 60, "no lag", archived.describe)
    assert any(label in one["text"] for one in events(archived))
    code, text = node.get("/metrics")
    assert code == 200 and 'pgkeel_backup_job_success_timestamp_seconds{job="full"}' in text
    refused = node.keel("config", "set", "backup_full=at night")
    assert refused.returncode != 0 and "five fields of cron" in refused.stderr, refused.stderr
