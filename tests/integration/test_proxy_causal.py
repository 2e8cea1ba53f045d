"""Reads see what their session has committed, on whichever server they run: a checker with a history, while the standbys
replay late or not at all."""
import random
import signal
import threading

import psycopg
import psycopg.sql
import pytest

import processes
from test_proxy_split import node  # noqa: F401 (a fixture)
from waiting import wait_for


def pause(three):
    for each in three.standbys():
        each.admin("SELECT pg_wal_replay_pause()")


def resume(three):
    for each in three.data_nodes():
        if each.running() and not each.is_admin_primary():
            each.admin("SELECT pg_wal_replay_resume()")


@pytest.fixture
def replay(three, node):
    node.sql("DROP TABLE IF EXISTS causal")
    node.sql("CREATE TABLE causal (session int, seen int)")
    yield three
    resume(three)


def values(connection, session, hint=""):
    """Everything the session has written, and whether a standby said so."""
    here, count = connection.execute(f"{hint} SELECT whereabouts(), count(*) FROM causal WHERE session = %s",
                                     [session]).fetchone()
    return here, count


@pytest.mark.parametrize("prepared", [False, True])
def test_own_writes_are_read_while_replay_stands_still(three, node, replay, prepared):
    with node.proxy() as one, node.proxy() as other:
        one.prepare_threshold = 0 if prepared else None
        wait_for(lambda: values(other, 1)[0], 30, "the table is known")
        pause(three)
        for i in range(1, 11):
            one.execute("INSERT INTO causal VALUES (1, %s)", [i])
            assert values(one, 1) == (False, i), "the primary has it"
        assert values(other, 1)[0], "who has written nothing reads from a standby"
        with one.transaction():
            one.execute("INSERT INTO causal VALUES (1, 11)")
        assert values(one, 1) == (False, 11)
        resume(three)
        wait_for(lambda: values(one, 1) == (True, 11), 30, "it reads from a standby again", three.describe)


def test_it_is_the_token_that_sends_them_to_the_primary(three, node, replay):
    """Without it the same reads are stale: so the other tests can fail."""
    with node.proxy(options="-c keel.causal_reads=off") as one:
        wait_for(lambda: values(one, 1)[0], 30, "the table is known")
        pause(three)
        one.execute("INSERT INTO causal VALUES (1, 1)")
        assert values(one, 1) == (True, 0)


def test_a_token_goes_from_one_session_to_another(three, node, replay):
    with node.proxy() as writer, node.proxy() as reader:
        wait_for(lambda: values(reader, 1)[0], 30, "the table is known")
        assert writer.execute("SHOW keel.lsn").fetchone() == ("",)
        pause(three)
        writer.execute("INSERT INTO causal VALUES (1, 1)")
        token = writer.execute("SHOW keel.lsn").fetchone()[0]
        assert int(token.split(":")[0]) >= 1
        assert values(reader, 1) == (True, 0)
        reader.execute(psycopg.sql.SQL("SET keel.min_lsn = {}").format(token))
        assert values(reader, 1) == (False, 1)
        writer.execute("INSERT INTO causal VALUES (1, 2)")
        assert writer.execute("SHOW keel.lsn", prepare=True).fetchone()[0] > token
        with writer.transaction():
            assert writer.execute("SHOW keel.lsn").fetchone()[0] > token
        resume(three)
        wait_for(lambda: values(reader, 1) == (True, 2), 30, "a standby has it", three.describe)
    with node.proxy(options=f"-c keel.min_lsn={token}") as later:
        assert values(later, 1) == (True, 2)
        told = []
        later.add_notice_handler(lambda notice: told.append(notice.message_primary))
        later.execute("SET keel.min_lsn = 'yesterday'")
        assert values(later, 1) == (False, 2) and any("SHOW keel.lsn" in text for text in told)
        later.execute("SET keel.min_lsn = '77:0/1'")
        assert values(later, 1) == (False, 2), "of a timeline that nobody knows the primary answers"


def test_global_reads_see_what_others_have_committed(three, node, replay):
    with node.proxy() as writer, node.proxy(options="-c keel.causal_reads=global") as reader:
        wait_for(lambda: values(reader, 1)[0], 30, "the table is known")
        pause(three)
        writer.execute("INSERT INTO causal VALUES (1, 1)")
        assert values(reader, 1) == (False, 1)


def test_a_standby_that_is_soon_there_is_asked_instead(three, node, replay):
    """Right after its commit a session is served by standbys: the proxy asks them itself how far they are."""
    with node.proxy() as one:
        wait_for(lambda: values(one, 1)[0], 30, "the table is known")
        served = 0
        for i in range(1, 101):
            one.execute("INSERT INTO causal VALUES (1, %s)", [i])
            there, count = values(one, 1)
            assert count == i
            served += there
        assert served > 0, "a standby has served at least one of a hundred"


class Session(threading.Thread):
    """Writes and reads its own rows through one connection; keeps what it was told."""

    def __init__(self, node, number):
        super().__init__(daemon=True)
        self.node, self.number = node, number
        self.count, self.reads, self.there, self.stale, self.ahead = 0, 0, 0, [], []
        self.unsure, self.stopping, self.broken = 0, False, None

    def run(self):
        try:
            with self.node.proxy() as connection:
                connection.prepare_threshold = 0 if self.number % 2 else None
                draw = random.Random(self.number)
                while not self.stopping:
                    if draw.random() < 0.3:
                        self.write(connection)
                    else:
                        self.read(connection)
        except Exception as error:
            self.broken = error

    def write(self, connection):
        try:
            connection.execute("INSERT INTO causal VALUES (%s, %s)", [self.number, self.count])
            self.count += 1
        except psycopg.Error as error:
            if error.sqlstate in ("08006", "08007"):
                self.unsure += 1
            elif error.sqlstate != "40001":
                raise

    def read(self, connection):
        there, count = values(connection, self.number)
        self.reads += 1
        self.there += there
        if count < self.count:
            self.stale.append((self.count, count, there))
        if count > self.count + self.unsure:
            self.ahead.append((self.count, count, there))


def finish(sessions):
    for one in sessions:
        one.stopping = True
    for one in sessions:
        one.join(60)
        assert not one.is_alive() and one.broken is None, f"session {one.number}: {one.broken!r}"
        assert not one.stale, f"stale reads (written, read, on a standby): {one.stale[:5]}"
        assert not one.ahead, f"rows that nobody wrote: {one.ahead[:5]}"
    total = sum(one.reads for one in sessions)
    print(f"{total} reads, {sum(one.there for one in sessions)} on standbys, {sum(one.count for one in sessions)} writes, 0 stale")


def begin(three, count=6):
    nodes = three.data_nodes()
    sessions = [Session(nodes[i % len(nodes)], i) for i in range(count)]
    for one in sessions:
        one.start()
    wait_for(lambda: any(one.broken for one in sessions) or all(one.there > 20 for one in sessions), 60,
             "every session reads from standbys", three.describe)
    return sessions


def test_a_history_of_reads_while_standbys_stutter(three, node, replay):
    sessions = begin(three)
    for i in range(12):
        slow = three.standbys()[i % 2]
        slow.admin("SELECT pg_wal_replay_pause()")
        counts = [one.reads for one in sessions]
        wait_for(lambda: any(one.broken for one in sessions) or
                 all(one.reads > count + 10 for one, count in zip(sessions, counts)), 60, "they read on")
        if i % 3 != 0:
            slow.admin("SELECT pg_wal_replay_resume()")
    resume(three)
    finish(sessions)


def test_a_history_of_reads_over_a_failover(three, node, replay):
    sessions = begin(three)
    processes.send(node.postmaster(), signal.SIGKILL)
    three.primary(60, other_than=node)
    counts = [(one.reads, one.there, one.count) for one in sessions]
    wait_for(lambda: any(one.broken for one in sessions) or
             all(one.reads > reads + 50 and one.count > written + 5 for one, (reads, there, written) in zip(sessions, counts)),
             90, "they go on", three.describe)
    three.wait_whole(120)
    theres = [one.there for one in sessions]
    wait_for(lambda: any(one.broken for one in sessions) or
             all(one.there > there + 10 for one, there in zip(sessions, theres)), 60, "standbys serve again", three.describe)
    finish(sessions)
