"""Dumps of single databases: what is fetched from the repository is what pg_restore brings back."""
import time

import program
import pytest
from network import PORTS
from program import run
from restoring import change_byte, facts, key_file, with_repository
from waiting import wait_for


@pytest.fixture
def archived(own_cluster):
    cluster = own_cluster(2)
    return with_repository(cluster, encryption_key_file=key_file(cluster, "backup.key", "5a" * 32))


def dumps(cluster):
    return facts(cluster)["dumps"]


def test_a_dump_comes_back_whole_and_old_ones_expire(archived):
    """Of an encrypted repository, taken on a standby, by hand and by the cluster; nothing of it can be read there."""
    primary = archived.primary()
    standby = next(node for node in archived.nodes if node is not primary)
    marker = "a text that would be seen in any dump"
    primary.sql("INSERT INTO ledger SELECT generate_series(-9000, -1000), 5")
    primary.admin("CREATE DATABASE crm")
    primary.admin(f"CREATE TABLE notes AS SELECT '{marker}' AS note", "crm")
    wait_for(lambda: standby.admin("SELECT note FROM notes", "crm") == marker, 30, "the standby has it", archived.describe)
    refused = standby.keel("backup", "create", "--logical", "no_such")
    assert refused.returncode != 0 and "there is no database no_such" in refused.stderr, refused.stderr
    assert not dumps(archived)
    label = standby.ok("backup", "create", "--logical", "audit", "--logical", "crm").split()[0]
    made = dumps(archived)
    assert {one["database"] for one in made} == {"audit", "crm"} and made[0]["label"] == label
    stored = archived.repository / facts(archived)["system_id"] / "dump"
    assert not any(marker.encode() in path.read_bytes() for path in stored.rglob("*") if path.is_file())
    target = archived.root / "fetched"
    target.mkdir(mode=0o777)
    target.chmod(0o777)
    for one in made:
        standby.ok("backup", "fetch", one["label"], "--to", target / one["database"])
        primary.admin(f"CREATE DATABASE again_{one['database']}")
        done = run(program.as_server_user([program.postgres_bin() / "pg_restore", "-h", primary.directory / "run", "-p", str(PORTS["postgres"]),
                                           "-U", "postgres", "-d", f"again_{one['database']}", target / one["database"]]), cwd="/")
        assert done.returncode == 0, done.stderr
    assert primary.admin("SELECT note FROM notes", "again_crm") == marker
    rows = "SELECT count(*), sum(id) FROM ledger"
    assert primary.admin(rows, "again_audit") == primary.admin(rows, "audit")
    assert (target / "crm").stat().st_mode & 0o777 == 0o600
    refused = standby.keel("backup", "fetch", label, "--to", target / "crm")
    assert refused.returncode != 0 and "File exists" in refused.stderr, refused.stderr
    # As the schedule has it: every database that is named, by the standby.
    primary.ok("config", "set", "backup_dump_databases=crm, audit")
    began = int(time.time() * 1000)
    said = primary.ok("backup", "run", "dump")
    assert "dump of crm" in said and "audit" in said, said
    status = primary.status()["backup"]["jobs"]
    assert next(one for one in status if one["kind"] == "dump")["good"]["begun_unix_ms"] >= began - 1000
    assert len(dumps(archived)) == 4
    primary.ok("backup", "expire", "--keep-dump-days", "1")
    assert len(dumps(archived)) == 4  # of today
    newest = dumps(archived)[-1]["label"]
    change_byte(stored / newest / "dump.zst")
    refused = primary.keel("backup", "fetch", newest, "--to", target / "broken")
    assert refused.returncode != 0 and not (target / "broken").exists(), refused.stderr
    assert primary.ok("backup", "list").count("dump of crm") == 2
