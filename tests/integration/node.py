"""One node of a test's cluster: its directory, its address, its real process tree."""
import json
import os
import signal
import ssl
import subprocess
import urllib.error
import urllib.request

import psycopg

import processes
import program
from network import PORTS, PROXY_PORTS, read_tail
from waiting import NotYet


class Node:
    def __init__(self, cluster, name, host, kind="data"):
        self.cluster, self.name, self.host, self.kind = cluster, name, host, kind
        self.directory = cluster.root / name
        self.address = cluster.network.address(host)
        self.process = None
        self.starts = 0
        self.environment = []  # of its service: "NAME=value"
        cluster.network.plug(host)

    # ---- the program ----------------------------------------------------------------------------------------------
    def command(self, *words):
        """A pgkeel command line for this node, on its own host."""
        return [*self.cluster.network.command(self.host), self.cluster.binary or program.pgkeel(),
                *(str(word) for word in words)]

    def service(self):
        """What a service manager starts."""
        return ["env", *self.environment, *self.command("node", "--dir", self.directory)]

    def keel(self, *words, seconds=60):
        """Runs a command against this node's directory; the result, whatever it was."""
        return program.run(self.command(*words, "--dir", self.directory), seconds)

    def ok(self, *words, seconds=60):
        """As keel(), and it must succeed; its output."""
        done = self.keel(*words, seconds=seconds)
        if done.returncode != 0:
            raise AssertionError(f"pgkeel {' '.join(str(word) for word in words)} on {self.name}: exit code "
                                 f"{done.returncode}\n{done.stdout}{done.stderr}\n{self.cluster.describe()}")
        return done.stdout

    def place_options(self):
        """What init, join and witness need to know about this node."""
        options = ["--dir", self.directory, "--name", self.name, "--address", self.address,
                   "--peer-port", PORTS["peer"], "--api-port", PORTS["api"]]
        if self.kind == "data":
            options += ["--postgres-port", PORTS["postgres"], "--postgres-bin", program.postgres_bin()]
        return [str(word) for word in options]

    def start(self):
        """`pgkeel node` as a service manager would start it: its own session, its output in a file."""
        assert not self.running(), f"{self.name} runs already"
        self.starts += 1
        with open(self.cluster.root / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(self.service(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def edit_config(self, section, key, value):
        """Changes node.toml as an operator does in an editor: the key's line goes, the new one follows its section."""
        path, lines, inside = self.directory / "node.toml", [], ""
        for line in path.read_text().splitlines():
            if line.startswith("["):
                inside = line.strip("[]")
                lines.append(line)
                if inside == section:
                    lines.append(f"{key} = {value}")
            elif not (inside == section and line.startswith(f"{key} =")):
                lines.append(line)
        path.write_text("\n".join(lines) + "\n")

    # ---- processes ------------------------------------------------------------------------------------------------
    def root_pid(self):
        """Root of the tree. `ip netns exec` becomes the program that it starts, so it is our child."""
        if not self.running():
            raise NotYet(f"{self.name} does not run")
        return self.process.pid

    def inner(self, what):
        """Pid of the tree's process of this kind: agent or guardian."""
        for pid in processes.descendants(self.root_pid()):
            words = processes.arguments(pid)
            if len(words) > 1 and what in words[1:3] and processes.alive(pid):
                return pid
        raise NotYet(f"{self.name} has no {what} process")

    def postmaster(self):
        try:
            pid = int((self.directory / "data" / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError) as error:
            raise NotYet(f"{self.name} has no postmaster: {error}") from None
        if not processes.alive(pid):
            raise NotYet(f"the postmaster {pid} of {self.name} is dead")
        return pid

    def all_pids(self):
        found = set(processes.of_directory(self.directory))
        if self.running():
            found |= {self.process.pid, *processes.descendants(self.process.pid)}
        return {pid for pid in found if processes.alive(pid)}

    def kill(self):
        """The power is gone: SIGKILL to everything at once, PostgreSQL included."""
        killed = processes.kill_all(self.all_pids)
        if self.process:
            self.process.wait(20)
            self.process = None
        return killed

    def terminate(self, seconds=60):
        """SIGTERM to the root of the tree, as a service manager does; waits for its end."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process = process
            raise AssertionError(f"{self.name} does not end on SIGTERM\n{self.cluster.describe()}") from None
        return process.returncode

    def diverge(self):
        """Power loss right behind a commit that reached no standby, because it asked for none."""
        for pid in self.backends("walsender"):
            processes.send(pid, signal.SIGSTOP)
        # The fence makes every client's commit wait; the agent's own, which a person on this machine can play, do not.
        self.admin("CREATE TABLE alone AS SELECT generate_series(1, 1000)",
                   "dbname=audit options='-c synchronous_commit=local -c pgkeel.floor_exempt=on'")
        self.kill()

    # ---- views from outside ---------------------------------------------------------------------------------------
    def connect(self, **options):
        """A connection to this node's PostgreSQL, past every routing."""
        settings = dict(host=self.address, port=PORTS["postgres"], dbname="audit", user="auditor",
                        password=self.cluster.password, autocommit=True, connect_timeout=2, keepalives_idle=1,
                        keepalives_interval=1, keepalives_count=2, tcp_user_timeout=3000, sslmode="prefer",
                        gssencmode="disable")
        return psycopg.connect(**(settings | options))

    def proxy(self, endpoint="auto", **options):
        """A connection through this node's proxy."""
        return self.connect(port=PROXY_PORTS[endpoint], **options)

    def connect_as_peer(self, holder, role, **options):
        """As this role with another node's certificate: what that node, or a thief of its disk, can do here."""
        pki = holder.directory / "pki"
        return psycopg.connect(host=self.address, port=PORTS["postgres"], user=role, autocommit=True, connect_timeout=5,
                               sslmode="verify-ca", sslcert=str(pki / "node.crt"), sslkey=str(pki / "node.key"),
                               sslrootcert=str(pki / "ca.crt"), gssencmode="disable", **options)

    def sql(self, text, *values):
        """Rows of one statement through a connection of its own."""
        with self.connect() as connection:
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, text, *values):
        return self.sql(text, *values)[0][0]

    def is_primary(self):
        try:
            return self.value("SELECT NOT pg_is_in_recovery()")
        except psycopg.Error:
            return False

    def is_admin_primary(self):
        return self.admin("SELECT NOT pg_is_in_recovery()") == "t"

    def backends(self, title):
        """Processes of this node's PostgreSQL whose title contains the text: "walsender", "startup", ..."""
        return [pid for pid in processes.descendants(self.postmaster()) if title in " ".join(processes.arguments(pid))]

    def admin(self, text, database="postgres"):
        """SQL as the superuser over the Unix socket."""
        done = program.run(program.as_server_user(
            [program.postgres_bin() / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.directory / "run",
             "-p", PORTS["postgres"], "-U", "postgres", "-d", database, "-c", text]), cwd="/")
        if done.returncode != 0:
            raise NotYet(f"psql on {self.name}: {done.stderr.strip()}")
        return done.stdout.strip()

    def get(self, path, scheme="http"):
        """(code, body) of the API; plain HTTP is enough for health and metrics."""
        context = ssl.create_default_context(cafile=str(self.directory / "pki" / "ca.crt")) if scheme == "https" else None
        if context:
            context.check_hostname = False
        try:
            url = f"{scheme}://{self.address}:{PORTS['api']}{path}"
            with urllib.request.urlopen(url, timeout=5, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def status(self):
        """`pgkeel status --json` as this node tells it."""
        done = self.keel("status", "--json", seconds=15)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise NotYet(f"status of {self.name}: exit code {done.returncode}: {done.stdout}{done.stderr}") from None

    def identity(self):
        return json.loads((self.directory / "identity.json").read_text())

    def logs(self):
        """Every log file of the node, oldest first."""
        own = self.cluster.root / f"{self.name}.log"
        return [own, *sorted((self.directory / "log").glob("*"), key=os.path.getmtime)] if own.exists() else []

    def story(self):
        """The node's own log, without PostgreSQL's."""
        return (self.cluster.root / f"{self.name}.log").read_text(errors="replace")

    def describe(self, lines=25):
        text = f"---- {self.name} ({self.address}, {'runs' if self.running() else 'down'})\n"
        return text + "\n".join(f"-- {path.name}\n{read_tail(path, lines)}" for path in self.logs())
