"""What a proxy hears: the xid before the outcome can be in doubt, the commit's end with the answer."""
import pytest
from waiting import wait_for
from wire import Wire, parameters, shape
from words import REMOTE_FLUSH, lsn

REPORT = {"options": "-c pgkeel.report=on"}


@pytest.fixture
def wire(primary):
    open_wires = []

    def make(**options):
        open_wires.append(Wire(primary, **options))
        return open_wires[-1]

    yield make
    for one in open_wires:
        one.close()


def test_every_client_hears_at_login_that_the_library_is_there(wire):
    assert {name: value for name, value in parameters(wire().greeting) if name.startswith("pgkeel")} == {
        "pgkeel.xid": "", "pgkeel.commit_lsn": ""}


def test_without_report_nothing_more_is_said(wire):
    assert parameters(wire().query("INSERT INTO t VALUES (1)")) == []


def test_a_write_tells_its_xid_then_its_end_then_that_it_is_done(wire):
    assert shape(wire(**REPORT).query("INSERT INTO t VALUES (1)")) == ["S pgkeel.xid", "S pgkeel.commit_lsn", "C", "Z"]


def test_the_values_are_those_of_the_transaction(primary, wire):
    said = dict(parameters(wire(**REPORT).query("INSERT INTO t VALUES (1)")))
    assert primary.value(f"SELECT pg_xact_status('{said['pgkeel.xid']}')") == "committed"
    assert primary.value("SELECT xmin::text FROM t") == said["pgkeel.xid"]
    now = lsn(primary.value("SELECT pg_current_wal_insert_lsn()"))
    assert 0 < now - lsn(said["pgkeel.commit_lsn"]) < 65536 or now == lsn(said["pgkeel.commit_lsn"])


def test_in_a_block_the_xid_comes_with_the_statement_that_got_it_and_once(wire):
    one = wire(**REPORT)
    assert shape(one.query("BEGIN")) == ["C", "Z"]
    assert shape(one.query("SELECT 1")) == ["T", "D", "C", "Z"]
    assert shape(one.query("INSERT INTO t VALUES (1)")) == ["S pgkeel.xid", "C", "Z"]
    assert shape(one.query("INSERT INTO t VALUES (2)")) == ["C", "Z"]
    assert shape(one.query("COMMIT")) == ["S pgkeel.commit_lsn", "C", "Z"]


def test_a_utility_statement_tells_it_too(wire):
    one = wire(**REPORT)
    one.query("BEGIN")
    assert shape(one.query("TRUNCATE t")) == ["S pgkeel.xid", "C", "Z"]


def test_a_read_says_nothing(wire):
    assert parameters(wire(**REPORT).query("SELECT count(*) FROM t")) == []


def test_a_rollback_has_no_end(wire):
    one = wire(**REPORT)
    one.query("BEGIN")
    one.query("INSERT INTO t VALUES (1)")
    assert shape(one.query("ROLLBACK")) == ["C", "Z"]


@pytest.mark.parametrize("text", ["INSERT INTO t VALUES (1)", "DO $$ BEGIN INSERT INTO t VALUES (1); END $$"])
def test_the_xid_has_left_before_the_outcome_can_be_in_doubt(primary, wire, text):
    """The commit waits for a standby that never comes; its xid is there already."""
    primary.words.allow(floor=REMOTE_FLUSH)
    primary.configure(synchronous_standby_names="nobody")
    one = wire(**REPORT)
    one.start(text)
    said = parameters([one.message()])
    assert said[0][0] == "pgkeel.xid"
    wait_for(lambda: primary.run("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"), 30, "the commit waits")
    primary.configure()
    assert shape(one.until(b"Z")) == ["S pgkeel.commit_lsn", "C", "Z"]


def test_within_a_pipeline_the_xid_has_left_before_the_commit(primary, wire):
    """Parse, Bind, Execute of the write and of COMMIT in one packet: nothing was flushed between them by the protocol."""
    primary.words.allow(floor=REMOTE_FLUSH)
    one = wire(**REPORT)
    primary.configure(synchronous_standby_names="nobody")
    packet = []
    for text in (b"BEGIN", b"INSERT INTO t VALUES (1)", b"COMMIT"):
        packet += [(b"P", b"\0" + text + b"\0\0\0"), (b"B", b"\0\0\0\0\0\0\0\0"), (b"E", b"\0\0\0\0\0")]
    one.send(*packet, (b"S", b""))
    wait_for(lambda: primary.run("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"), 30, "the commit waits")
    assert "S pgkeel.xid" in shape(one.until(b"S"))
    primary.configure()
    assert shape(one.until(b"Z"))[-3:] == ["S pgkeel.commit_lsn", "C", "Z"]


def test_commit_prepared_tells_its_end(primary, wire):
    one = wire(**REPORT)
    assert shape(one.query("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'")) == ["C", "S pgkeel.xid", "C", "C", "Z"]
    before = lsn(primary.value("SELECT pg_current_wal_insert_lsn()"))
    said = parameters(one.query("COMMIT PREPARED 'p'"))
    assert [name for name, _ in said] == ["pgkeel.commit_lsn"] and lsn(said[0][1]) > before


def test_an_answer_larger_than_the_buffer_stays_in_order(wire):
    one = wire(**REPORT)
    kinds = shape(one.query("INSERT INTO t SELECT generate_series(1, 20000) RETURNING a"))
    assert kinds[:2] == ["S pgkeel.xid", "T"] and kinds[-3:] == ["S pgkeel.commit_lsn", "C", "Z"]
    assert kinds.count("D") == 20000


def test_copy_out_of_a_write_stays_readable(primary):
    with primary.connect(options="-c pgkeel.report=on") as connection:
        with connection.cursor().copy("COPY (INSERT INTO t VALUES (1) RETURNING a) TO STDOUT") as copy:
            assert [bytes(row) for row in copy] == [b"1\n"]
        assert connection.pgconn.parameter_status(b"pgkeel.xid") == primary.value("SELECT xmin::text FROM t").encode()
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write_row((2,))
        assert connection.pgconn.parameter_status(b"pgkeel.commit_lsn") != b""


def test_show_gives_the_same_values_and_nobody_can_set_them(primary):
    import psycopg
    with primary.connect(options="-c pgkeel.report=on") as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        for name in ("pgkeel.xid", "pgkeel.commit_lsn"):
            assert connection.execute(f"SHOW {name}").fetchone()[0] == connection.pgconn.parameter_status(name.encode()).decode()
            with pytest.raises(psycopg.errors.CantChangeRuntimeParam):
                connection.execute(f"SET {name} = 'x'")
