"""Cut cables and dead hosts: three data nodes in network namespaces behind a switch."""
import pytest

from cluster import Cluster
from sharing import shared
from waiting import wait_for


hosts_holder = shared(lambda request: Cluster(3, namespaces=True))


@pytest.fixture
def hosts(hosts_holder):
    return hosts_holder.get()


def test_row_6_host_off(hosts):
    """Row 6. The primary's host loses power: no reset, no farewell, only silence. The others suspect and elect."""
    old = hosts.wait_whole()
    with hosts.load() as load:
        hosts.wait_writes(load)
        hosts.network.cut(old.host)
        old.kill()
        hosts.primary(other_than=old)
        hosts.wait_writes(load)
        hosts.network.heal(old.host)
    hosts.audit(load)


def test_row_9_primary_isolated_with_clients(hosts):
    """Row 9. A switch port fails: the primary and the applications on its host are alone together.

    They see a server that takes writes, but no commit is acknowledged there, and the majority goes on. When the port
    works again, the old primary follows the new one.
    """
    old = hosts.wait_whole()
    with hosts.load(inside=[old, old]) as load:
        inside = [writer for writer in load.writers if writer.home is old]
        wait_for(lambda: all(len(writer.ledger.acknowledged) > 20 for writer in inside), 30, "writes inside",
                 hosts.describe)
        hosts.network.cut(old.host)
        hosts.primary(other_than=old)
        acknowledged = [len(writer.ledger.acknowledged) for writer in inside]
        hosts.wait_writes(load, 100)
        assert acknowledged == [len(writer.ledger.acknowledged) for writer in inside], "acknowledged in isolation"
        hosts.network.heal(old.host)
        hosts.wait_whole()
    hosts.audit(load)


def test_row_18_majority_of_voters_lost(hosts):
    """Row 18. Both standbys lose their network. The leader's lease runs out, and it takes no more writes: it cannot know
    what the others do. When they are back, one primary goes on.
    """
    leader = hosts.wait_whole()
    others = hosts.standbys()
    with hosts.load(inside=[leader]) as load:
        hosts.wait_writes(load)
        for node in others:
            hosts.network.cut(node.host)
        wait_for(lambda: not leader.is_primary(), 30, "the leader gives up without a majority", hosts.describe)
        hosts.wait_status(leader, lambda status: not status["leader_alive"] and status["voters_alive"] == 1,
                          "the leader knows that it is alone")
        assert leader.get("/primary")[0] == 503
        for node in others:
            hosts.network.heal(node.host)
        hosts.primary()
        hosts.wait_writes(load)
    hosts.audit(load)
