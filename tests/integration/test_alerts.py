"""Alerts reach people: once per cluster, across failovers, by channels that are slow, limited, down or wrong."""
import json
import os
import pwd

import pytest

import program
from receivers import BotApi, Http, Smtp
from waiting import NotYet, wait_for


class Receivers:
    """Every kind of channel, and the alerts.toml that leads to them."""

    def __init__(self, root):
        self.root = root
        self.hook, self.bot, self.mail = Http(), BotApi(), Smtp()
        self.pages = root / "pages"
        self.pages.mkdir()
        self.pages.chmod(0o777)
        pager = root / "pager"
        pager.write_text(f'#!/bin/sh\nexec cat > "{self.pages}/$$"\n')
        pager.chmod(0o755)
        self.token = self.secret("token", BotApi.TOKEN)
        self.text = f"""
[rule.fence]
on = false
[telegram.chat]
chat = "-100"
token_file = "{self.token}"
api = "http://127.0.0.1:{self.bot.port}"
[webhook.hook]
url = "http://127.0.0.1:{self.hook.port}/alerts"
header_file = "{self.secret('header', 'Authorization: Bearer hook-secret')}"
[email.mail]
server = "smtp://127.0.0.1:{self.mail.port}"
plain = true
from = "pgkeel@example.com"
to = ["dba@example.com", "boss@example.com"]
[command.page]
program = ["{pager}"]
"""

    def secret(self, name, text):
        path = self.root / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        user = pwd.getpwnam(program.SERVER_USER)
        os.chown(path, user.pw_uid, user.pw_gid)
        return path

    def install(self, cluster, text=None):
        for node in cluster.data_nodes():
            (node.directory / "alerts.toml").write_text(self.text if text is None else text)
            node.ok("reload")

    def paged(self):
        return [json.loads(path.read_text())["text"] for path in sorted(self.pages.iterdir()) if path.stat().st_size]

    def told(self, what):
        """How many messages of each channel have the text."""
        texts = {"telegram": [message["text"] for message in self.bot.taken], "webhook": self.hook.texts(),
                 "email": self.mail.texts(), "command": self.paged()}
        return {name: sum(what in text for text in all_texts) for name, all_texts in texts.items()}

    def wait_told(self, what, seconds=60, describe=lambda: ""):
        def everybody():
            told = self.told(what)
            if not all(told.values()):
                raise NotYet(f"{what!r}: {told}")
            return told
        return wait_for(everybody, seconds, f"every channel tells {what!r}", describe)

    def close(self):
        self.hook.hang.set()
        for server in (self.hook, self.bot, self.mail):
            server.close()


PAUSED_AT_ONCE = """
[rule.paused]
hold_s = 1
severity = "critical"
"""
EVERYBODY_ONCE = {"telegram": 1, "webhook": 1, "email": 1, "command": 1}


@pytest.fixture
def receivers(three):
    root = three.root / f"receivers-{os.urandom(3).hex()}"
    root.mkdir()
    root.chmod(0o755)
    made = Receivers(root)
    yield made
    for node in three.data_nodes():
        (node.directory / "alerts.toml").unlink(missing_ok=True)
        if node.running():
            node.keel("reload")
    made.close()


def listing(node):
    return json.loads(node.ok("alert", "list", "--json", "--all"))


def test_a_failover_is_told_once_by_every_channel(three, receivers):
    """The primary loses its power. Whoever takes over tells it, once by each channel, and when the cluster is whole again
    that too. The old primary, which has its own book of alerts on disk, tells nothing of it again when it is back.
    """
    old = three.wait_whole()
    receivers.install(three)
    assert old.ok("alert", "test").count("delivered") == 4
    receivers.wait_told("This is a test")
    wait_for(receivers.bot.is_free, 5, "the chat may get another message")
    old.kill()
    new = three.primary(other_than=old)
    receivers.wait_told(f"{new.name} has taken over from {old.name}", describe=three.describe)
    three.wait_whole()
    receivers.wait_told("RESOLVED", describe=three.describe)
    for node in three.data_nodes():
        wait_for(lambda: all(channel["waiting"] == 0 for channel in listing(node)["channels"]), 20,
                 f"{node.name} knows that nothing waits", three.describe)
    epoch = three.epoch()
    assert receivers.told("CRITICAL: failover") == EVERYBODY_ONCE
    assert receivers.told("RESOLVED") == EVERYBODY_ONCE
    lines = [(line["rule"], line["subject"], line["state"]) for line in receivers.hook.lines()]
    assert lines == [("failover", f"epoch {epoch}", "firing"), ("failover", f"epoch {epoch}", "resolved")]
    assert receivers.mail.taken[-1][0] == ["<dba@example.com>", "<boss@example.com>"]
    assert "shop: resolved: failover" in receivers.mail.taken[-1][1]
    assert receivers.hook.seen[-1][1]["Authorization"] == "Bearer hook-secret"
    assert not receivers.bot.violations


def test_what_waits_survives_its_speaker(three, receivers):
    """The channel is down when the failover happens, and the leader moves on before it is back: the next one tells, once."""
    old = three.wait_whole()
    receivers.install(three)
    receivers.hook.refuse_with = (503, {"Retry-After": "1"}, b"")
    old.kill()
    new = three.primary(other_than=old)
    taken_over = f"{new.name} has taken over from {old.name}"
    wait_for(lambda: receivers.told(taken_over)["telegram"] == 1, 30, "the other channels tell", three.describe)
    three.wait_whole()
    waiting = lambda node: next(c["waiting"] for c in listing(node)["channels"] if c["name"] == "hook")
    for node in three.standbys():  # the old primary is back: whoever of the two leads next has to know
        wait_for(lambda: waiting(node) > 0, 30, f"{node.name} has what waits in its book", three.describe)
    new.kill()
    last = three.primary(other_than=new)
    receivers.hook.refuse_with = None
    wait_for(lambda: receivers.told(taken_over)["webhook"] == 1, 90, "the webhook hears of the first failover",
             three.describe)
    three.wait_whole()
    wait_for(lambda: waiting(last) == 0, 60, "nothing waits", three.describe)
    firing = [line["subject"] for line in receivers.hook.lines() if line["rule"] == "failover" and line["state"] == "firing"]
    assert len(firing) == len(set(firing)) == 2, receivers.hook.taken


def test_what_nobody_acknowledges_wakes_the_next_one(three, receivers):
    """A channel for the case that the first one is not read. It hears of the end, too."""
    primary = three.wait_whole()
    boss = Http()
    try:
        receivers.install(three, f"""{receivers.text}{PAUSED_AT_ONCE}
[webhook.boss]
url = "http://127.0.0.1:{boss.port}/"
after_s = 2
""")
        def changes():  # of what went before there may be an alert, too
            return [line["change"] for line in boss.lines() if line["rule"] == "paused"]
        primary.ok("pause")
        wait_for(changes, 30, "the boss is told", three.describe)
        primary.ok("resume")
        wait_for(lambda: len(changes()) > 1, 30, "and of the end", three.describe)
        assert changes() == ["escalated", "resolved"]
        assert any("NOBODY HAS ACKNOWLEDGED" in text and "critical: paused" in text for text in boss.texts())
        wait_for(lambda: receivers.told("RESOLVED") == EVERYBODY_ONCE, 30, "the others hear of the end", three.describe)
        assert not any(receivers.told("NOBODY HAS").values()), "they were told at once"
        assert ", when nobody has acknowledged for 2 s" in primary.ok("alert", "list")
    finally:
        boss.close()


def test_a_clock_that_is_wrong_is_named(three, receivers):
    """A standby's is five minutes behind. Nothing else comes of it."""
    primary = three.wait_whole()
    late = three.standbys()[0]
    receivers.install(three, receivers.text + "[rule.clock]\nhold_s = 1\n")
    late.terminate()
    late.environment = program.faked_clock(FAKETIME="-6m")
    late.start()
    try:
        receivers.wait_told(f"clock:{late.name}: the clock of {late.name} is 6 min behind the others", describe=three.describe)
        assert three.wait_whole() is primary
    finally:
        late.environment = []
        late.terminate()
    late.start()
    receivers.wait_told("RESOLVED", describe=three.describe)
    assert set(line["rule"] for line in receivers.hook.lines()) <= {"clock", "member_down"}, receivers.hook.taken
    three.wait_whole()


def test_a_bot_that_asks_to_wait_is_obeyed(three, receivers):
    """Telegram answers 429 with retry_after. Nothing is sent until that is over, and nothing is lost."""
    primary = three.wait_whole()
    receivers.bot.ask_to_wait(3)
    receivers.install(three, receivers.text + PAUSED_AT_ONCE)
    primary.ok("pause")
    receivers.wait_told("CRITICAL: paused", describe=three.describe)
    primary.ok("resume")
    receivers.wait_told("RESOLVED", describe=three.describe)
    assert receivers.told("CRITICAL: paused") == EVERYBODY_ONCE
    assert not receivers.bot.violations
    assert b"CRITICAL" in receivers.bot.seen[0][2], "the first attempt was the one put off"


def test_a_channel_that_hangs_holds_up_nobody(three, receivers):
    """A webhook takes connections and never answers. The other channels tell, the agent leads on, and a reload is quick."""
    primary = three.wait_whole()
    receivers.install(three, receivers.text + PAUSED_AT_ONCE)
    receivers.hook.hang.clear()
    epoch = three.epoch()
    primary.ok("pause")
    wait_for(lambda: receivers.told("CRITICAL: paused")["email"] == 1, 30, "the mail tells", three.describe)
    wait_for(lambda: receivers.hook.seen, 30, "the webhook was asked", three.describe)
    primary.ok("reload")
    assert three.epoch() == epoch and three.primary() is primary
    receivers.hook.hang.set()
    primary.ok("resume")
    receivers.wait_told("RESOLVED", describe=three.describe)


def test_operators_acknowledge_and_silence_from_any_node(three, receivers):
    """Asked of a standby, it is carried out by the leader, and every node shows it."""
    primary = three.wait_whole()
    standby = three.standbys()[0]
    receivers.install(three, receivers.text + PAUSED_AT_ONCE)
    standby.ok("alert", "silence", "paused", "--for", "1h", "--why", "maintenance")
    wait_for(lambda: "maintenance" in standby.ok("alert", "list"), 30, "the standby shows the silence", three.describe)
    primary.ok("pause")
    phase = lambda node: [a["phase"] for a in listing(node)["alerts"] if a["rule"] == "paused" and a["phase"] != "resolved"]
    wait_for(lambda: phase(standby) == ["firing"], 30, "it fires", three.describe)
    assert not any(receivers.told("paused").values())
    standby.ok("alert", "ack", "paused")
    wait_for(lambda: phase(standby) == ["acknowledged"], 30, "it is acknowledged", three.describe)
    standby.ok("alert", "silence", "paused", "--end")
    receivers.wait_told("CRITICAL: paused", describe=three.describe)
    primary.ok("resume")
    receivers.wait_told("RESOLVED", describe=three.describe)
    refused = standby.keel("alert", "ack", "nonsense")
    assert refused.returncode != 0 and "no alert \"nonsense\" is firing" in refused.stderr
    refused = primary.keel("alert", "silence", "pausd")
    assert refused.returncode != 0 and "did you mean \"paused\"" in refused.stderr


def test_mistakes_are_said_and_secrets_are_not(three, receivers):
    """A file with mistakes leaves what was in force; a secret that others may read is not used; none is in a log."""
    primary = three.wait_whole()
    receivers.install(three)
    (primary.directory / "alerts.toml").write_text("[telegramm.x]\n")
    refused = primary.keel("reload")
    assert refused.returncode != 0 and "alerts.toml:1: unknown section [telegramm]" in refused.stderr
    assert len(listing(primary)["channels"]) == 4
    wait_for(lambda: "cannot use its alerts.toml" in primary.ok("alert", "list"), 10, "the list says so", three.describe)
    receivers.install(three)
    receivers.token.chmod(0o644)
    done = primary.keel("alert", "test")
    assert done.returncode == 1 and "chmod 0600" in done.stdout and done.stdout.count("delivered") == 3
    receivers.token.write_text("9:wrong-secret\n")
    receivers.token.chmod(0o600)
    done = primary.keel("alert", "test", "chat")
    assert done.returncode == 1 and "404: Not Found" in done.stdout
    unknown = primary.keel("alert", "test", "chta")
    assert unknown.returncode != 0 and "did you mean \"chat\"" in unknown.stderr
    for node in three.data_nodes():
        story = node.story() + node.ok("alert", "list", "--json") + (node.directory / "state/alerts.json").read_text()
        for secret in ("wrong-secret", BotApi.TOKEN, "hook-secret"):
            assert secret not in story, f"a secret is in what {node.name} says"
