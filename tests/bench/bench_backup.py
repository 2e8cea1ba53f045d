#!/usr/bin/python3
"""Backups and restores beside pg_basebackup and pgBackRest, in turn, in one run; each from one server into a directory.

usage: bench_backup.py [--binary build/release/pgkeel] [--rounds 3] [--scale 30] [--segments 40] [figures ...]

figures: backup restore wal (default: all)

All compress by zstd at level 3, pgkeel's WAL at level 1. Processor time is that of the program and its children, and of the server's sessions that
ended meanwhile: two of the three have the server read for them. Memory is the largest process of the program, looked at 50 times a second. "pgkeel,
again" is an incremental backup of what has not changed. A restore has the files on disk; of pgkeel it includes
pg_verifybackup, pg_basebackup's is tar alone. pg_basebackup comes by TLS, which pgkeel does not. pgBackRest
pushes WAL as archive_command does, one segment at a time, and with archive-async.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/integration")]

import processes  # noqa: E402
import program  # noqa: E402
import side_by_side  # noqa: E402
from cluster import Cluster  # noqa: E402
from network import PORTS  # noqa: E402
from restoring import number, with_repository  # noqa: E402

PGBACKREST = ROOT / "build/peers/usr/bin/pgbackrest"


class Bench:
    def __init__(self, args, stack):
        self.args = args
        self.cluster = with_repository(Cluster(1, mode="async"))
        stack.callback(self.cluster.close)
        self.node = self.cluster.primary()
        self.node.ok("config", "set", "backup_full=off", "backup_expire=off", "backup_prove=off")
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgkeel-bench-")))
        self.own(self.folder)
        self.admin = ["-h", self.node.directory / "run", "-p", PORTS["postgres"], "-U", "postgres"]
        self.once("pgbench", [program.postgres_bin() / "pgbench", *self.admin, "-i", "-q", "-s", args.scale, "audit"])
        self.node.admin("VACUUM (FREEZE)", "audit")
        self.node.admin("CHECKPOINT")
        self.megabytes = int(self.node.admin("SELECT sum(pg_database_size(oid)) FROM pg_database")) / 1e6
        config = self.folder / "pgbackrest.conf"
        config.write_text(f"""[global]
repo1-path={self.folder}/pgbackrest
log-path={self.folder}
lock-path={self.folder}/lock
compress-type=zst
compress-level=3
start-fast=y
archive-check=n
log-level-file=off
log-level-console=warn
[bench]
pg1-path={self.node.directory}/data
pg1-socket-path={self.node.directory}/run
pg1-port={PORTS['postgres']}
pg1-user=postgres
""")
        config.chmod(0o644)
        self.pgbackrest = [PGBACKREST, f"--config={config}", "--stanza=bench"]
        self.once("stanza", [*self.pgbackrest, "--no-online", "stanza-create"])

    @staticmethod
    def own(path):
        path.chmod(0o755)
        program.run(["chown", program.SERVER_USER, path])

    def fresh(self, name):
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        self.own(path)
        path.chmod(0o700)
        return path

    def server_seconds(self):
        pid = int((self.node.directory / "data/postmaster.pid").read_text().split()[0])
        fields = processes.stat_fields(pid)
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def once(self, name, command, as_user=True):
        """(seconds, seconds of processors, MB of the largest process, output)"""
        before, start = self.server_seconds(), time.monotonic()
        words = [str(word) for word in command]
        with open(self.folder / f"{name}.out", "w+") as out:
            process = subprocess.Popen(program.as_server_user(words) if as_user else words, cwd="/", stdout=out, stderr=out)
            largest = self.watch(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - start
            out.seek(0)
            text = out.read()
        if process.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {process.returncode}\n{text[-2000:]}")
        spent = usage.ru_utime + usage.ru_stime + self.server_seconds() - before
        return seconds, spent, largest[0] / 1024, text

    @staticmethod
    def watch(pid):
        """[kB of the largest process of the tree], kept up to date. (The system's own account has what ours had at the fork.)"""
        found = [0]

        def look():
            while pathlib.Path(f"/proc/{pid}").exists():
                for one in [pid, *processes.descendants(pid)]:
                    with contextlib.suppress(OSError):
                        text = pathlib.Path(f"/proc/{one}/status").read_text()
                        if peak := re.search(r"^VmHWM:\s+(\d+)", text, re.MULTILINE):
                            found[0] = max(found[0], int(peak[1]))
                time.sleep(0.02)
        threading.Thread(target=look, daemon=True).start()
        return found

    def keel(self, *words):
        return self.once("pgkeel", self.node.command(*words, "--dir", self.node.directory), as_user=False)

    def in_turn(self, ways):
        """{way: [what it gave]}"""
        found, order = {name: [] for name in ways}, list(ways)
        for _ in range(self.args.rounds):
            for name in order:
                found[name].append(ways[name]())
            order = order[1:] + order[:1]
        return found

    def tell(self, title, found, base="pgbackrest"):
        print(f"  {title}, {self.megabytes:.0f} MB", flush=True)
        middle = {name: [statistics.median(column) for column in list(zip(*rounds))[:3]] for name, rounds in found.items()}
        for name, (seconds, spent, memory) in middle.items():
            print(f"    {name:<16} {self.megabytes / seconds:>7.0f} MB/s {middle[base][0] / seconds:>5.2f}x {base} {spent:>7.1f} s of "
                  f"processors {memory:>6.0f} MB", flush=True)

    # ---- figures --------------------------------------------------------------------------------------------------
    def base_backup(self):
        # As a node clones another: the only way that its pg_hba.conf lets it in.
        pki = self.node.directory / "pki"
        way = (f"host={self.node.address} port={PORTS['postgres']} user=pgkeel_replicator sslmode=require sslcert={pki}/node.crt "
               f"sslkey={pki}/node.key")
        return self.once("pg_basebackup", [program.postgres_bin() / "pg_basebackup", "-d", way, "-D", self.fresh("base"), "-Ft",
                                           "--compress=client-zstd:3", "--checkpoint=fast", "-X", "none"])

    def rest_backup(self, workers):
        return self.once("pgbackrest", [*self.pgbackrest, "--type=full", f"--process-max={workers}", "backup"])

    def backup(self):
        ways = {"pgkeel": lambda: self.keel("backup", "create"),
                "pgkeel, again": lambda: self.keel("backup", "create", "--incremental"),
                "pg_basebackup": self.base_backup,
                "pgbackrest": lambda: self.rest_backup(1),
                "pgbackrest, 2": lambda: self.rest_backup(2)}
        self.tell("a full backup", self.in_turn(ways))

    def restore(self):
        self.keel("backup", "create")
        self.base_backup()
        self.rest_backup(2)

        def keel():
            whole, spent, memory, text = self.keel("backup", "prove", "--no-check")
            return float(re.search(r": ([\d.]+) s for ", text)[1]), spent, memory, whole

        def tar():
            return self.once("tar", ["tar", "--zstd", "-xf", self.folder / "base/base.tar.zst", "-C", self.fresh("untarred")])

        def rest(workers):
            return self.once("restore", [*self.pgbackrest, f"--pg1-path={self.fresh('rested')}", f"--process-max={workers}", "restore"])
        self.tell("a restore of the files", self.in_turn({
            "pgkeel": keel, "pg_basebackup": tar, "pgbackrest": lambda: rest(1), "pgbackrest, 2": lambda: rest(2)}))

    def wal(self):
        """Segments of pgbench's kind that wait, the same for all in a round, until they are in the repository."""
        ways = {}
        for way, workers in (("pgbackrest", 0), ("pgbackrest async", 1), ("async, 2", 2)):
            place = [*self.pgbackrest, f"--repo1-path={self.folder}/wal{workers}"]
            self.once("stanza", [*place, "--no-online", "stanza-create"])
            own = ["--archive-async", f"--process-max={workers}", f"--spool-path={self.folder}/spool{workers}"]
            ways[way] = [*place, *(own if workers else [])]
        rates = {way: [] for way in ["pgkeel", *ways]}
        stored = {}
        for _ in range(self.args.rounds):
            archiver = self.node.inner("archiver")
            processes.send(archiver, signal.SIGSTOP)  # its slot keeps the WAL
            try:
                waiting = self.backlog()
                order = list(ways)
                for way in order:
                    rates[way].append(self.push(ways[way], waiting))
                ways = {way: ways[way] for way in order[1:] + order[:1]}
            finally:
                processes.send(archiver, signal.SIGCONT)
            rates["pgkeel"].append(self.catch_up(waiting))
            repositories = {"pgkeel": self.cluster.repository, "pgbackrest": self.folder / "wal0"}
            stored = {name: self.size_of(place, waiting) / len(waiting) for name, place in repositories.items()}
        print(f"  WAL segments per second into the archive, about {self.args.segments} that wait", flush=True)
        for name, each in rates.items():
            size = f"  {stored[name] / 1e6:.2f} MB stored of 16.78" if name in stored else ""
            print(f"    {name:<16} {statistics.median(each):>7.1f} ({min(each):.1f} to {max(each):.1f}){size}", flush=True)

    def backlog(self):
        """Files of the complete segments that nobody has archived."""
        begun = self.node.admin("SELECT pg_walfile_name(pg_switch_wal() + 1)")
        first = number(self.node.admin("SELECT pg_current_wal_lsn()"))
        while number(self.node.admin("SELECT pg_current_wal_lsn()")) - first < self.args.segments << 24:
            self.node.admin("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 10 = 0", "audit")
        end = self.node.admin("SELECT pg_walfile_name(pg_switch_wal() + 1)")
        return [path for path in sorted((self.node.directory / "data/pg_wal").iterdir())
                if re.fullmatch(r"[0-9A-F]{24}", path.name) and begun <= path.name < end]

    def push(self, command, waiting):
        """One after the other, as PostgreSQL calls archive_command; async finds the others by their status files."""
        ready = [path.parent / "archive_status" / f"{path.name}.ready" for path in waiting]
        for path in ready:
            path.touch()
            program.run(["chown", program.SERVER_USER, path])
        start = time.monotonic()
        for path in waiting:
            self.once("push", [*command, "archive-push", path])
        seconds = time.monotonic() - start
        for path in ready:
            path.unlink()
        return len(waiting) / seconds

    def catch_up(self, waiting):
        """From the first of them that is stored: before that the archiver notices that it was gone, and connects anew."""
        names, begun = {path.name for path in waiting}, time.monotonic()
        folders = [folder for folder in self.cluster.repository.glob("*/wal") if folder.is_dir()]

        def stored():
            return sum(name[:24] in names and name.endswith(".zst") for wal in folders for folder in wal.glob("*[0-9A-F]")
                       if folder.is_dir() for name in os.listdir(folder))
        first = before = stored()
        while (now := stored()) < len(names):
            if first == before and now > before:
                first, begun = now, time.monotonic()
            time.sleep(0.01)
        return (len(names) - first) / (time.monotonic() - begun)

    @staticmethod
    def size_of(place, waiting):
        names = {path.name for path in waiting}
        return sum(path.stat().st_size for path in place.rglob("*-*.zst") if path.name[:24] in names)


def main():
    args = side_by_side.arguments(__doc__, ["backup", "restore", "wal"], rounds=3, scale=30, segments=40)
    if not PGBACKREST.exists():
        raise SystemExit("bench: no pgbackrest. mend: tools/setup peers")
    version = program.run([PGBACKREST, "version"]).stdout.strip()
    side_by_side.tell_conditions(args, "bench-backup", version, f"{args.rounds} rounds")
    side_by_side.run(Bench, args)


if __name__ == "__main__":
    main()
