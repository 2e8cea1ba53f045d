#!/usr/bin/python3
"""What the proxy costs, side by side with PgBouncer, HAProxy and no proxy at all; each round runs all of them in turn.

usage: bench_proxy.py [--binary build/release/pgkeel] [--rounds 5] [--seconds 5] [--clients 8] [--idle 1000] [figures ...]

figures: load latency logins idle results copy (default: all)

One server (mode async, pgbench's tables at scale 10) on this machine. Processor time is the operating system's account of
the proxy's process. "pgkeel" is port 6433 (no split), "split" is 6432 (reads are told from writes, commits are tracked).
PgBouncer pools transactions as well; HAProxy only forwards, and has a server connection for each client.
"""
import contextlib
import os
import pathlib
import pwd
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/integration")]

import processes  # noqa: E402
import program  # noqa: E402
import side_by_side  # noqa: E402
from cluster import Cluster  # noqa: E402
from network import PORTS, PROXY_PORTS, free_port  # noqa: E402
from waiting import NotYet, wait_for  # noqa: E402

PEERS = ROOT / "build/peers"
LOADS = {"reads, simple": ["-S", "-M", "simple"], "reads, extended": ["-S", "-M", "extended"],
         "reads, prepared": ["-S", "-M", "prepared"], "TPC-B, simple": ["-M", "simple"]}
PREPARED_SINCE = (1, 21)  # of PgBouncer, when it pools transactions
POOL = 20
CLIENTS_MAX = 4000
ROWS = 300_000


class Way:
    """One way to the server: an address, and the process that stands between."""

    def __init__(self, name, host, port, pid=None):
        self.name, self.host, self.port, self.pid = name, host, port, pid

    def conninfo(self, **more):
        words = dict(host=self.host, port=self.port, dbname="audit", user="auditor", sslmode="disable", gssencmode="disable") | more
        return " ".join(f"{key}={value}" for key, value in words.items())

    def processor_us(self):
        if self.pid is None:
            return 0
        fields = processes.stat_fields(self.pid)
        return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")

    def private_kb(self):
        """Of user space: what its own clients need, without what the kernel has for their sockets."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(int(number) for number in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


class Bench:
    def __init__(self, args, stack):
        self.args, self.stack = args, stack
        self.cluster = Cluster(1, mode="async")
        self.stack.callback(self.cluster.close)
        self.node = self.cluster.primary()
        for key, value in (("pool_size", POOL), ("clients_max", CLIENTS_MAX)):
            self.node.edit_config("proxy", key, value)
        self.node.terminate()
        self.node.start()
        self.cluster.wait_whole()
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="pgkeel-bench-")))
        self.folder.chmod(0o755)
        self.environment = os.environ | {"PGPASSWORD": self.cluster.password}
        direct = Way("direct", self.node.address, PORTS["postgres"])
        self.ways = [direct, self.pgbouncer(), self.haproxy()]
        for name, endpoint in (("pgkeel", "read-write"), ("split", "auto")):
            self.ways.append(Way(name, self.node.address, PROXY_PORTS[endpoint], self.node.inner("proxy")))
        for way in self.ways:
            log = self.folder / f"{way.name}.log"
            wait_for(lambda way=way: self.sql(way, "SELECT 1") == "1", 30, f"the way {way.name}",
                     lambda log=log: log.read_text() if log.exists() else "")
        self.pgbench(direct, "-i", "-q", "-s", "10")

    # ---- the others -----------------------------------------------------------------------------------------------
    def begin(self, name, command, config, port):
        path = self.folder / f"{name}.conf"
        path.write_text(config)
        path.chmod(0o644)
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(program.as_server_user([str(word) for word in [*command, path]]), cwd="/", stdout=log, stderr=log)
        self.stack.callback(lambda: (process.send_signal(signal.SIGKILL), process.wait()))
        return Way(name, "127.0.0.1", port, process.pid)

    def pgbouncer(self):
        port, users = free_port(), self.folder / "users.txt"
        users.write_text(f'"auditor" "{self.cluster.password}"\n')
        users.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(users, pwd.getpwnam(program.SERVER_USER).pw_uid, -1)
        return self.begin("pgbouncer", [peer("pgbouncer")], f"""[databases]
audit = host={self.node.address} port={PORTS['postgres']} dbname=audit
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {POOL}
max_client_conn = {CLIENTS_MAX}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
""", port)

    def haproxy(self):
        port = free_port()
        way = self.begin("haproxy", [peer("haproxy"), "-db", "-f"], f"""global
    maxconn {CLIENTS_MAX}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen postgres
    bind 127.0.0.1:{port}
    server one {self.node.address}:{PORTS['postgres']}
""", port)
        return way

    # ---- work -----------------------------------------------------------------------------------------------------
    def run(self, command, seconds=300, **options):
        done = subprocess.run([str(word) for word in command], env=self.environment, timeout=seconds, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=self.folder, **options)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def sql(self, way, text):
        done = subprocess.run(["psql", "-XAtq", "-c", text, way.conninfo()], env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise NotYet(done.stderr)
        return done.stdout.strip()

    def pgbench(self, way, *words):
        return self.run([program.postgres_bin() / "pgbench", *words, way.conninfo()])

    def spent(self, way, work, count):
        """(per second, microseconds of the proxy's processor for each) of `count` of the answer of `work`."""
        before, start = way.processor_us(), time.monotonic()
        number = count(work())
        seconds = time.monotonic() - start
        return number / seconds, (way.processor_us() - before) / number

    def in_turn(self, once, ways=None):
        """{way: [what `once` gave]}"""
        order = list(ways or self.ways)
        found = {way.name: [] for way in order}
        for _ in range(self.args.rounds):
            for way in order:
                found[way.name].append(once(way))
            order = order[1:] + order[:1]
        return found

    def tell(self, title, found, unit, scale=1.0):
        """A line for each way, with the ratio of its processor time to PgBouncer's."""
        print(f"  {title}", flush=True)
        middle = {name: [statistics.median(column) for column in zip(*rounds)] for name, rounds in found.items()}
        base = middle.get("pgbouncer", [0, 0])[1]
        for name, (rate, cost) in middle.items():
            text = f"    {name:<10} {rate * scale:>10.0f} {unit}/s"
            if cost > 0:
                text += f" {cost:>9.2f} us of its processor each"
                if base > 0 and name != "pgbouncer":
                    text += f", {cost / base:.2f}x PgBouncer"
            print(text, flush=True)

    # ---- figures --------------------------------------------------------------------------------------------------
    def load(self):
        for title, words in LOADS.items():
            def once(way, words=words):
                command = ["-n", *words, "-c", self.args.clients, "-j", 2, "-T", self.args.seconds]
                return self.spent(way, lambda: self.pgbench(way, *command), processed)
            pooled = version("pgbouncer") >= PREPARED_SINCE or "prepared" not in words
            ways = [way for way in self.ways if pooled or way.name != "pgbouncer"]
            self.tell(f"{title}, {self.args.clients} clients", self.in_turn(once, ways), "transactions")

    def latency(self):
        def once(way):
            prefix = self.folder / f"latency-{way.name}"
            self.pgbench(way, "-n", "-S", "-M", "extended", "-c", 1, "-T", self.args.seconds, "-l", "--log-prefix", prefix)
            found = sorted(int(line.split()[2]) for file in self.folder.glob(f"latency-{way.name}.*") for line in open(file))
            for file in self.folder.glob(f"latency-{way.name}.*"):
                file.unlink()
            return found[len(found) // 2], found[len(found) * 99 // 100]
        print("  latency of a read by the extended protocol, 1 client, us: p50, p99, and what is added", flush=True)
        middle = {name: [statistics.median(column) for column in zip(*rounds)] for name, rounds in self.in_turn(once).items()}
        for name, (half, most) in middle.items():
            print(f"    {name:<10} {half:>6.0f} {most:>6.0f}   +{half - middle['direct'][0]:.0f} +{most - middle['direct'][1]:.0f}", flush=True)

    def logins(self):
        def once(way):
            return self.spent(way, lambda: self.pgbench(way, "-n", "-C", "-S", "-c", 4, "-j", 2, "-T", self.args.seconds), processed)
        self.tell("SCRAM log-ins with one read each, 4 clients", self.in_turn(once), "log-ins")

    def idle(self):
        print(f"  memory of {self.args.idle} idle clients, logged in, private to the process", flush=True)
        # Not psycopg's own wait, whose select() ends at descriptor 1024.
        from psycopg import pq
        for way in self.ways:
            if way.name in ("direct", "haproxy", "split"):  # servers of their own; the same process as pgkeel
                continue
            with contextlib.ExitStack() as clients:
                def open_one(way=way, clients=clients):
                    one = pq.PGconn.connect(way.conninfo(password=self.cluster.password).encode())
                    clients.callback(one.finish)
                    if one.exec_(b"SELECT 1").status != pq.ExecStatus.TUPLES_OK:
                        raise AssertionError(f"{way.name}: {one.error_message.decode()}")
                for _ in range(50):  # what comes with the first clients anyway
                    open_one()
                before = way.private_kb()
                for _ in range(self.args.idle):
                    open_one()
                print(f"    {way.name:<10} {(way.private_kb() - before) / self.args.idle:>6.2f} kB each", flush=True)

    def results(self):
        text = f"SELECT i, repeat('x', 100) FROM generate_series(1, {ROWS}) AS i"

        def once(way):
            return self.spent(way, lambda: self.run(["psql", "-XAtq", "-o", "/dev/null", "-c", text, way.conninfo()]), lambda _: ROWS)
        self.tell(f"a result of {ROWS} rows of 110 bytes", self.in_turn(once), "rows")

    def copy(self):
        def once_out(way):
            text = f"COPY (SELECT i, repeat('x', 100) FROM generate_series(1, {ROWS}) AS i) TO STDOUT"
            return self.spent(way, lambda: self.run(["psql", "-XAtq", "-o", "/dev/null", "-c", text, way.conninfo()]), lambda _: ROWS)
        self.tell(f"COPY out of {ROWS} rows", self.in_turn(once_out), "rows")
        lines = "".join(f"{number}\t{'x' * 100}\n" for number in range(ROWS))
        self.sql(self.ways[0], "CREATE UNLOGGED TABLE IF NOT EXISTS copied (a int, b text)")

        def once_in(way):
            self.sql(self.ways[0], "TRUNCATE copied")
            command = ["psql", "-XAtq", "-c", "COPY copied FROM STDIN", way.conninfo()]
            return self.spent(way, lambda: self.run(command, input=lines), lambda _: ROWS)
        self.tell(f"COPY in of {ROWS} rows", self.in_turn(once_in), "rows")


def processed(text):
    """Transactions, as pgbench tells them."""
    return int(re.search(r"actually processed: (\d+)", text)[1])


def peer(name):
    found = PEERS / "usr/sbin" / name
    if not found.exists():
        raise SystemExit(f"bench: no {name}. mend: tools/setup peers")
    return found


def version_text(name):
    return program.run([peer(name), "--version" if name == "pgbouncer" else "-v"]).stdout.splitlines()[0].split(" - ")[0]


def version(name):
    return tuple(int(number) for number in re.search(r"(\d+)\.(\d+)", version_text(name)).groups())


def main():
    figures = ["load", "latency", "logins", "idle", "results", "copy"]
    args = side_by_side.arguments(__doc__, figures, rounds=5, seconds=5, clients=8, idle=1000)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CLIENTS_MAX), hard))
    side_by_side.tell_conditions(args, "bench-proxy", f"{version_text('pgbouncer')}, {version_text('haproxy')}",
                                 f"{args.rounds} rounds of {args.seconds} s")
    side_by_side.run(Bench, args)


if __name__ == "__main__":
    main()
