"""The door for clients: shut on a primary until the agent opens it, never shut for agents and standbys."""
import threading

import processes
import psycopg
import pytest
from waiting import wait_for

TURNED_AWAY = "57P03"


class Login(threading.Thread):
    """A login that may have to wait."""

    def __init__(self, server, **more):
        super().__init__(daemon=True)
        self.server, self.more, self.state = server, more, None
        self.start()

    def run(self):
        try:
            with self.server.connect(**self.more) as connection:
                self.state = connection.execute("SELECT 1").fetchone()
        except psycopg.Error as error:
            self.state = str(error)

    def end(self):
        self.join(30)
        assert not self.is_alive()
        return self.state


@pytest.fixture
def door(primary):
    primary.run("DO $$ BEGIN CREATE ROLE client LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    primary.run("DO $$ BEGIN CREATE ROLE pgkeel_rewind LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    primary.configure(pgkeel__login_wait="0")
    yield primary
    primary.words.allow()


def who_waits(server):
    return [pid for pid in processes.descendants(server.process.pid) if "authentication" in " ".join(processes.arguments(pid))]


def turned_away(server, **more):
    with pytest.raises(psycopg.OperationalError) as caught:
        server.run("SELECT 1", **more)
    return str(caught.value)


def test_a_client_is_turned_away_while_logins_are_closed(door):
    door.words.logins = 0
    said = turned_away(door, user="client")
    assert "takes no clients now" in said and "standbys do not have" in said and "pgkeel status" in said


def test_a_client_is_turned_away_while_the_gate_is_shut(door):
    door.words.shut()
    assert "epoch 7 ended" in turned_away(door, user="client")


def test_the_refusal_sends_libpq_to_the_next_host(door):
    """Two hosts, the second is right: libpq goes on after SQLSTATE 57P03 only."""
    door.words.logins = 0
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(f"host={door.socket},127.0.0.1 port={door.port},1 user=client dbname=postgres")
    assert "takes no clients now" in str(caught.value) and "Connection refused" in str(caught.value)


def test_a_client_enters_an_open_door(door):
    assert door.run("SELECT 1", user="client") == [(1,)]


@pytest.mark.parametrize("opened", ["logins", "deadline"])
def test_a_waiting_client_enters_when_the_door_opens(door, opened):
    door.configure(pgkeel__login_wait="1min")
    if opened == "logins":
        door.words.logins = 0
    else:
        door.words.shut()
    login = Login(door, user="client")
    wait_for(lambda: who_waits(door), 30, "the login waits")
    door.words.allow()
    assert login.end() == (1,)


def test_a_waiting_client_can_be_terminated(door):
    door.configure(pgkeel__login_wait="1min")
    door.words.logins = 0
    login = Login(door, user="client")
    pid = wait_for(lambda: who_waits(door), 30, "the login waits")[0]
    wait_for(lambda: processes.state(pid) == "S", 30, "it sleeps")
    processes.send(pid, 15)
    assert "(1,)" not in str(login.end())


def test_a_wait_is_bounded(door):
    door.configure(pgkeel__login_wait="1ms")
    door.words.logins = 0
    assert "takes no clients now" in Login(door, user="client").end()


@pytest.mark.parametrize("host, user", [(None, "postgres"), (None, "pgkeel_rewind"), ("127.0.0.1", "pgkeel_rewind")])
def test_the_agents_come_in_always(door, host, user):
    door.words.shut()
    door.words.logins = 0
    assert door.run("SELECT 1", user=user, host=host) == [(1,)]


def test_the_agents_role_is_exempt_on_the_local_socket_only(door):
    door.words.logins = 0
    assert "takes no clients now" in turned_away(door, user="postgres", host="127.0.0.1")


def test_other_roles_can_be_made_exempt(door):
    door.words.logins = 0
    door.configure(pgkeel__login_wait="0", pgkeel__login_exempt_roles="postgres, client")
    assert door.run("SELECT 1", user="client") == [(1,)]


def test_a_standby_connects_always(door):
    door.words.logins = 0
    door.run("ALTER ROLE client REPLICATION")
    with psycopg.connect(host="127.0.0.1", port=door.port, user="client", replication="true", autocommit=True) as connection:
        assert connection.pgconn.exec_(b"IDENTIFY_SYSTEM").ntuples == 1


def test_a_standby_server_lets_everybody_in(make_server):
    server = make_server()
    (server.data / "standby.signal").touch()
    server.start()
    assert server.words.logins == 0
    assert server.run("SELECT 1", host="127.0.0.1") == [(1,)]
    server.configure(pgkeel__login_wait="0")
    server.run("SELECT pg_promote()")
    assert "takes no clients now" in turned_away(server, host="127.0.0.1")
