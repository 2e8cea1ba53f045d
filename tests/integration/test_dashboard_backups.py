"""The backups on the dashboard: what can be restored, which day has what, and a backup that an operator asks for."""
import json

import browser
import pytest
from restoring import with_repository
from waiting import NotYet, wait_for


@pytest.fixture(scope="module", autouse=True)
def a_browser_is_here():
    browser.prerequisites()


def test_backups_are_read_and_run_from_the_page(own_cluster):
    """First there is none, then a full one that is asked for there, an incremental one, a restore test, and a failure."""
    cluster = with_repository(own_cluster(2))
    primary = cluster.wait_whole()
    token = primary.ok("access", "add", "operateer", "--role", "operate", "--bare").strip()
    with browser.Visit("backups", primary, token, wide=False) as visit:
        visit.at("a full one runs")
        visit.go()
        visit.at("all of them ran", 400)
        jobs = {one["kind"]: one for one in primary.status()["backup"]["jobs"]}
        assert all(jobs[kind]["good"] for kind in ("full", "incremental", "dump", "prove")), jobs
        # A restore test that cannot read what it needs.
        listed = json.loads(primary.ok("backup", "list", "--json"))
        assert [one["kind"] for one in listed["backups"]] == ["full", "incremental"], listed
        for part in cluster.repository.glob("*/backup/*/base.tar.zst"):
            part.rename(part.with_suffix(".away"))
        assert primary.keel("backup", "run", "prove").returncode != 0

        def failed():
            if not {one["kind"]: one for one in primary.status()["backup"]["jobs"]}["prove"]["failures"]:
                raise NotYet("it is not on record")
            return True

        wait_for(failed, 30, "the failure is on record", cluster.describe)
        visit.go()
        visit.end()
