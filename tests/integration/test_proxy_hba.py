"""Who may log in at the proxy from where and how: rules in the manner of pg_hba.conf, and client certificates."""
import shutil

import psycopg
import pytest

from certificates import Authority
from cluster import Cluster
from program import SERVER_USER, run
from proxy_host import ProxyHost
from sharing import shared
from waiting import NotYet, wait_for

PASSWORD = "two words, one of them wrong"
NO_CERTIFICATE = {"sslcert": "/nowhere", "sslkey": "/nowhere", "sslmode": "require"}

RULES = """# TYPE  DATABASE  USER  ADDRESS  METHOD
host     pgkeel    boss       all          scram-sha-256
hostssl  all       app,ghost  all          cert
hostssl  all       lone       all          cert
hostssl  all       both       all          scram-sha-256 clientcert=verify-full
hostssl  all       "any"      127.0.0.0/8  scram-sha-256 clientcert=verify-ca
host     postgres  mixed      all          reject
host     all       +staff     all          trust
host     audit     auditor    10.0.0.0/8   trust
host     audit     auditor    127.0.0.1    255.255.255.255  scram-sha-256
"""


def with_rules(cluster):
    """All nodes get these rules, and an authority for clients that is not the cluster's."""
    cluster.ours, cluster.theirs = (Authority(cluster.root / "authorities", name) for name in ("ours", "theirs"))
    primary = cluster.primary()
    primary.admin("CREATE ROLE pgkeel_proxied; CREATE ROLE app LOGIN IN ROLE pgkeel_proxied;"
                  "CREATE ROLE staff; CREATE ROLE team IN ROLE staff;"
                  "CREATE ROLE mixed LOGIN IN ROLE pgkeel_proxied, team; CREATE ROLE lone LOGIN;"
                  f"CREATE ROLE boss SUPERUSER LOGIN PASSWORD '{PASSWORD}';"
                  f"CREATE ROLE \"both\" LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE \"any\" LOGIN PASSWORD '{PASSWORD}'")
    primary.admin("CREATE TABLE notes (note text); GRANT ALL ON notes TO app", "audit")
    shown = cluster.ours.issue("app")
    for node in cluster.nodes:
        node.edit_config("proxy", "client_ca_file", f'"{publish(node, "clients.crt", cluster.ours.certificate.read_text())}"')
        node.edit_config("proxy", "hba_file", f'"{publish(node, "proxy_hba.conf", RULES)}"')
        wait_for(lambda node=node: reload(node) is None, 30, f"{node.name} knows boss", cluster.describe)
    # From every node every server is reached.
    for node in cluster.nodes:
        for endpoint in ("read-write", "read-only"):
            wait_for(lambda node=node, endpoint=endpoint: who(node, endpoint, user="app", **shown) == "app", 30,
                     f"the servers know for whom {node.name} may log in", cluster.describe)
    return cluster


def made(cluster):
    try:
        return with_rules(cluster)
    except BaseException:
        cluster.failed = True
        cluster.close()
        raise


def publish(node, name, text):
    """Writes a file that the node can read; its path."""
    path = node.directory / name
    path.write_text(text)
    path.chmod(0o644)
    return path


def reload(node):
    with node.proxy(dbname="pgkeel", user="boss", password=PASSWORD) as console:
        console.prepare_threshold = None
        console.execute("RELOAD")


def refused(node, words, endpoint="auto", **options):
    with pytest.raises(psycopg.OperationalError, match=words):
        node.proxy(endpoint, **options).close()


def who(node, endpoint="auto", **options):
    with node.proxy(endpoint, **options) as connection:
        return connection.execute("SELECT session_user").fetchone()[0]


def distrusted(node, words, **shown):
    """TLS ends before PostgreSQL's protocol begins. What the client sees of that depends on who is faster; the log says why."""
    before = node.story().count(words)
    refused(node, "(?i)alert|ssl|reset|closed|broken pipe", user="app", **shown)
    wait_for(lambda: node.story().count(words) > before, 10, f"the log says: {words}", node.describe)


ruled_holder = shared(lambda request: made(Cluster(2)))


@pytest.fixture
def ruled(ruled_holder):
    return ruled_holder.get()


def test_a_certificate_in_place_of_a_password(ruled):
    """At every node and endpoint; the role has no password at all, and the servers are the same for it as for others."""
    ruled.wait_whole()
    shown = ruled.ours.issue("app")
    for node in ruled.nodes:
        for endpoint in ("auto", "read-write", "read-only"):
            assert who(node, endpoint, user="app", password="", **shown) == "app", (node.name, endpoint)
        with node.proxy(user="app", **shown) as connection:
            connection.execute("INSERT INTO notes VALUES (%s)", [node.name])
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SET SESSION AUTHORIZATION boss")
            assert connection.execute("SELECT count(*) FROM notes WHERE note = %s", [node.name]).fetchone() == (1,)


def test_certificates_that_let_nobody_in(ruled):
    for node in ruled.nodes:
        distrusted(node, "unable to get local issuer certificate", **ruled.theirs.issue("app"))
        distrusted(node, "certificate has expired", **ruled.ours.issue("app", (-10, -1)))
        refused(node, 'certificate authentication failed for user "app"', user="app", **ruled.ours.issue("ghost"))
        refused(node, "connection requires a valid client certificate", user="app", **NO_CERTIFICATE)
        refused(node, 'no pg_hba.conf entry for host "127.0.0.1", user "app", database "audit", no encryption', user="app",
                sslmode="disable")
        refused(node, 'role "ghost" does not exist', user="ghost", **ruled.ours.issue("ghost"))
        # A node's certificate is of another authority, and names no role.
        pki = node.directory / "pki"
        distrusted(node, "unable to get local issuer certificate", sslcert=str(pki / "node.crt"), sslkey=str(pki / "node.key"),
                   sslmode="require")


def test_a_certificate_and_a_password(ruled):
    node = ruled.primary()
    own, others = ruled.ours.issue("both"), ruled.ours.issue("app")
    assert who(node, user="both", password=PASSWORD, **own) == "both"
    refused(node, "password authentication failed", user="both", password="wrong", **own)
    refused(node, 'certificate authentication failed for user "both"', user="both", password=PASSWORD, **others)
    assert who(node, user="any", password=PASSWORD, **others) == "any"
    refused(node, "connection requires a valid client certificate", user="any", password=PASSWORD, **NO_CERTIFICATE)


def test_the_first_rule_that_fits_decides(ruled):
    for node in ruled.nodes:
        assert who(node, user="mixed", password="") == "mixed"
        refused(node, 'pg_hba.conf rejects connection for host "127.0.0.1", user "mixed", database "postgres"', user="mixed",
                dbname="postgres")
        assert who(node) == "auditor"
        refused(node, "password authentication failed", password="wrong")
        refused(node, 'no pg_hba.conf entry for host "127.0.0.1", user "auditor", database "postgres", SSL encryption',
                dbname="postgres", sslmode="require")


def test_nodes_log_in_for_nobody_else(ruled):
    """What a rule of the proxy allows is not enough: the servers have a say, by a group that a superuser grants."""
    primary = ruled.primary()
    refused(primary, "GRANT pgkeel_proxied TO this role", user="lone", **ruled.ours.issue("lone"))
    # Past the proxy only members' certificates are good for such a role, and none for any other.
    pki = primary.directory / "pki"
    shown = {"sslcert": str(pki / "node.crt"), "sslkey": str(pki / "node.key"), "sslmode": "require", "password": "x"}
    with primary.connect(user="app", **shown) as connection:
        assert connection.execute("SELECT session_user").fetchone() == ("app",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        primary.connect(user="boss", **shown)
    with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
        primary.connect(user="app", **NO_CERTIFICATE)
    primary.admin("GRANT pgkeel_proxied TO boss")
    try:
        with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
            primary.connect(user="boss", **shown)
        text = (primary.directory / "data" / "pg_ident.conf").read_text()
        assert '"app"' in text and '"boss"' not in text
    finally:
        primary.admin("REVOKE pgkeel_proxied FROM boss")


def test_they_go_with_the_primary(ruled):
    ruled.wait_whole()
    shown = ruled.ours.issue("app")
    before = ruled.primary()
    with before.proxy("read-write", user="app", **shown) as connection:
        assert connection.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,)
        before.ok("switchover", "--yes", seconds=90)
        assert ruled.primary(other_than=before) is not before
        assert connection.execute("SELECT session_user, NOT pg_is_in_recovery()").fetchone() == ("app", True)
    ruled.wait_whole()


def test_reload_takes_all_or_nothing(ruled):
    node, shown = ruled.primary(), ruled.ours.issue("app")
    with node.proxy(user="app", **shown) as connection:
        def fails(words):
            with pytest.raises(psycopg.Error, match=words):
                reload(node)
            assert connection.execute("SELECT session_user").fetchone() == ("app",)
            assert who(node, user="app", **shown) == "app", "what was in force stays"

        publish(node, "proxy_hba.conf", "host all all all reject\n\nhostssl all all all certt\nlocal all\n")
        fails(r'proxy_hba.conf:3: "certt" is no method that is known here; \S*proxy_hba.conf:4: the rule ends before its user')
        publish(node, "proxy_hba.conf", "# nobody\n")
        fails("no rule")
        (node.directory / "proxy_hba.conf").unlink()
        fails("proxy_hba.conf")
        publish(node, "proxy_hba.conf", RULES)
        publish(node, "clients.crt", "no certificate\n")
        fails("client_ca_file")
        publish(node, "clients.crt", ruled.theirs.certificate.read_text())
        publish(node, "proxy_hba.conf", "host all app all reject\n" + RULES)
        reload(node)
        refused(node, 'pg_hba.conf rejects connection for host "127.0.0.1", user "app"', user="app", sslmode="disable")
        distrusted(node, "unable to get local issuer certificate", **shown)
        assert who(node, user="both", password=PASSWORD, **ruled.theirs.issue("both")) == "both"
        assert connection.execute("SELECT session_user").fetchone() == ("app",), "who is in stays in"
    publish(node, "clients.crt", ruled.ours.certificate.read_text())
    publish(node, "proxy_hba.conf", RULES)
    reload(node)
    assert who(node, user="app", **shown) == "app"


def test_on_a_proxy_host(ruled):
    """It has nothing to log in with at the servers but what a password gives it."""
    ruled.wait_whole()
    host = ProxyHost(ruled, "outside").join()
    own = ruled.ours.issue("outside")
    for key in ("sslcert", "sslkey"):
        copied = shutil.copy(own[key], host.directory / f"own.{key}")
        run(["chown", SERVER_USER, copied])
        host.edit_config("proxy", {"sslcert": "cert_file", "sslkey": "key_file"}[key], f'"{copied}"')
    host.edit_config("proxy", "client_ca_file", f'"{publish(host, "clients.crt", ruled.ours.certificate.read_text())}"')
    host.edit_config("proxy", "hba_file", f'"{publish(host, "proxy_hba.conf", RULES)}"')
    try:
        done = run(host.service(), 60)
        assert done.returncode == 1, done.stdout + done.stderr
        for line, method in ((3, "cert"), (4, "cert"), (8, "trust"), (9, "trust")):
            assert f"proxy_hba.conf:{line}: the method {method} needs a node's proxy" in done.stdout + done.stderr
        publish(host, "proxy_hba.conf", "hostssl all both all scram-sha-256 clientcert=verify-full\n")
        host.start()

        def serves():
            try:
                return who(host, user="both", password=PASSWORD, **ruled.ours.issue("both")) == "both"
            except psycopg.OperationalError as error:
                raise NotYet(str(error)) from None

        wait_for(serves, 30, "the proxy serves", host.story)
        refused(host, "connection requires a valid client certificate", user="both", password=PASSWORD, **NO_CERTIFICATE)
        refused(host, 'no pg_hba.conf entry for host "127.0.0.1", user "any"', user="any", password=PASSWORD)
    finally:
        host.kill()
        ruled.any_running().keel("proxy", "remove", host.name, "--yes")
        ruled.extras.remove(host)
