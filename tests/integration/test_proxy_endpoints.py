"""Ports of the proxy's that read from members with a tag only."""
import psycopg
import pytest

from network import PORTS
from waiting import NotYet, wait_for

REPORTS = 6435
ENDPOINT = f"""
[proxy.endpoints.reports]
port = {REPORTS}
tag = "analytics"
clients_max = 3
"""


@pytest.fixture(scope="module")
def tagged(three_holder):
    """(cluster, the node whose proxy has the endpoint, the member with the tag)."""
    three = three_holder.get()
    three.wait_whole()
    node = three.primary()
    path = node.directory / "node.toml"
    path.write_text(path.read_text() + ENDPOINT + "wait = 1\n")
    node.terminate()
    assert node.keel("proxy").returncode != 0, "a mistake is not passed over"
    path.write_text(path.read_text().replace("wait = 1\n", "").replace("[proxy]\n", "[proxy]\nwait_s_max = 3\n"))
    node.start()
    three.wait_whole()
    return three, node, three.standbys()[0]  # of those after the change: one of them leads now


def connect(node, **options):
    return node.connect(port=REPORTS, **options)


def where(connection):
    return connection.execute("SELECT host(inet_server_addr()), inet_server_port(), pg_is_in_recovery()").fetchone()


def tag(three, member, text):
    three.primary().ok("tag", member.name, text)


def works(node, **options):
    try:
        with connect(node, **options) as one:
            return where(one)
    except psycopg.OperationalError as error:
        raise NotYet(str(error)) from None


def test_only_members_with_the_tag_are_read_from(tagged):
    three, node, member = tagged
    tag(three, member, "analytics=true")
    there = (member.address, PORTS["postgres"], True)
    wait_for(lambda: works(node) == there, 30, "the tag is known", three.describe)
    with connect(node) as one:
        assert {where(one) for _ in range(6)} == {there}
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            one.execute("CREATE TABLE nowhere (a int)")
    with node.proxy("read-only") as one:
        assert there not in {where(one) for _ in range(6)}, "the other ports leave it alone"
    with connect(node) as one, connect(node) as two, connect(node) as three_:
        assert where(one) == where(two) == where(three_) == there
        with pytest.raises(psycopg.OperationalError, match='too many clients of endpoint "reports"'):
            connect(node)
        with node.proxy():
            pass


def test_without_such_a_member_it_is_an_error_and_not_the_primary(tagged):
    three, node, member = tagged
    tag(three, member, "analytics=true")
    wait_for(lambda: works(node), 30, "the tag is known", three.describe)
    with connect(node) as one:
        assert where(one)[2]
        tag(three, member, "analytics=false")
        def refused():
            try:
                where(one)
            except psycopg.OperationalError as error:
                return "no standby with the tag analytics is usable" in str(error) or str(error)
            raise NotYet("it still is read from")
        assert wait_for(refused, 30, "reads end", three.describe) is True
    with connect(node) as one, pytest.raises(psycopg.OperationalError, match="no standby with the tag analytics is usable"):
        where(one)  # a login needs no server
    with node.proxy("read-only") as one:
        wait_for(lambda: (member.address, PORTS["postgres"], True) in {where(one) for _ in range(6)}, 30,
                 "it serves the other ports again", three.describe)
