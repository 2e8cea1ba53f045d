"""The port where statements go wherever they belong: reads to standbys, all else to the primary, and what of that a client
may notice: nothing but the load."""
import signal
import threading

import psycopg
import pytest

import processes
from proxy_wire import FLUSH, SYNC, Wire, bind, describe, execute, parse, query
from waiting import wait_for


@pytest.fixture
def node(three):
    """The primary's proxy: both standbys are somewhere else."""
    three.wait_whole(60)
    primary = three.primary()
    primary.sql("CREATE TABLE IF NOT EXISTS split (id int PRIMARY KEY, note text)")
    primary.sql("CREATE OR REPLACE FUNCTION whereabouts() RETURNS bool STABLE LANGUAGE sql AS 'SELECT pg_is_in_recovery()'")
    primary.sql("CREATE SEQUENCE IF NOT EXISTS split_ids")
    with primary.proxy() as probe:
        wait_for(lambda: on_standby(probe), 30, "the proxy knows what is in the database", three.describe)
    return primary


def on_standby(connection, text="SELECT whereabouts()", *values, **options):
    return connection.execute(text, values or None, **options).fetchone()[0]


def test_reads_go_to_standbys_and_all_else_to_the_primary(three, node):
    with node.proxy() as one:
        assert on_standby(one)
        assert on_standby(one, "SELECT whereabouts() FROM generate_series(1, 3)")
        assert on_standby(one, "WITH a AS (SELECT 1) SELECT whereabouts() FROM a")
        assert on_standby(one, "VALUES (whereabouts())")
        assert one.execute("INSERT INTO split VALUES (1, 'x') ON CONFLICT DO NOTHING RETURNING whereabouts()").fetchone() in \
            [(False,), None]
        wait_for(lambda: on_standby(one), 10, "its write is everywhere")
        for text in ("SELECT whereabouts() FROM split WHERE id = 1 FOR UPDATE",
                     "WITH a AS (UPDATE split SET note = 'y' RETURNING id) SELECT whereabouts() FROM a",
                     "SELECT whereabouts(), nextval('split_ids')",
                     "SELECT whereabouts(), random()",
                     "SELECT whereabouts(), not_known_to_anybody FROM (SELECT txid_current() AS not_known_to_anybody) AS s"):
            assert not on_standby(one, text), text
        one.execute("SELECT count(*) FROM split")


def test_each_standby_serves_and_the_primary_does_not(three, node):
    """Counted by the servers themselves."""
    def scans(of):
        return of.admin("SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables "
                        "WHERE relname = 'served'", "audit")
    node.sql("CREATE TABLE served (a int)")
    text = "SELECT whereabouts(), count(*) FROM served"
    at_primary = 0
    with node.proxy() as one:
        while not one.execute(text).fetchone()[0]:
            at_primary += 1  # the table is not known yet
    before = {each.name: int(scans(each)) for each in three.standbys()}
    with node.proxy() as one:
        for _ in range(40):
            at_primary += not one.execute(text).fetchone()[0]
    # The statistics of a session are written when it is idle or gone.
    for standby in three.standbys():
        wait_for(lambda each=standby: int(scans(each)) >= before[each.name] + 10, 30, f"{standby.name} has served",
                 three.describe)
    wait_for(lambda: int(scans(node)) == at_primary, 30, f"the primary has served {at_primary}", lambda: scans(node))
    node.sql("DROP TABLE served")


def test_a_transaction_goes_to_the_primary_unless_it_is_read_only(node):
    with node.proxy(autocommit=False) as one:
        assert not on_standby(one)
        one.rollback()
        one.read_only = True
        assert on_standby(one)
        assert on_standby(one, "SELECT whereabouts(), random()"), "the whole transaction is there"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            one.execute("INSERT INTO split VALUES (-1)")
        one.rollback()
        one.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert on_standby(one)
        one.rollback()
        one.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        assert not on_standby(one)
        one.rollback()
        one.read_only = None
        one.isolation_level = None
        one.execute("INSERT INTO split VALUES (2) ON CONFLICT DO NOTHING")
        one.commit()


def test_hints_and_settings(node):
    with node.proxy() as one:
        assert not on_standby(one, "/* keel: primary */ SELECT whereabouts()")
        assert not on_standby(one, "SELECT whereabouts(), clock_timestamp()")
        assert on_standby(one, "/* keel: replica */ SELECT whereabouts(), clock_timestamp()")
        one.execute("SET keel.route = 'primary'")
        assert not on_standby(one)
        one.execute("SET keel.route = 'replica'")
        assert on_standby(one, "SELECT whereabouts(), clock_timestamp()")
        one.execute("RESET keel.route")
        assert on_standby(one) and not on_standby(one, "SELECT whereabouts(), clock_timestamp()")
        told = []
        one.add_notice_handler(lambda notice: told.append(notice.message_primary))
        one.execute("SET keel.route = 'nowhere'")
        assert on_standby(one)
        assert any("primary, replica or auto" in text for text in told), told
    with node.proxy(options="-c keel.route=primary") as one:
        assert not on_standby(one)
    with node.proxy(options="-c default_transaction_isolation=serializable") as one:
        assert not on_standby(one)


def test_a_write_that_hides_is_done_once_and_remembered(three, node):
    """A function that says of itself that it is stable, and writes."""
    node.sql("CREATE OR REPLACE FUNCTION liar() RETURNS bigint STABLE LANGUAGE plpgsql AS "
             "$$ BEGIN RETURN nextval('split_ids'); END $$")
    with node.proxy() as one:
        text = "/* keel: replica */ SELECT liar()"
        first = one.execute(text).fetchone()[0]
        assert one.execute(text).fetchone()[0] == first + 1
        assert one.execute(text, prepare=True).fetchone()[0] == first + 2
        assert one.execute("/* keel: replica */ SELECT liar() -- again", prepare=True).fetchone()[0] == first + 3
        assert one.execute("SELECT 1").fetchone() == (1,)
        assert on_standby(one)


def test_prepared_statements_are_wherever_they_are_needed(node):
    with node.proxy() as one:
        one.prepare_threshold = 0
        for i in range(6):
            assert on_standby(one, "SELECT whereabouts() WHERE %s > 0", i + 1)
            one.execute("INSERT INTO split VALUES (%s) ON CONFLICT DO NOTHING", [100 + i])
            assert not on_standby(one, "SELECT whereabouts() WHERE %s > 0 AND random() >= 0", i + 1)
    with node.proxy(autocommit=False) as one:
        one.prepare_threshold = 0
        assert not on_standby(one, "SELECT whereabouts() WHERE %s > 0", 1)
        one.rollback()
    with node.proxy() as one, one.pipeline() as pipeline:
        answers = [one.execute("SELECT whereabouts()"), one.execute("INSERT INTO split VALUES (200) ON CONFLICT DO NOTHING"),
                   one.execute("SELECT whereabouts()")]
        pipeline.sync()
        assert not answers[0].fetchone()[0] and not answers[2].fetchone()[0], "one batch is at one server"


@pytest.fixture
def wire(node):
    with Wire(node.address, 6432) as one:
        one.login("auditor", "audit", node.cluster.password)
        yield one


def rows(answers):
    return [body[6:] for kind, body in answers if kind == "D"]


def test_batches_of_the_wire(wire):
    read, write = "SELECT whereabouts()", "SELECT whereabouts() FROM split WHERE id = 1 FOR UPDATE"
    # Three batches at once, the middle one for the primary.
    batches = [parse("", text) + bind("", "") + describe("P", "") + execute() + SYNC for text in (read, write, read)]
    wire.send(query("INSERT INTO split VALUES (1) ON CONFLICT DO NOTHING"))
    wire.until_ready()
    wire.send(*batches)
    assert [b"".join(rows(wire.until_ready())) for _ in range(3)] [:2] == [b"t", b"f"]
    # Two statements in one batch: it must not have to be taken back halfway.
    wire.send(parse("", read), bind("", ""), execute(), parse("", read), bind("", ""), execute(), SYNC)
    assert rows(wire.until_ready()) == [b"f", b"f"]
    # Answers are wanted before the batch ends.
    wire.send(parse("later", read), FLUSH)
    assert wire.read()[0] == "1"
    wire.send(bind("", "later"), execute(), SYNC)
    assert rows(wire.until_ready()) == [b"f"]
    # Prepared at the primary, used on a standby, closed, and gone.
    wire.send(bind("", "later"), execute(), SYNC)
    assert rows(wire.until_ready()) == [b"t"]
    wire.send(query("BEGIN READ ONLY"), query(read), query("COMMIT"), query(write))
    assert [rows(wire.until_ready()) for _ in range(4)] == [[], [b"t"], [], [b"f"]]
    wire.send(query(f"{read}; {read}"))
    assert rows(wire.until_ready()) == [b"f", b"f"]


def test_a_batch_in_small_pieces(wire):
    whole = parse("", "SELECT whereabouts()") + bind("", "") + execute() + SYNC
    for i in range(len(whole)):
        wire.send(whole[i:i + 1])
    assert rows(wire.until_ready()) == [b"t"]


def test_large_answers_from_standbys(node):
    with node.proxy() as one:
        text = "SELECT repeat('x', 1000), i, whereabouts() FROM generate_series(1, 20000) AS i"
        got = one.execute(text).fetchall()
        assert len(got) == 20000 and got[0][2] and [row[1] for row in got] == list(range(1, 20001))
        with one.cursor() as cursor, cursor.copy("COPY (SELECT i FROM generate_series(1, 50000) AS i) TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 50000
        with pytest.raises(psycopg.errors.DivisionByZero):
            one.execute("SELECT 1 / (5000 - i), repeat('x', 1000) FROM generate_series(1, 9000) AS i")
        with pytest.raises(psycopg.errors.UndefinedTable):
            one.execute("SELECT * FROM there_is_none")
        assert on_standby(one)


def test_what_is_tied_to_its_server_stays_there(node):
    with node.proxy() as one:
        one.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
        assert not on_standby(one) and one.execute("SELECT a FROM mine").fetchone() == (1,)
        one.execute("DROP TABLE mine")
        assert on_standby(one)
        one.execute("SET work_mem = '12MB'")
        assert one.execute("SELECT current_setting('work_mem'), whereabouts()").fetchone()[0] == "12MB"
        assert on_standby(one)
        assert one.info.parameter_status("in_hot_standby") == "off"


def test_a_role_that_the_standbys_do_not_have_yet(three, node):
    paused = three.standbys()
    for each in paused:
        each.admin("SELECT pg_wal_replay_pause()")
    try:
        with node.proxy() as one:
            one.execute("SET keel.causal_reads = 'off'")
            node.admin("CREATE ROLE latecomer; GRANT latecomer TO auditor")
            one.execute("SET ROLE latecomer")
            for _ in range(3):
                assert one.execute("SELECT current_user, 1").fetchone()[0] == "latecomer"
            # And names that they have not heard of, although the catalogue has.
            one.execute("RESET ROLE")
            node.sql("CREATE TABLE IF NOT EXISTS newcomer (a int)")
            for _ in range(3):
                assert one.execute("/* keel: replica */ SELECT count(*) FROM newcomer").fetchone() == (0,)
            one.execute("DROP TABLE newcomer")
    finally:
        for each in paused:
            each.admin("SELECT pg_wal_replay_resume()")
        wait_for(lambda: node.admin("DROP ROLE IF EXISTS latecomer") is not None, 10, "the role is gone")


class Reader(threading.Thread):
    """Reads all the time; counts where it was answered."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.here, self.there, self.broken, self.stopping = node, 0, 0, None, False

    def run(self):
        try:
            with self.node.proxy() as connection:
                while not self.stopping:
                    if on_standby(connection, "SELECT whereabouts(), 'reader'"):
                        self.there += 1
                    else:
                        self.here += 1
        except Exception as error:
            self.broken = error


def more(readers, what, count=20):
    before = [getattr(one, what) for one in readers]
    wait_for(lambda: any(one.broken for one in readers) or
             all(getattr(one, what) > seen + count for one, seen in zip(readers, before)), 60, f"reads go on ({what})")
    assert not [one.broken for one in readers if one.broken]


def test_reads_are_cancelled_by_recovery_and_nobody_notices(three, node):
    """VACUUM on the primary removes what a standby's reader still looks at."""
    for each in three.standbys():
        each.admin("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        each.admin("ALTER SYSTEM SET hot_standby_feedback = off")
        each.admin("SELECT pg_reload_conf()")
    try:
        node.sql("CREATE TABLE IF NOT EXISTS churned AS SELECT i FROM generate_series(1, 1000) AS i")
        text = "SELECT count(*), pg_sleep(0.01 * 20) FROM churned"
        got, trouble, stopping = [], [], threading.Event()

        def read():
            try:
                with node.proxy() as one:
                    while not stopping.is_set():
                        got.append(one.execute("/* keel: replica */ " + text).fetchone()[0])
            except Exception as error:
                trouble.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for each in readers:
            each.start()

        def conflicts():
            node.sql("UPDATE churned SET i = i")
            node.sql("VACUUM churned")
            return sum(int(each.admin("SELECT sum(confl_snapshot + confl_lock + confl_bufferpin) "
                                      "FROM pg_stat_database_conflicts")) for each in three.standbys())
        before = conflicts()
        wait_for(lambda: conflicts() > before + 2 or trouble, 60, "recovery cancels reads", three.describe)
        stopping.set()
        for each in readers:
            each.join(30)
        assert not trouble and set(got) == {1000}
    finally:
        for each in three.standbys():
            each.admin("ALTER SYSTEM RESET max_standby_streaming_delay")
            each.admin("ALTER SYSTEM RESET hot_standby_feedback")
            each.admin("SELECT pg_reload_conf()")


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_standbys_die_and_reads_go_on_at_the_primary_and_back(three, node, how):
    readers = [Reader(node) for _ in range(4)]
    for one in readers:
        one.start()
    more(readers, "there")
    standbys = three.standbys()
    if how == "killed":
        for each in standbys:
            each.kill()
    else:
        for each in standbys:
            each.terminate()
    more(readers, "here")
    for each in standbys:
        each.start()
    more(readers, "there", 50)
    for one in readers:
        one.stopping = True
    for one in readers:
        one.join(30)
        assert one.broken is None
    three.wait_whole(120)


def test_reads_go_on_while_there_is_no_primary(three, node):
    three.wait_whole(120)
    primary = three.primary()
    away = three.standbys()[0]
    with away.proxy() as reader:
        wait_for(lambda: on_standby(reader), 30, "it reads from a standby")
        primary.ok("pause")  # so that nobody is elected
        try:
            processes.send(primary.postmaster(), signal.SIGKILL)
            wait_for(lambda: not primary.is_primary(), 10, "its server is down")
            for _ in range(20):
                assert on_standby(reader)
        finally:
            primary.ok("resume")
        three.primary(60, other_than=primary)
        wait_for(lambda: on_standby(reader), 30, "it reads from a standby")
        assert not on_standby(reader, "SELECT whereabouts(), random()")
