"""An archive that has lost WAL: it is said everywhere, and the cluster takes a new full backup by itself."""
import json

import pytest
from restoring import facts, number, restore, wait_archived, with_repository
from waiting import NotYet, wait_for


@pytest.fixture
def archived(own_cluster):
    return with_repository(own_cluster(2))


def archive(cluster):
    return cluster.primary().status()["backup"]["archive"]


def test_a_hole_is_told_and_mended_by_a_new_backup(archived):
    """A segment behind the newest backup disappears from the repository."""
    primary = archived.primary()
    primary.ok("config", "set", "backup_full=0 0 1 1 *", "backup_expire=off", "backup_prove=off")
    label = primary.ok("backup", "create", seconds=120).split()[0]
    for value in range(3):
        primary.sql(f"INSERT INTO ledger VALUES ({-10 - value}, 5)")
        primary.admin("SELECT pg_switch_wal()")
    wait_archived(archived, primary.admin("SELECT pg_current_wal_flush_lsn()"))
    found = facts(archived)
    end = number(found["backups"][0]["end"]) >> 24
    wal = archived.repository / found["system_id"] / "wal"
    by_number = {int(path.name[16:24], 16): path for path in wal.rglob("*.zst") if ".history" not in path.name}
    by_number[end + 1].unlink()
    wait_for(lambda: "is missing" in archive(archived)["hole"], 30, "the hole is seen", archived.describe)
    wait_for(lambda: "the archive has a hole" in archived.primary().ok("status"), 30, "status says so", archived.describe)

    def newer():
        now = [one["label"] for one in facts(archived)["backups"]]
        if now == [label]:
            raise NotYet("no new backup yet")
        return now
    assert len(wait_for(newer, 60, "a new backup", archived.describe)) == 2
    wait_for(lambda: not archive(archived)["hole"], 30, "the hole is behind", archived.describe)
    assert len(newer()) == 2
    done = json.loads(primary.ok("history", "--json"))
    events = done["events"] if isinstance(done, dict) else done
    assert any("because the archive has a hole" in one["text"] for one in events)
    to, restored = restore(archived, "latest")
    assert restored.returncode == 0, restored.stdout + restored.stderr
