"""The dashboard in a real browser: what operators see while things happen, what they do, and what nobody can do."""
import contextlib
import json
import ssl
import threading
import urllib.error
import urllib.request

import pytest

import browser
from network import PORTS
from waiting import NotYet, wait_for


@pytest.fixture(scope="module", autouse=True)
def a_browser_is_here():
    browser.prerequisites()


@pytest.fixture
def tokens(three):
    """An access token of each role that looks or acts, new for each test."""
    primary = three.wait_whole()
    made = {}
    for role in ("read", "operate"):
        primary.keel("access", "remove", f"{role}er")
        made[role] = primary.ok("access", "add", f"{role}er", "--role", role, "--bare").strip()

    def known():
        for node in three.data_nodes():
            if request(node, "/status", token=made["operate"])[0] != 200:
                raise NotYet(f"{node.name} does not know the token yet")
        return True

    wait_for(known, 20, "every node knows the tokens", three.describe)
    return made


def request(node, path, *, token=None, method="GET", headers=None):
    """(code, headers) of one HTTPS request, as a program sends it."""
    context = ssl.create_default_context(cafile=str(node.directory / "pki" / "ca.crt"))
    context.check_hostname = False
    asked = urllib.request.Request(f"https://{node.address}:{PORTS['api']}{path}", method=method, headers=headers or {})
    if token:
        asked.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(asked, timeout=5, context=context) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def test_a_failover_is_watched_live_and_its_alert_silenced(three, tokens):
    """Somebody looks on from a standby while the primary is killed: election, new leader, reasons, alerts."""
    primary = three.wait_whole()
    with browser.Visit("failover", three.standbys()[0], tokens["operate"], leader=primary.name) as visit:
        visit.at("watching")
        primary.kill()
        visit.go()
        leader = visit.at("silenced")["leader"]
        assert three.primary().name == leader
        listed = json.loads(three.primary().ok("alert", "list", "--json"))
        assert [(one["alert"], one["by"], one["why"]) for one in listed["silences"]] == [
            (f"member_down:{primary.name}", "access token operateer", "its disk is being replaced")]
        primary.start()
        visit.go()
        visit.end()
    three.wait_whole()


def asked(node, target):
    """What the history says of a wish that this target lead."""
    texts = [event["text"] for event in json.loads(node.get("/history")[1])]
    return [text for text in texts if f"to {target.name} asked for" in text]


def test_a_switchover_from_a_telephone_with_its_dry_run(three, tokens):
    """The dry run changes nothing; the switchover does what it said; the history names who asked."""
    primary = three.wait_whole()
    target, other = three.standbys()
    with browser.Visit("switchover", other, tokens["operate"], wide=False, dark=True, target=target.name) as visit:
        visit.at("after the dry run")
        assert three.primary() is primary and not asked(primary, target)
        visit.go()
        visit.at("paused")
        assert three.primary() is target and target.status()["paused"]
        visit.go()
        visit.end()
    assert any("by access token operateer" in text for text in asked(target, target))
    assert not three.wait_whole().status()["paused"]


def test_a_dry_run_on_the_command_line_says_the_same(three):
    """`pgkeel switchover --dry-run`, also on the standby that it is about."""
    primary = three.wait_whole()
    target = three.standbys()[0]
    for node in three.data_nodes():
        text = node.ok("switchover", "--dry-run", "--to", target.name)
        assert f"{primary.name} would hand over to {target.name}" in text and "Nothing speaks against it" in text
    refused = primary.keel("switchover", "--dry-run", "--to", primary.name)
    assert refused.returncode != 0 and "It would be refused" in refused.stdout and "is the leader already" in refused.stdout


def test_a_reader_looks_and_a_token_that_is_taken_back_ends_it(three, tokens):
    """No button for the role read, none behind the page either; cookie, log-out, and the end of a token."""
    primary = three.wait_whole()
    with browser.Visit("reader", primary, tokens["read"]) as visit:
        visit.at("looking")
        primary.ok("access", "remove", "reader")
        visit.go()
        visit.end()


@contextlib.contextmanager
def busy_proxy(node):
    """Somebody who asks all the time."""
    over = threading.Event()

    def ask():
        with node.proxy() as connection:
            while not over.is_set():
                connection.execute("SELECT 1")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def test_figures_and_settings_and_a_restart(three, tokens):
    """Proxy, availability and configuration are there to see; a standby is started again by hand."""
    primary = three.wait_whole()
    primary.ok("config", "set", "spare_grace_s=61")
    primary.kill()
    three.primary(other_than=primary)
    primary.start()
    primary = three.wait_whole()
    standby = three.standbys()[0]
    before = standby.postmaster()
    with busy_proxy(primary), browser.Visit("figures", primary, tokens["operate"], changed="spare_grace_s",
                                            standby=standby.name) as visit:
        visit.end()
    assert standby.postmaster() != before
    primary.ok("config", "set", "spare_grace_s=60")
    three.wait_whole()


HOSTILE = 'x"\'><img src=x onerror="window.pwned=1">\u202e\u6570\u636e\u5e93 \u0440\u0443\u0441'


def test_names_that_are_markup_are_shown_as_they_are(three, tokens):
    """A database, a tag and a reason with quotes, line breaks, markup and other scripts."""
    primary = three.wait_whole()
    quoted = HOSTILE.replace('"', '""')
    primary.admin(f'CREATE DATABASE "{quoted}\n2" OWNER auditor')
    primary.ok("tag", primary.name, f"domain={HOSTILE}")
    primary.ok("alert", "silence", "lag_bytes", "--for", "1h", "--why", f"{HOSTILE}\nsecond line")
    try:
        with primary.connect(dbname=HOSTILE + "\n2", autocommit=False) as connection:
            connection.execute("SELECT 1")  # its age and its database are shown
            with browser.Visit("names", primary, tokens["operate"], texts=[
                    f"domain {HOSTILE}", "second line", "onerror=\"window.pwned=1\">", "\u6570\u636e\u5e93"]) as visit:
                visit.end()
    finally:
        primary.ok("alert", "silence", "lag_bytes", "--end")
        primary.ok("tag", primary.name, "domain=")
        primary.admin(f'DROP DATABASE "{quoted}\n2"')


def test_a_page_of_an_older_version_says_so_and_loads_itself_again(three, tokens):
    with browser.Visit("stale", three.wait_whole(), tokens["read"]) as visit:
        visit.end()


def test_a_page_whose_node_dies_says_that_it_is_old(three, tokens):
    """The last picture stays, marked as old, with the way to other nodes; nothing can be done from it."""
    three.wait_whole()
    node = three.standbys()[0]
    with browser.Visit("silence", node, tokens["operate"], watched=node.name) as visit:
        visit.at("looking")
        node.kill()
        visit.go()
        visit.at("silent")
        node.start()
        visit.go()
        visit.end()
    three.wait_whole()


def test_what_is_served_to_whom(three, tokens):
    """The page itself for everybody, with its policy; all that it asks needs a log-in; another origin gets nothing done."""
    node = three.wait_whole()
    code, headers = request(node, "/dashboard/")
    assert code == 200 and "script-src 'self'" in headers["Content-Security-Policy"]
    for path in ("/dashboard/live", "/dashboard/session", "/status", "/switchover", "/alerts"):
        assert request(node, path)[0] == 401, path
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert request(node, "/pause", token=tokens["operate"], method="POST", headers=evil)[0] == 403
    assert not node.status()["paused"]
