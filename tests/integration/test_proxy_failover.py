"""A failover as the clients of a proxy see it: idle ones notice nothing, waiting ones pause, open transactions get 40001,
nothing that was acknowledged is lost, and nothing that was lost is called stored."""
import signal
import threading

import psycopg
import pytest

import processes
from waiting import wait_for


@pytest.fixture
def away(three):
    """A proxy on a node that is not the primary, and that stays."""
    three.wait_whole(60)
    return three.standbys()[0]


def kill_postmaster(node):
    processes.send(node.postmaster(), signal.SIGKILL)


def moved(three, before):
    return three.primary(60, other_than=before)


class Writer(threading.Thread):
    """Orders one row after the other in transactions, and remembers what it was told of each."""

    def __init__(self, node, number, explicit):
        super().__init__(daemon=True)
        self.node, self.number, self.explicit = node, number, explicit
        self.done, self.refused, self.unknown, self.states = [], [], [], []
        self.stopping = False
        self.broken = None

    def run(self):
        try:
            with self.node.proxy(autocommit=not self.explicit) as connection:
                row = 0
                while not self.stopping:
                    row += 1
                    self.write(connection, row)
        except Exception as error:
            self.broken = error

    def write(self, connection, row):
        try:
            connection.execute("INSERT INTO proxied VALUES (%s, %s)", [self.number, row])
            if self.explicit:
                connection.commit()
            self.done.append(row)
        except psycopg.Error as error:
            self.states.append(error.sqlstate)
            if error.sqlstate == "40001":
                self.refused.append(row)
            elif error.sqlstate in ("08007", "08006"):
                self.unknown.append(row)
            else:
                raise
            if self.explicit:
                connection.rollback()


@pytest.fixture
def writers(three, away):
    primary = three.primary()
    with primary.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS proxied (writer int, id int, PRIMARY KEY (writer, id))")
        connection.execute("TRUNCATE proxied")
    made = [Writer(away, i, explicit=i % 2 == 0) for i in range(8)]
    for one in made:
        one.start()
    wait_for(lambda: all(len(one.done) > 20 or one.broken for one in made), 30, "every writer writes")
    yield made
    for one in made:
        one.stopping = True
    for one in made:
        one.join(60)


def check(three, writers, allowed):
    """Stops the writers and compares what each was told with what is stored."""
    for one in writers:
        one.stopping = True
    for one in writers:
        one.join(60)
        assert not one.is_alive() and one.broken is None, f"writer {one.number}: {one.broken!r}"
    stored = {tuple(row) for row in three.primary().sql("SELECT writer, id FROM proxied")}
    for one in writers:
        acknowledged = {(one.number, row) for row in one.done}
        assert acknowledged <= stored, f"lost: {sorted(acknowledged - stored)[:5]}"
        falsely = {(one.number, row) for row in one.refused} & stored
        assert not falsely, f"told to run it again, and stored: {falsely}"
        assert set(one.states) <= allowed, one.states


def goes_on(writers):
    counts = [len(one.done) for one in writers]
    wait_for(lambda: all(len(one.done) > count + 20 or one.broken for one, count in zip(writers, counts)), 60,
             "every writer goes on")


@pytest.mark.parametrize("round_", range(2))
def test_the_primary_s_postmaster_is_killed_under_load(three, away, writers, round_):
    primary = three.primary()
    idle = away.proxy()
    idle.execute("SELECT 1")
    idle.execute("SET application_name = 'idle'")
    open_ = away.proxy(autocommit=False)
    open_.execute("INSERT INTO proxied VALUES (1000, 1)")
    kill_postmaster(primary)
    # Whoever asks now waits, unless the dead server's last processes are quicker, and is answered by a primary.
    asked = "SELECT NOT pg_is_in_recovery(), current_setting('application_name')"
    assert idle.execute(asked).fetchone() == (True, "idle")
    moved(three, primary)
    assert idle.execute(asked).fetchone() == (True, "idle")
    with pytest.raises(psycopg.errors.SerializationFailure):
        open_.execute("SELECT 1")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        open_.execute("SELECT 1")
    open_.rollback()
    assert open_.execute("SELECT count(*) FROM proxied WHERE writer = 1000").fetchone() == (0,)
    open_.commit()
    goes_on(writers)
    idle.close(), open_.close()
    check(three, writers, {"40001", "08007", "08006"})


def test_reads_go_on_while_there_is_no_primary(three, away):
    primary = three.primary()
    with away.proxy("read-only") as reader:
        asked = "SELECT pg_is_in_recovery()"
        assert reader.execute(asked).fetchone() == (True,)
        primary.ok("pause")  # so that nobody is elected
        try:
            kill_postmaster(primary)
            wait_for(lambda: not primary.is_primary(), 10, "its server is down")
            assert reader.execute(asked).fetchone() == (True,)
            with away.proxy("read-only") as other:
                assert other.execute(asked).fetchone() == (True,)
        finally:
            primary.ok("resume")
        moved(three, primary)
        assert reader.execute(asked).fetchone() == (True,)


def test_logins_are_answered_while_there_is_no_primary(three, away):
    with away.proxy() as connection:
        connection.execute("SELECT 1")
    primary = three.primary()
    primary.ok("pause")  # so that nobody is elected
    try:
        kill_postmaster(primary)
        wait_for(lambda: not primary.is_primary(), 10, "its server is down")
        results = []
        with away.proxy(connect_timeout=10) as connection:
            asks = threading.Thread(target=lambda: results.append(connection.execute("SELECT 7").fetchone()))
            asks.start()
            primary.ok("resume")
            asks.join(60)
            assert results == [(7,)]
    finally:
        primary.keel("resume")
    three.wait_whole(90)


def test_a_switchover_costs_no_error(three, away, writers):
    primary = three.primary()
    primary.ok("switchover", "--yes")
    moved(three, primary)
    goes_on(writers)
    check(three, writers, {"40001"})
