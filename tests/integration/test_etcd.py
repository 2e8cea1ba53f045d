"""Clusters that keep their record in etcd: its outage postpones elections and demotes nobody."""
import shutil

import pytest

from cluster import Cluster
from etcd import Etcd, new_directory
from sharing import shared


@pytest.fixture(scope="module")
def etcd():
    directory = new_directory()
    server = Etcd(directory).start()
    yield server
    server.kill()
    shutil.rmtree(directory)


stored_holder = shared(lambda request: Cluster(3, init_options=["--etcd", request.getfixturevalue("etcd").url]))


@pytest.fixture
def stored(etcd, stored_holder):
    if etcd.process is None:
        etcd.start()
    return stored_holder.get()


def test_row_19_etcd_down_nodes_healthy(stored, etcd):
    """Row 19. Somebody restarts the etcd servers, all at once. The lease lives between the nodes: same primary, same
    epoch, every write goes on, and the status names the trouble.
    """
    primary = stored.wait_whole()
    epoch = stored.epoch()
    with stored.load() as load:
        stored.wait_writes(load)
        etcd.kill()
        stored.wait_status(primary, lambda status: status["store_trouble"], "the trouble with etcd is shown")
        stored.wait_writes(load, 200)
        assert stored.primary() is primary
        etcd.start()
        stored.wait_status(primary, lambda status: not status["store_trouble"], "etcd is back")
    stored.audit(load)
    assert stored.primary() is primary and stored.epoch() == epoch


def test_row_20_etcd_down_then_the_primary_dies(stored, etcd):
    """Row 20. While etcd is down the primary dies too. Nobody can write a new epoch, so nobody leads; as soon as etcd is
    back, a standby is elected.
    """
    old = stored.wait_whole()
    with stored.load() as load:
        stored.wait_writes(load)
        etcd.kill()
        standbys = stored.standbys()
        stored.wait_status(old, lambda status: status["store_trouble"], "the trouble with etcd is shown")
        old.kill()
        for node in standbys:
            stored.wait_status(node, lambda status: not status["leader_alive"] and status["store_trouble"],
                               "no leader and no store")
        assert stored.primaries() == []
        etcd.start()
        stored.primary(other_than=old)
        stored.wait_writes(load)
    stored.audit(load)
