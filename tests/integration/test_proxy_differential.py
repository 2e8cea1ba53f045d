"""Clients of random habits get the same bytes from the proxy as from a server alone: four of them over two servers.

--differential 1..2000 runs these seeds instead of the few of every day; a seed that fails is named, and does the same again."""
import pytest

from differential.answers import Allowed
from differential.run import Differs, check
from network import PORTS, PROXY_PORTS
from waiting import wait_for


@pytest.fixture(scope="module")
def narrow_holder(request):
    """Two nodes whose proxies have two servers per user, and keep three statements on each."""
    from cluster import Cluster
    cluster = Cluster(2)
    try:
        for node in cluster.data_nodes():
            for key, value in (("pool_size", 2), ("reserve_pool", 0), ("prepared_max", 3)):
                node.edit_config("proxy", key, value)
            node.terminate()
            node.start()
        primary = cluster.wait_whole()
        primary.admin("CREATE ROLE differing_role; GRANT differing_role TO auditor; ALTER ROLE differing_role SET work_mem = '9MB'")
        for name in ("alone", "proxied"):
            primary.admin(f"CREATE DATABASE {name} OWNER auditor")
        wait_for(lambda: primary.proxy(dbname="proxied").close() is None, 60, "the proxy serves", cluster.describe)
        yield cluster
    except BaseException:
        cluster.failed = True
        raise
    finally:
        cluster.close()


@pytest.mark.parametrize("endpoint", ["read-write", "auto"])
def test_the_same_answers_as_from_a_server_alone(narrow_holder, endpoint, request):
    node, allowed = narrow_holder.primary(), Allowed()
    first, last = (int(number) for number in request.config.getoption("--differential").split(".."))
    failed = []
    for seed in range(first, last + 1):
        try:
            check(seed, (node.address, PORTS["postgres"], "auditor", "alone", narrow_holder.password),
                  (node.address, PROXY_PORTS[endpoint], "auditor", "proxied", narrow_holder.password), allowed)
        except Differs as error:
            failed.append(error)
            print(f"{error}\n")
    print(allowed.used)
    assert not failed, f"{len(failed)} of {last - first + 1} seeds differ (to repeat one: --differential SEED..SEED):\n{failed[0]}"
