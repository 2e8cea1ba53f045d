"""Certificates of nodes: renewed before they end, worthless when their node has left."""
import re

import psycopg
import pytest

from certificates import age_certificate
from network import PORTS
from program import run
from waiting import NotYet, wait_for

def shown_certificate(node, protocol=()):
    """What PostgreSQL shows to who connects now."""
    port = PORTS["postgres"] if protocol else PORTS["api"]
    done = run(["openssl", "s_client", "-connect", f"{node.address}:{port}", *protocol])
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.DOTALL)
    if not found:
        raise NotYet(done.stderr)
    return found[0]


def test_certificates_renew_themselves(own_cluster, tmp_path):
    """Two years have passed: a data node signs its own successor, a witness asks one; nobody is restarted."""
    cluster = own_cluster(2, witness=True)
    primary = cluster.wait_whole()
    for node in (cluster.standbys()[0], cluster["witness"]):
        pid, place = node.inner("agent"), tmp_path / node.name
        place.mkdir()
        aged = age_certificate(node, primary, place)
        node.ok("reload")

        def renewed():
            text = (node.directory / "pki" / "node.crt").read_text()
            if text == aged:
                raise NotYet("the old certificate")
            return text.strip()

        text = wait_for(renewed, 30, f"a new certificate of {node.name}", cluster.describe)
        assert shown_certificate(node) == text, "the API shows the new one"
        if node.kind == "data":
            wait_for(lambda: shown_certificate(node, ["-starttls", "postgres"]) == text, 10, "so does PostgreSQL")
        assert node.inner("agent") == pid, "without a restart"
        assert node.status()["certificate_days"] > 800
        assert "certificate: valid for 8" in node.ok("doctor")
    primary.kill()
    cluster.primary(other_than=primary)  # the peers understand each other with the new ones
    cluster.wait_whole(90)


def test_the_certificate_of_a_member_that_left_opens_nothing(three):
    """The operator takes a node out; whoever has its disk still has its certificate."""
    three.wait_whole()
    three.token = three.fresh_token()
    gone = three.join(three.add_node("dora"))
    gone.start()
    primary = three.wait_whole(90)
    with primary.connect_as_peer(gone, "pgkeel_monitor", dbname="postgres") as held:
        held.execute("SELECT 1")
        gone.ok("leave", "--yes", seconds=90)
        three.nodes.remove(gone)
        three.extras.append(gone)

        def shut_out():
            try:
                primary.connect_as_peer(gone, "pgkeel_rewind", dbname="postgres").close()
            except psycopg.OperationalError:
                return True
            raise NotYet("it still gets in")

        wait_for(shut_out, 20, "the certificate opens nothing", three.describe)

        def ended():
            try:
                held.execute("SELECT 1")
            except psycopg.OperationalError:
                return True
            raise NotYet("the old connection lives")

        wait_for(ended, 20, "the connection that was open is ended", three.describe)
    for role in ("pgkeel_replicator", "pgkeel_monitor"):
        with pytest.raises(psycopg.OperationalError):
            primary.connect_as_peer(gone, role, dbname="postgres", replication="true").close()
    done = run(gone.command("status", "--host", f"{primary.address}:{PORTS['api']}", "--dir", gone.directory))
    assert done.returncode != 0 and "needs the role read" in done.stderr, done.stdout + done.stderr
    three.wait_whole()
