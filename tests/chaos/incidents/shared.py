"""Incidents that tests/integration has as tests: here with machines around the nodes, clients that knock at every node, and
the audit of gates."""
import functools

import test_etcd
import test_failover
import test_fence
import test_network
import test_recovery
import test_redundancy
from incident import Shape, incident

QUORUM = ("quorum",)


def with_etcd(test):
    @functools.wraps(test)
    def run(world):
        test(world, world.etcd)
    return run



incident(1, "0.4 / 0.4 s", figure=True)(test_failover.test_row_1_postmaster_killed)
incident(3, "0 if < L", figure=True)(test_failover.test_row_3_agent_killed)
incident(4, "0.9 / 1.8 s", figure=True)(test_failover.test_row_4_agent_frozen)
incident(5, "2.2 s", figure=True)(test_failover.test_row_5_postmaster_frozen)
incident(9, "0.9 / 1.8 s", figure=True)(test_network.test_row_9_primary_isolated_with_clients)
incident(14, "0", figure=True)(test_failover.test_row_14_standby_dies)
incident(15, "2.2 s", modes=QUORUM, shape=None)(test_redundancy.test_row_15_only_standby_dies)
incident(16, "until return", modes=("strict",), shape=None)(test_redundancy.test_row_16_strict_mode_waits)
incident(17, "by design", modes=QUORUM)(test_redundancy.test_row_17_primary_and_a_standby_lost_at_once)
incident(18, "until majority")(test_network.test_row_18_majority_of_voters_lost)
incident(19, "0", modes=QUORUM, shape=Shape(etcd=True))(with_etcd(test_etcd.test_row_19_etcd_down_nodes_healthy))
incident(20, "etcd's outage", modes=QUORUM, shape=Shape(etcd=True))(
    with_etcd(test_etcd.test_row_20_etcd_down_then_the_primary_dies))
incident(25, "+5 s", modes=QUORUM)(test_failover.test_row_25_candidate_stalls_while_promoting)
incident(29, "0", modes=QUORUM)(test_failover.test_row_29_old_primary_returns_diverged)
incident(30, "0", variant="rewind", modes=QUORUM)(test_recovery.test_row_30_rewind_killed_half_way)
incident(30, "0", variant="clone", modes=QUORUM)(test_recovery.test_row_30_clone_killed_half_way)
incident(31, "0", modes=QUORUM)(test_fence.test_row_31_postgresql_started_by_hand)
incident(32, "-", modes=QUORUM)(test_fence.test_row_32_client_cancels_during_the_sync_wait)
incident(35, "0", variant="copied", modes=QUORUM)(test_recovery.test_row_35_copied_directory)
incident(35, "0", variant="same name", modes=QUORUM)(test_recovery.test_row_35_second_node_with_the_same_name)
incident(37, "0", modes=QUORUM)(test_recovery.test_row_37_source_of_a_clone_dies)
# That the proxy's clients see no error is not covered: the clients here speak to the servers.
incident(39, "0.15..0.3 s", figure=True)(test_failover.test_row_39_planned_switchover_under_load)
