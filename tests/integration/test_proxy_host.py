"""A proxy alone on an application's host: joins by a token, hears from any node where work may go, and may do no more than
that."""
import json
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import psycopg
import pytest

import processes
from certificates import age_certificate
from network import PORTS
from program import run
from proxy_host import ProxyHost
from waiting import NotYet, wait_for


@pytest.fixture
def host(three):
    """One that serves; taken out of the cluster at the end."""
    three.wait_whole(60)
    made = ProxyHost(three, f"app{three.next_writer()}").join().start()
    try:
        wait_for(made.is_serving, 30, "the proxy serves", three.describe)
        yield made
    finally:
        made.kill()
        three.any_running().keel("proxy", "remove", made.name, "--yes")
        if not three.failed:
            three.extras.remove(made)
            shutil.rmtree(made.directory, ignore_errors=True)


def listed(cluster):
    return cluster.any_running().ok("proxy", "list")


# ---- it does its work -----------------------------------------------------------------------------------------------

def test_reads_writes_and_ports(three, host):
    """What a node's own proxy does: reads go to standbys and see what was written, the ports go where they say."""
    with host.proxy() as one:
        one.execute("CREATE TABLE hosted (id int)")
        for row in range(20):
            one.execute("INSERT INTO hosted VALUES (%s)", [row])
            assert one.execute("SELECT count(*) FROM hosted").fetchone() == (row + 1,)
        one.execute("DROP TABLE hosted")
    assert not host.proxy("read-write").execute("SELECT pg_is_in_recovery()").fetchone()[0]
    wait_for(lambda: host.proxy("read-only").execute("SELECT pg_is_in_recovery()").fetchone()[0], 30,
             "a standby answers", three.describe)
    # The way to the servers leaves the host: it is encrypted, wherever its source is.
    asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert host.proxy("read-write").execute(asked).fetchone() == (True,)
    assert f"{host.name} " in listed(three)


def test_the_primary_s_node_dies(three, host):
    """Power loss of the primary's node under load: writes go on at the next primary, and none is lost."""
    with host.writers() as load:
        three.wait_writes(load, 200)
        dead = three.primary()
        dead.kill()
        three.wait_writes(load, 200, 60)
        assert three.primary() is not dead
        dead.start()
        three.audit(load)


def test_the_node_that_it_listens_to_dies(three, host):
    """Also when that is a standby, with which no primary goes: another node is heard in its place."""
    with host.writers() as load:
        three.wait_writes(load, 50)
        dead = host.source()
        if dead is three.primary():
            dead.ok("switchover", "--yes", seconds=90)
            three.primary(other_than=dead)
        three.wait_writes(load, 50)
        dead = host.source()
        dead.kill()
        wait_for(lambda: host.source() is not dead, 30, "another node is heard", three.describe)
        three.wait_writes(load, 200, 60)
        dead.start()
        three.audit(load)


def test_a_frozen_primary_that_it_listens_to_is_left(three, host):
    """A host that hangs says nothing and closes nothing. Thawed, it believes itself the primary for a moment: what it
    says then counts no more, and what it took is not acknowledged."""
    with host.writers() as load:
        three.wait_writes(load, 50)
        primary, source = three.primary(), host.source()
        if source is not primary:
            source.ok("switchover", "--to", source.name, "--yes", seconds=90)
            primary = three.primary(other_than=primary)
        three.wait_writes(load, 50)
        source = host.source()
        frozen = primary.all_pids()
        for pid in frozen:
            processes.send(pid, signal.SIGSTOP)
        try:
            three.wait_writes(load, 200, 60)
        finally:
            for pid in frozen:
                processes.send(pid, signal.SIGCONT)
        assert source is not primary or host.source() is not primary
        three.wait_writes(load, 100, 60)
        three.audit(load)


def test_it_knows_its_nodes_when_it_starts_again(three, host):
    """Started while the node that let it in is down: the others are known."""
    kept = json.loads((host.directory / "state" / "sources").read_text())
    assert sorted(one["name"] for one in kept) == sorted(node.name for node in three.nodes)
    assert host.terminate() == 0
    first = three.nodes[0]
    first.kill()
    host.start()
    wait_for(host.is_serving, 60, "it serves without the node that let it in", three.describe)
    assert host.source() is not first
    three.wait_whole(90)


def test_sigterm_lets_transactions_end(three, host):
    """Idle clients are told, an open transaction comes to its end, nobody new gets in."""
    idle, working = host.proxy(), host.proxy(autocommit=False)
    idle.execute("SELECT 1")
    working.execute("CREATE TABLE ended AS SELECT 1 AS id")
    process = host.process
    process.send_signal(signal.SIGTERM)

    def refused():
        try:
            host.proxy().close()
        except psycopg.OperationalError:
            return True

    wait_for(refused, 10, "nobody new gets in")
    # Some versions of the driver tell it by its class, too.
    with pytest.raises(psycopg.OperationalError, match="administrator command"):
        idle.execute("SELECT 1")
    working.execute("INSERT INTO ended VALUES (2)")
    working.commit()
    assert process.wait(30) == 0, host.story()
    assert three.primary().sql("SELECT count(*) FROM ended") == [(2,)]
    three.primary().sql("DROP TABLE ended")


# ---- how it gets in -------------------------------------------------------------------------------------------------

def refused(host, **options):
    """What a join that is refused says; nothing of it is left, here and there."""
    before = listed(host.cluster)
    done = host.try_join(**options)
    assert done.returncode != 0 and "mend: " in done.stderr, f"{done.stdout}{done.stderr}"
    assert not host.directory.exists(), list(host.directory.iterdir())
    assert listed(host.cluster) == before
    return done.stderr


def test_tokens_that_let_nobody_in(three):
    three.wait_whole()
    host = ProxyHost(three, "stranger")
    good = three.fresh_token("--proxy")
    prefix, pin, secret = good.split(".")
    wrong = f"{prefix}.{pin}.{secret[::-1]}"
    assert "not known here, or was used up" in refused(host, token=wrong)
    foreign = f"{prefix}.{pin[::-1]}.{secret}"
    assert "token is of another cluster" in refused(host, token=foreign)
    assert "not a join token" in refused(host, token=good[:-40])
    short = three.fresh_token("--proxy", "--valid", "1s")
    end = time.monotonic() + 1.1
    wait_for(lambda: time.monotonic() > end, 10, "the token expires")
    assert "has expired" in refused(host, token=short)
    # Once, and for no more than a proxy.
    node = three.add_node("dora")
    try:
        done = three.try_join(node, token=good)
        assert done.returncode != 0 and "token is for a proxy host" in done.stderr, done.stderr
        assert not node.directory.exists()
    finally:
        three.nodes.remove(node)
    done = host.try_join(token=good)
    assert done.returncode == 0, done.stderr
    second = ProxyHost(three, "second")
    assert "used up" in refused(second, token=good)
    taken = ProxyHost(three, "stranger2")
    taken.name = "stranger"
    assert "a proxy host named stranger exists already" in refused(taken)
    three.any_running().ok("proxy", "remove", "stranger", "--yes")
    done = three.any_running().keel("proxy", "remove", "stranger", "--yes")
    assert done.returncode == 2 and "no proxy host named" in done.stderr, done.stderr
    for one in (host, second, taken):
        three.extras.remove(one)


# ---- what it may do -------------------------------------------------------------------------------------------------

def ask(host, node, path, body=None):
    """(status, body) of the node's API with the host's certificate."""
    pki = host.directory / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(pki / "node.crt", pki / "node.key")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"https://{node.address}:{PORTS['api']}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_its_certificate_opens_nothing_else(three, host):
    """A thief of the host's disk: no operator's request, no verifier that is as good as a password, no database role."""
    primary = three.primary()
    primary.admin("SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'x';"
                  "SET password_encryption = 'scram-sha-256'; CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'y'")
    try:
        status, body = ask(host, primary, "/proxy/users")
        users = {user["name"]: user for user in json.loads(body)}
        assert status == 200 and "auditor" in users and not {"old", "boss", "postgres"} & users.keys(), users.keys()
        assert all(user["verifier"].startswith("SCRAM-SHA-256$") for user in users.values())
        for user, password in (("old", "x"), ("boss", "y")):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                host.proxy(user=user, password=password)
        primary.proxy(user="boss", password="y", dbname="postgres").close()
    finally:
        primary.admin("DROP ROLE old; DROP ROLE boss")
    for path in ("/status", "/config", "/access", "/proxies"):
        assert ask(host, primary, path)[0] == 401, path
    for path, body in (("/switchover", {}), ("/pause", {}), ("/proxies/remove", {"name": host.name}), ("/token", {})):
        assert ask(host, primary, path, body)[0] == 401, path
    assert not primary.status()["paused"] and three.primary() is primary
    with pytest.raises(psycopg.OperationalError):
        primary.connect_as_peer(host, "pgkeel_monitor", dbname="postgres")
    text = run(["openssl", "x509", "-in", host.directory / "pki" / "node.crt", "-noout", "-ext", "extendedKeyUsage"])
    assert "Client Authentication" in text.stdout and "Server" not in text.stdout, text.stdout + text.stderr
    assert not (host.directory / "pki" / "ca.key").exists()
    assert (host.directory / "pki" / "node.key").stat().st_mode & 0o777 == 0o600
    # A node's own certificate is no proxy host's either.
    assert ask(three.standbys()[0], primary, "/proxy/users")[0] == 403


def test_it_cannot_play_a_node(three, host, tmp_path):
    """A thief of its disk who takes a node's place on the network: nobody sends him an operator's token."""
    primary, pki, token = three.primary(), host.directory / "pki", tmp_path / "token"
    token.write_text(primary.ok("access", "add", "visitor", "--role", "read", "--bare"))
    server = ["openssl", "s_server", "-accept", f"{host.address}:{PORTS['api']}", "-cert", pki / "node.crt", "-key",
              pki / "node.key", "-cert_chain", pki / "ca.crt", "-www"]
    with open(tmp_path / "out", "w") as out, subprocess.Popen([str(w) for w in server], stdout=out, stderr=out) as thief:
        try:
            wait_for(lambda: "ACCEPT" in (tmp_path / "out").read_text(), 10, "the thief listens")
            done = run(primary.command("status", "--host", f"{host.address}:{PORTS['api']}", "--token-file", token))
            assert done.returncode == 4 and "certificate is not accepted" in done.stderr, done.stdout + done.stderr
            done = primary.keel("status", "--host", f"{host.address}:{PORTS['api']}")
            assert done.returncode == 4 and "certificate is not accepted" in done.stderr, done.stdout + done.stderr
        finally:
            thief.terminate()
    primary.ok("access", "remove", "visitor")


def test_a_removed_host_loses_access(three, host):
    primary = three.primary()
    client = host.proxy()
    client.execute("SELECT 1")
    assert ask(host, primary, "/proxy/users")[0] == 200
    three.any_running().ok("proxy", "remove", host.name, "--yes")
    assert host.process.wait(60) == 71, host.story()
    host.process = None
    assert "no proxy host of the cluster any more" in host.story()
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")
    for node in three.nodes:
        wait_for(lambda: ask(host, node, "/proxy/users")[0] == 404, 10, f"{node.name} has heard of it", three.describe)
        assert ask(host, node, "/proxy/routes")[0] == 404
        assert ask(host, node, "/proxy/certificate", {"request": ""})[0] == 404
    done = run(host.service(), 60)
    assert done.returncode == 71 and "pgkeel proxy join" in done.stderr, done.stderr
    events = primary.ok("history")
    assert f"proxy host {host.name} joined, by its token" in events and f"proxy host {host.name} removed" in events


def test_a_certificate_is_renewed(three, host, tmp_path):
    """Two thirds of its life are over: a node signs the next one."""
    assert host.terminate() == 0
    aged = age_certificate(host, three.nodes[0], tmp_path)
    host.start()

    def renewed():
        if (host.directory / "pki" / "node.crt").read_text() == aged:
            raise NotYet("the old certificate")
        return True

    wait_for(renewed, 30, "a new certificate", three.describe)
    wait_for(host.is_serving, 30, "it serves", three.describe)
    assert ask(host, three.primary(), "/proxy/users")[0] == 200
    assert (host.directory / "pki" / "node.crt").stat().st_mode & 0o777 == 0o644


def test_directories_are_not_mixed_up(three, host):
    """`pgkeel node` on a proxy host's directory, `pgkeel proxy` on an empty one, a second one on the same."""
    done = run(host.command("node", "--dir", host.directory))
    assert done.returncode == 2 and "directory of a proxy host" in done.stderr and "pgkeel proxy" in done.stderr
    done = run(host.command("proxy", "--dir", three.root / "nothing"))
    assert done.returncode == 2 and "mend: " in done.stderr, done.stderr
    done = run(host.service())
    assert done.returncode == 78 and "another pgkeel proxy runs" in done.stderr, done.stderr
    done = host.try_join()
    assert done.returncode != 0 and "directory of a node already" in done.stderr, done.stderr
