"""A cluster of real nodes: made, watched from outside, broken, and removed again whatever happened."""
import json
import os
import pathlib
import re
import secrets
import shutil
import tempfile

import audit as auditing
from network import PORTS, Loopback, Switch
from node import Node
from program import run
from waiting import NotYet, wait_for

NAMES = ["anna", "bela", "cleo", "dora", "emil", "fritz", "gerda", "hugo", "ines", "jakob", "karla"]


class Cluster:
    """`nodes` data nodes and `witness` witnesses; made, started and whole when the constructor returns."""

    node_class, switch_class = Node, Switch

    def __init__(self, nodes=3, *, mode=None, witness=0, namespaces=False, init_options=(), settings=None, binary=None):
        # Not below pytest's own directories: the server's user must be able to enter, and socket paths are short.
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pgkeel-it-"))
        self.root.chmod(0o755)
        self.password = secrets.token_hex(8)
        self.binary = binary  # none: the one that is tested, where it was built
        self.nodes, self.extras = [], []  # extras: started by a test, no members
        self.token, self.failed = None, False
        self.network = self.switch_class() if namespaces else Loopback()
        try:
            first = self.add_node()
            self.init(first, init_options, mode)
            first.start()
            self.create_ledger(first)
            for _ in range(nodes - 1):
                self.join(self.add_node()).start()
            for number in range(witness):
                self.join(self.add_node("witness" + (str(number + 1) if number else ""), "witness")).start()
            for name, value in (settings or {}).items():
                first.ok("config", "set", name, value)
            self.wait_whole(90)
        except BaseException:
            self.failed = True
            self.close()
            raise

    # ---- making ---------------------------------------------------------------------------------------------------
    def add_node(self, name=None, kind="data"):
        host = max((node.host for node in [*self.nodes, *self.extras]), default=0) + 1
        node = self.node_class(self, name or NAMES[len(self.nodes)], host, kind)
        self.nodes.append(node)
        return node

    def init(self, node, options=(), mode=None):
        words = ["init", "--cluster", "shop", "--token-uses", "16", *node.place_options(), *options]
        if mode:
            words += ["--mode", mode]
        done = run(node.command(*words), 120)
        if done.returncode != 0:
            raise AssertionError(f"pgkeel {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        self.token = token_in(done.stdout)
        return done.stdout

    def fresh_token(self, *options):
        """A join token from a running node."""
        return self.any_running().ok("token", "create", "--bare", *options).strip()

    def join(self, node, *options, via=None, seconds=120):
        done = self.try_join(node, *options, via=via, seconds=seconds)
        if done.returncode != 0:
            raise AssertionError(f"join of {node.name}: exit code {done.returncode}\n{done.stdout}{done.stderr}\n"
                                 f"{self.describe()}")
        return node

    def try_join(self, node, *options, via=None, token=None, seconds=120):
        verb = "witness" if node.kind == "witness" else "join"
        via = via or self.any_running()
        words = [verb, f"{via.address}:{PORTS['api']}", "--token", token or self.token_for(node),
                 *node.place_options(), *options]
        return run(node.command(*words), seconds)

    def token_for(self, node):
        return self.fresh_token("--witness") if node.kind == "witness" else self.token

    def create_ledger(self, node):
        wait_for(node.is_admin_primary, 60, "the first node leads", self.describe)
        # A primary that is not confirmed yet refuses every commit.
        create = f"CREATE ROLE auditor LOGIN PASSWORD '{self.password}' IN ROLE pg_monitor"
        wait_for(lambda: node.admin(create) is not None, 30, "the first node's fence opens", self.describe)
        node.admin("CREATE DATABASE audit OWNER auditor")
        wait_for(lambda: node.sql(auditing.CREATE) == [], 30, "the ledger's table", self.describe)

    # ---- looking --------------------------------------------------------------------------------------------------
    def __getitem__(self, name):
        return next(node for node in self.nodes if node.name == name)

    def data_nodes(self):
        return [node for node in self.nodes if node.kind == "data"]

    def any_running(self):
        running = [node for node in self.nodes if node.running()]
        if not running:
            raise NotYet("no node runs")
        return running[0]

    def primaries(self):
        return [node for node in self.data_nodes() if node.is_primary()]

    def primary(self, seconds=60, other_than=None):
        """Waits for exactly one node that takes writes, and that the others call leader."""
        def one():
            found = self.primaries()
            if len(found) != 1:
                raise NotYet(f"primaries: {[node.name for node in found]}")
            if other_than is not None and found[0] is other_than:
                raise NotYet(f"{other_than.name} still is the primary")
            if found[0].get("/primary")[0] != 200:
                raise NotYet(f"{found[0].name} does not yet say that it is primary")
            return found[0]
        return wait_for(one, seconds, "one primary" + (f" other than {other_than.name}" if other_than else ""),
                        self.describe)

    def standbys(self):
        primary = self.primary()
        return [node for node in self.data_nodes() if node.running() and node is not primary]

    def whole(self):
        """The primary if every node runs, streams from it, and is where it should be; else NotYet says what lacks."""
        for node in self.nodes:
            if not node.running():
                raise NotYet(f"{node.name} is down")
        found = self.primaries()
        if len(found) != 1:
            raise NotYet(f"primaries: {[node.name for node in found]}")
        primary = found[0]
        rows = primary.sql("SELECT application_name, state, sync_state FROM pg_stat_replication")
        streaming = {name: sync for name, state, sync in rows if state == "streaming"}
        names = primary.value("SHOW synchronous_standby_names")
        status = primary.status()
        for node in self.data_nodes():
            uuid = node.identity()["node"]
            if node is primary:
                continue
            if uuid not in streaming:
                raise NotYet(f"{node.name} does not stream from {primary.name}: {rows}")
            wanted = status["mode"] != "async" and not self.member(status, node.name)["tags"].get("nosync")
            if wanted and uuid not in names:
                raise NotYet(f"{node.name} is not in synchronous_standby_names = {names!r}")
        if status["leader"] != primary.name or status["phase"] != "stable" or status["health"] != "ok":
            raise NotYet(f"status: leader {status['leader']!r}, {status['phase']}, {status['health']}: {status['verdict']}")
        if status["voters"] != status["voters_alive"]:
            raise NotYet(f"{status['voters_alive']} of {status['voters']} voters alive")
        return primary

    @staticmethod
    def member(status, name):
        for member in status["members"]:
            if member["name"] == name:
                return member
        raise NotYet(f"{name} is no member: {[member['name'] for member in status['members']]}")

    def wait_whole(self, seconds=60):
        """Starts what is down, then waits until one primary leads and everybody else is in place."""
        for node in self.nodes:
            if not node.running():
                node.start()
        return wait_for(self.whole, seconds, "the whole cluster in place", self.describe)

    def describe(self):
        """For failure messages: what the nodes say of themselves, and the ends of their logs."""
        text = "\n"
        for node in self.nodes:
            if node.running():
                try:
                    text += f"-- pgkeel status --json on {node.name}: {json.dumps(node.status())}\n"
                except Exception as error:  # noqa: BLE001: whatever it is, it belongs into the message
                    text += f"-- pgkeel status --json on {node.name}: {error}\n"
        return text + "\n".join(node.describe() for node in [*self.nodes, *self.extras]) + f"\nall logs: {self.root}\n"

    def epoch(self):
        return self.primary().status()["epoch"]

    def wait_status(self, node, condition, what, seconds=30):
        """Waits until the condition of this node's status is true; the status."""
        def look():
            status = node.status()
            if not condition(status):
                raise NotYet(f"status: {json.dumps(status)}")
            return status
        return wait_for(look, seconds, what, self.describe)

    # ---- writing and auditing -------------------------------------------------------------------------------------
    def writers(self, direct=1, routed=1, inside=()):
        """Writers to each data node directly, writers that try all nodes, and writers on the hosts `inside`."""
        made = [self.direct_writer(node) for node in self.data_nodes() for _ in range(direct)]
        made += [self.routed_writer() for _ in range(routed)]
        return made + [self.direct_writer(node, home=node) for node in inside]

    def direct_writer(self, node, home=None):
        return auditing.Writer(self.next_writer(), lambda: node.connect(target_session_attrs="read-write"), home)

    def routed_writer(self, kind=auditing.Writer):
        first = self.data_nodes()[0]
        hosts = ",".join(node.address for node in self.data_nodes())
        return kind(self.next_writer(), lambda: first.connect(host=hosts, target_session_attrs="read-write"))

    writer_count = 0

    def next_writer(self):
        self.writer_count += 1
        return self.writer_count

    def load(self, **options):
        return auditing.Load(self.writers(**options))

    def wait_writes(self, load, count=50, seconds=30):
        """Waits until `count` more writes were acknowledged than now."""
        goal = load.acknowledged() + count
        wait_for(lambda: load.acknowledged() >= goal, seconds, f"{count} more acknowledged writes", self.describe)

    def audit(self, load, minimum=100, lost_max=0):
        """Stops the load, waits until the cluster is whole, and checks every write against every node."""
        load.stop()
        primary = self.wait_whole(90)
        numbers = [writer.number for writer in load.writers]
        read = "SELECT id FROM ledger WHERE writer = ANY(%s)"
        rows = [row for row, in primary.sql(read, numbers)]
        result = auditing.audit([writer.ledger for writer in load.writers], rows)
        print(result)
        context = f"{result}\n{self.describe()}"
        assert result.acknowledged >= minimum, f"too few writes to prove anything: {context}"
        assert len(result.lost) <= lost_max, f"lost acknowledged writes {result.lost[:20]}: {context}"
        assert not result.doubled and not result.foreign, f"{result.doubled[:20]} {result.foreign[:20]} {context}"
        for node in self.data_nodes():
            if node is not primary:
                wait_for(lambda: sorted(row for row, in node.sql(read, numbers)) == sorted(rows), 30,
                         f"{node.name} has the same rows as {primary.name}", self.describe)
        return result

    # ---- the end --------------------------------------------------------------------------------------------------
    def close(self):
        """Kills what is ours, removes namespaces and directories; logs of a failed test stay."""
        try:
            for node in [*self.nodes, *self.extras]:
                node.kill()
        finally:
            self.network.close()
        if self.failed or os.environ.get("PGKEEL_KEEP"):
            for node in self.nodes:
                if not os.environ.get("PGKEEL_KEEP"):
                    for name in ("data", "data.old", "data.new"):
                        shutil.rmtree(node.directory / name, ignore_errors=True)
            print(f"logs kept in {self.root}")
        else:
            shutil.rmtree(self.root, ignore_errors=True)


def token_in(text):
    found = re.search(r"--token[ =]'?([^\s']+)", text)
    if not found:
        raise AssertionError(f"no join token in the output:\n{text}")
    return found[1]
