"""Monotonic reads: what a session was shown once it is shown always, whichever server it reads from; one standby replays
nothing meanwhile."""
import pytest

from test_proxy_split import node  # noqa: F401 (a fixture)
from waiting import wait_for

ENDPOINTS = ["auto", "read-only"]


@pytest.fixture
def late(three, node):
    """A standby that stands still; the other one goes on."""
    node.sql("DROP TABLE IF EXISTS shown")
    node.sql("CREATE TABLE shown (a int)")
    one, other = three.standbys()
    for each in (one, other):
        wait_for(lambda each=each: each.admin("SELECT count(*) FROM pg_class WHERE relname = 'shown'", "audit") == "1", 30,
                 "the table is everywhere")
    one.admin("SELECT pg_wal_replay_pause()")
    wait_for(lambda: one.admin("SELECT pg_get_wal_replay_pause_state()") == "paused", 30, "it stands still")
    yield one
    one.admin("SELECT pg_wal_replay_resume()")


def session(node, endpoint, monotonic):
    return node.proxy(endpoint, options=f"-c keel.causal_reads=off -c keel.monotonic_reads={monotonic}")


def look(connection, hint="/* keel: replica */"):
    """(server's address, how much it shows)"""
    return connection.execute(f"{hint} SELECT host(inet_server_addr()), count(*) FROM shown").fetchone()


def add_rows(node, count):
    node.sql(f"INSERT INTO shown SELECT generate_series(1, {count})")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_without_it_reads_go_back(three, node, late, endpoint):
    """So the other tests can fail."""
    with session(node, endpoint, "off") as one:
        add_rows(node, 5)
        wait_for(lambda: look(one)[1] == 5, 30, "the other standby shows them", three.describe)
        wait_for(lambda: look(one) == (late.address, 0), 10, "the late one shows nothing again", three.describe)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_reads_never_go_back(three, node, late, endpoint):
    fast = next(each for each in three.standbys() if each is not late)
    with session(node, endpoint, "on") as one:
        last = 0
        for _ in range(30):
            add_rows(node, 1)
            here, count = look(one)
            assert count >= last, f"{here} shows {count} after {last}"
            last = count
        wait_for(lambda: look(one) == (fast.address, 30), 30, "the other standby shows all", three.describe)
        for _ in range(20):
            here, count = look(one)
            assert count == 30 and here != late.address
        late.admin("SELECT pg_wal_replay_resume()")
        wait_for(lambda: look(one) == (late.address, 30), 30, "the late one is read from again", three.describe)


def test_what_the_primary_has_shown_counts_too(three, node, late):
    with session(node, "auto", "on") as one:
        for number in range(1, 21):
            add_rows(node, 1)
            assert look(one, "/* keel: primary */") == (node.address, number)
            assert look(one)[1] == number
            with one.transaction():
                assert one.execute("SELECT count(*) FROM shown").fetchone() == (number,)
        assert one.execute("SHOW keel.monotonic_reads").fetchone() == ("on",)
        one.execute("SET keel.monotonic_reads = 'off'")
        wait_for(lambda: look(one)[0] == late.address, 30, "it may go back again", three.describe)
