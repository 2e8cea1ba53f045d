"""Between the commit record and the answer: cancel and terminate wait as the commit does, the floor of durability is
kept, and an answer is held while somebody else may be the primary."""
import signal

import processes
import psycopg
import pytest
from waiting import wait_for
from words import LOCAL, REMOTE_APPLY, REMOTE_FLUSH

NOBODY = {"synchronous_standby_names": "nobody"}

# What waits for standbys, with what must be there first.
COMMITS = {
    "commit": ("", "INSERT INTO t VALUES (1)"),
    "prepare": ("", "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'"),
    "commit prepared": ("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'"),
    "rollback prepared": ("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'", "ROLLBACK PREPARED 'p'"),
    "procedure": ("", "DO $$ BEGIN INSERT INTO t VALUES (1); COMMIT; END $$"),
}
every_commit = pytest.mark.parametrize("name", COMMITS)


def start_waiting(primary, name="commit", before="", **words):
    """A commit that waits for a standby that never comes."""
    first, text = COMMITS[name]
    primary.words.allow(**{"floor": REMOTE_FLUSH} | words)
    if first:
        primary.run(first)
    primary.configure(**NOBODY)
    connection = primary.connect()
    if before:
        connection.execute(before)
    statement = primary.begin_on(connection, text)
    primary.wait_until_waiting(statement)
    return statement


def still_waits(primary, statement):
    assert not statement.ended(), f"{statement.status} {statement.error} {statement.notices}"
    assert primary.waits(statement.pid) == "SyncRep"
    assert not statement.notices


def release(primary, statement):
    """The standbys are not waited for any more: the commit goes on."""
    primary.configure()
    return statement.end()


@every_commit
def test_row_32_a_cancelled_wait_goes_on_waiting(primary, name):
    statement = start_waiting(primary, name)
    primary.signal_and_settle(statement.pid, "pg_cancel_backend")
    still_waits(primary, statement)
    release(primary, statement)
    assert not any("canceling" in notice for notice in statement.notices)
    # The procedure goes on after its commit, so the cancel meets it there; the others are over.
    assert statement.error is None or (name == "procedure" and isinstance(statement.error, psycopg.errors.QueryCanceled))
    assert primary.value("SELECT count(*) FROM t") == (0 if name in ("prepare", "rollback prepared") else 1)


@every_commit
def test_row_32_a_terminated_wait_goes_on_waiting_and_the_session_ends_after_its_commit(primary, name):
    statement = start_waiting(primary, name)
    primary.signal_and_settle(statement.pid, "pg_terminate_backend")
    still_waits(primary, statement)
    release(primary, statement)
    assert not any("canceling" in notice for notice in statement.notices)
    wait_for(lambda: not processes.alive(statement.pid), 30, "the terminate was carried out after the commit")


@pytest.mark.parametrize("name", ["commit prepared", "procedure"])
def test_row_32_a_statement_timeout_does_not_end_the_wait(primary, name):
    """The server switches the timeout off before an ordinary COMMIT; in these two it runs on."""
    first, text = COMMITS[name]
    primary.words.allow(floor=REMOTE_FLUSH)
    if first:
        primary.run(first)
    primary.configure(**NOBODY)
    connection = primary.connect()
    connection.execute("SET statement_timeout = '300ms'")
    statement = primary.begin_on(connection, text)
    primary.wait_until_waiting(statement)
    wait_for(lambda: timer_is_over(primary, statement), 30, "the timeout has struck")
    still_waits(primary, statement)
    release(primary, statement)
    assert not any("canceling" in notice for notice in statement.notices)


def timer_is_over(primary, statement):
    """Three times the timeout has passed since the statement began, by the server's clock."""
    return statement.ended() or primary.value(
        f"SELECT clock_timestamp() - query_start > '900ms' FROM pg_stat_activity WHERE pid = {statement.pid}")


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
@pytest.mark.parametrize("when", ["before the signal", "after the signal"])
def test_row_32_unmask_lets_it_go(primary, function, when):
    statement = start_waiting(primary)
    if when == "before the signal":
        primary.words.unmask = 1
        assert primary.value(f"SELECT {function}({statement.pid})")
    else:
        primary.signal_and_settle(statement.pid, function)
        still_waits(primary, statement)
        primary.words.unmask = 1
    statement.end()
    if function == "pg_cancel_backend":
        assert any("canceling wait" in notice for notice in statement.notices)
    else:
        assert isinstance(statement.error, psycopg.OperationalError)  # no answer, so no false one


@pytest.mark.parametrize("unmask", ["before", "during"])
def test_a_fast_shutdown_goes_through_when_the_agent_unmasks(make_server, unmask):
    server = make_server()
    server.words.allow()
    server.start()
    server.run("CREATE TABLE t (a int)")
    statement = start_waiting(server)
    if unmask == "before":
        server.words.unmask = 1
    server.process.send_signal(signal.SIGINT)
    if unmask == "during":
        wait_for(server.logged("received fast shutdown request"), 30, "the shutdown began")
        wait_for(lambda: processes.state(statement.pid) == "S", 30, "it sleeps")
        assert not statement.ended()
        server.words.unmask = 1
    assert server.process.wait(60) == 0
    assert isinstance(statement.end().error, psycopg.OperationalError)


def test_row_32_a_cancel_that_came_before_the_commit_aborts_it(primary):
    """The gate is reached with the cancel pending: a deferred trigger cancels its own session in the very last thing it
    does, after which PostgreSQL does not look for cancels any more."""
    primary.words.allow(floor=REMOTE_FLUSH)
    primary.run("""
        CREATE OR REPLACE FUNCTION cancel_me() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RETURN CASE WHEN pg_cancel_backend(pg_backend_pid()) THEN NEW END; END $$;
        CREATE CONSTRAINT TRIGGER last AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION cancel_me()""")
    primary.configure(**NOBODY)
    with pytest.raises(psycopg.errors.QueryCanceled):
        primary.run("INSERT INTO t VALUES (1)")
    primary.configure()
    assert primary.value("SELECT count(*) FROM t") == 0


def test_after_a_refused_commit_a_cancel_works_again(primary):
    primary.words.allow(floor=REMOTE_FLUSH)
    primary.configure(**NOBODY)
    connection = primary.connect()
    primary.words.shut()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("INSERT INTO t VALUES (1)")
    statement = primary.begin_on(connection, "SELECT pg_sleep(60)")
    primary.wait_until_waiting(statement, "PgSleep")
    primary.value(f"SELECT pg_cancel_backend({statement.pid})")
    assert isinstance(statement.end().error, psycopg.errors.QueryCanceled)


def test_after_a_commit_a_cancel_works_again(primary):
    statement = start_waiting(primary)
    release(primary, statement)
    again = primary.begin_on(statement.connection, "SELECT pg_sleep(60)")
    primary.wait_until_waiting(again, "PgSleep")
    primary.value(f"SELECT pg_cancel_backend({again.pid})")
    assert isinstance(again.end().error, psycopg.errors.QueryCanceled)


def test_without_a_floor_of_remote_write_the_cancel_is_postgresqls_own_affair(primary):
    statement = start_waiting(primary, floor=LOCAL)
    primary.value(f"SELECT pg_cancel_backend({statement.pid})")
    assert any("canceling wait" in notice for notice in statement.end().notices)


# ---- the floor

@every_commit
def test_a_session_without_synchronous_commit_waits_all_the_same(primary, name):
    statement = start_waiting(primary, name, before="SET synchronous_commit = off")
    release(primary, statement)
    assert statement.error is None
    assert statement.connection.execute("SHOW synchronous_commit").fetchone() == ("off",)


def test_set_local_comes_back_as_it_was(primary):
    primary.words.allow(floor=REMOTE_APPLY)
    with primary.connect() as connection:
        connection.execute("SET synchronous_commit = local")
        connection.execute("BEGIN; SET LOCAL synchronous_commit = off; INSERT INTO t VALUES (1); COMMIT")
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("local",)
        primary.words.shut()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO t VALUES (1)")
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("local",)


def test_an_exempt_role_does_not_wait(primary):
    primary.run("DROP ROLE IF EXISTS batch; CREATE ROLE batch LOGIN; GRANT INSERT ON t TO batch")
    primary.words.allow(floor=REMOTE_FLUSH)
    primary.configure(**NOBODY, pgkeel__floor_exempt_roles="other, batch")
    connection = primary.connect(user="batch")
    connection.execute("SET synchronous_commit = off")
    assert primary.begin_on(connection, "INSERT INTO t VALUES (1)").end().error is None
    primary.configure(**NOBODY, pgkeel__floor_exempt_roles="other")
    statement = primary.begin_on(connection, "INSERT INTO t VALUES (2)")
    primary.wait_until_waiting(statement)
    primary.words.unmask = 1
    primary.run(f"SELECT pg_cancel_backend({statement.pid})")
    statement.end()
    primary.configure()
    primary.run("DROP OWNED BY batch; DROP ROLE batch")


def test_the_agents_session_waits_for_nobody_and_can_be_ended(primary):
    """Its small commits prove that a setting is in force; one is ended by it while it waits."""
    primary.words.allow(floor=REMOTE_FLUSH)
    primary.configure(**NOBODY)
    connection = primary.connect()
    connection.execute("SET pgkeel.floor_exempt = on")
    connection.execute("SET synchronous_commit = local")
    assert primary.begin_on(connection, "INSERT INTO t VALUES (1)").end().error is None
    connection.execute("SET synchronous_commit = on")
    statement = primary.begin_on(connection, "INSERT INTO t VALUES (2)")
    primary.wait_until_waiting(statement)
    primary.run(f"SELECT pg_terminate_backend({statement.pid})")
    statement.end()
    primary.configure()


def test_no_ordinary_role_is_the_agent(primary):
    primary.run("DROP ROLE IF EXISTS batch; CREATE ROLE batch LOGIN")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        primary.run("SET pgkeel.floor_exempt = on", user="batch")
    primary.run("DROP ROLE batch")


def test_a_role_cannot_exempt_itself(primary):
    primary.run("DROP ROLE IF EXISTS batch; CREATE ROLE batch LOGIN")
    with pytest.raises(psycopg.errors.CantChangeRuntimeParam):
        primary.run("SET pgkeel.floor_exempt_roles = 'batch'", user="batch")
    primary.run("DROP ROLE batch")


# ---- the answer is held

HELD = "Extension"


def start_held(primary, name="commit", **options):
    """A commit whose lease ends while it waits for a standby, which is behind the gate; then it is not waited for."""
    statement = start_waiting(primary, name, recheck=1, **options)
    primary.words.shut()
    primary.configure()
    wait_for(lambda: primary.words.held == 1 or statement.ended(), 30, "the answer is held")
    assert not statement.ended(), f"{statement.status} {statement.error}"
    return statement


@every_commit
def test_an_answer_is_held_after_the_lease_and_given_when_it_is_renewed(primary, name):
    statement = start_held(primary, name)
    assert primary.waits(statement.pid) == HELD
    primary.words.open()
    statement.end()
    assert statement.error is None
    wait_for(lambda: primary.words.held == 0, 30, "nobody is held")


def test_without_recheck_the_answer_is_not_held(primary):
    statement = start_waiting(primary)
    primary.words.shut()
    release(primary, statement)
    assert statement.error is None


def test_cancel_and_terminate_do_not_free_a_held_answer(primary):
    statement = start_held(primary)
    for function in ("pg_cancel_backend", "pg_terminate_backend"):
        primary.signal_and_settle(statement.pid, function)
        assert primary.waits(statement.pid) == HELD and not statement.ended()
    primary.words.open()
    statement.end()
    wait_for(lambda: not processes.alive(statement.pid), 30, "it was terminated after its answer")


def test_unmask_frees_a_terminated_one_without_an_answer(primary):
    statement = start_held(primary)
    primary.words.unmask = 1
    primary.value(f"SELECT pg_terminate_backend({statement.pid})")
    assert isinstance(statement.end().error, psycopg.OperationalError)
    assert statement.status is None
    primary.words.open()
    assert primary.value("SELECT count(*) FROM t") == 1


def test_sigquit_ends_a_server_whose_answers_are_held(make_server):
    server = make_server()
    server.words.allow()
    server.start()
    server.run("CREATE TABLE t (a int)")
    statement = start_held(server)
    server.stop(signal.SIGQUIT)
    assert isinstance(statement.end().error, psycopg.OperationalError)
    server.words.allow()
    server.start()
    assert server.words.held == 0
    assert server.value("SELECT count(*) FROM t") == 1  # stored, never acknowledged


def test_a_dead_postmaster_ends_a_held_answer(make_server):
    server = make_server()
    server.words.allow()
    server.start()
    server.run("CREATE TABLE t (a int)")
    statement = start_held(server)
    server.process.kill()
    assert isinstance(statement.end().error, psycopg.OperationalError)
    server.process.wait(30)
    wait_for(lambda: not processes.of_directory(server.data), 30, "every process of the server ended")
