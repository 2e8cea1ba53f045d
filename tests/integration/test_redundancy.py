"""How many copies there are, and what happens when they are too few."""
import signal

import processes
from waiting import wait_for


def test_row_15_only_standby_dies(own_cluster):
    """Row 15. Two data nodes and a witness; the only standby dies. After the eviction the leader is the only one who may
    ever lead, this is recorded first, and then it goes on alone. The standby returns and the redundancy with it.
    """
    pair = own_cluster(2, witness=True)
    primary, standby = pair.wait_whole(), pair.standbys()[0]
    epoch = pair.epoch()
    with pair.load() as load:
        pair.wait_writes(load)
        standby.kill()
        status = pair.wait_status(primary, lambda status: status["sync_names"] == [primary.name], "S = {leader}")
        assert status["health"] == "degraded", status["verdict"]
        pair.wait_writes(load)
    pair.audit(load)
    assert pair.primary() is primary and pair.epoch() == epoch


def test_row_16_strict_mode_waits(own_cluster):
    """Row 16. The same in strict mode: commits wait, the status says so, and they end when the standby is back."""
    pair = own_cluster(2, witness=True, mode="strict")
    primary, standby = pair.wait_whole(), pair.standbys()[0]
    with pair.load() as load:
        pair.wait_writes(load)
        standby.kill()
        pair.wait_status(primary, lambda status: status["health"] != "ok", "an alarm")
        wait_for(lambda: primary.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' "
                                       "AND clock_timestamp() - state_change > '4 s'") > 0, 30,
                 "commits that wait longer than an eviction takes", pair.describe)
        before = load.acknowledged()
        wait_for(lambda: primary.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' "
                                       "AND clock_timestamp() - state_change > '6 s'") > 0, 30, "still waiting",
                 pair.describe)
        assert load.acknowledged() == before, "acknowledged without a standby in strict mode"
        standby.start()
        pair.wait_writes(load)
    pair.audit(load)
    assert pair.primary() is primary


def test_row_17_primary_and_a_standby_lost_at_once(three):
    """Row 17. Two of three nodes die together. The third may lack acknowledged commits and has no majority: it leads
    nobody, says who is missing, and refuses a failover. When the other standby returns, both together know enough.
    """
    old = three.wait_whole()
    survivor, standby = three.standbys()
    with three.load() as load:
        three.wait_writes(load)
        for pid in old.all_pids() | standby.all_pids():
            processes.send(pid, signal.SIGKILL)
        old.kill()
        standby.kill()
        # The other standby may have lived long enough to begin an election.
        status = three.wait_status(
            survivor, lambda status: status["health"] == "down" and any(
                node.name in status["verdict"] + status["reason"] for node in (old, standby)), "the survivor says who is missing")
        assert not status["leader_alive"]
        refused = survivor.keel("failover", "--yes")
        assert refused.returncode == 3, refused.stdout + refused.stderr
        assert not survivor.is_primary()
        standby.start()
        new = three.primary(other_than=old)
        three.wait_writes(load)
    three.audit(load)
    assert new is not old
