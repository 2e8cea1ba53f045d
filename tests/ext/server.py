"""PostgreSQL servers with the library loaded, run as an ordinary user, on a unix socket and a loopback port."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import processes
import program
import psycopg
from network import free_port
from waiting import wait_for
from words import Words

LIBRARY = program.ROOT / "build/ext" / program.postgres_bin().parent.name / "pgkeel.so"


def as_user(*command, **options):
    done = program.run(program.as_server_user([str(word) for word in command]), **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Template:
    """A data directory made once, to be copied."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pgkeel-ext-"))
        if os.geteuid() == 0:
            shutil.chown(self.root, program.SERVER_USER, program.SERVER_USER)
        self.data = self.root / "template"
        as_user(program.postgres_bin() / "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync",
                "--encoding=UTF8", "--no-locale")
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write("fsync = off\nmax_prepared_transactions = 5\nshared_buffers = 16MB\n"
                       "autovacuum_naptime = 1s\nwal_level = replica\nlog_line_prefix = '%p %b '\nmax_wal_size = 1GB\n")

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Statement(threading.Thread):
    """A statement that runs beside the test: `result` or `error` when it has ended, `notices` of the server."""

    def __init__(self, connection, text):
        super().__init__(daemon=True)
        self.connection, self.text, self.error, self.notices, self.status = connection, text, None, [], None
        connection.add_notice_handler(lambda notice: self.notices.append(notice.message_primary))
        self.pid = connection.info.backend_pid
        self.start()

    def run(self):
        try:
            self.status = self.connection.execute(self.text).statusmessage
        except psycopg.Error as error:
            self.error = error

    def ended(self):
        return not self.is_alive()

    def end(self, seconds=30):
        self.join(seconds)
        assert self.ended(), f"still runs: {self.text}"
        return self


class Server:
    def __init__(self, template, words=None, settings=(), preload=LIBRARY, copy=True):
        self.words = Words() if words is None else words
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="server-", dir=template.root))
        self.data, self.socket, self.port, self.failed, self.process = self.root / "data", self.root, free_port(), False, None
        self.synchronous = False  # commits wait for nobody, and the checkpointer knows
        self.settings = {"shared_preload_libraries": str(preload), "pgkeel.gate_file": self.words.path} | dict(settings)
        if os.geteuid() == 0:
            shutil.chown(self.root, program.SERVER_USER, program.SERVER_USER)
        if copy:
            as_user("cp", "-a", template.data, self.data)

    # ---- life

    def launch(self):
        settings = {"unix_socket_directories": str(self.socket), "listen_addresses": "127.0.0.1", "port": self.port} | self.settings
        command = [program.postgres_bin() / "postgres", "-D", self.data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open(self.root / "log", "a") as log:
            self.process = subprocess.Popen(program.as_server_user([str(word) for word in command]), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd="/")

    def start(self):
        self.launch()
        wait_for(self.answers, 60, "the server answers", self.log_text)
        return self

    def answers(self):
        assert self.process.poll() is None, "the server ended:\n" + self.log_text()
        return self.run("SELECT 1")

    def stop(self, how=signal.SIGINT):
        """Fast shutdown with the gate's help; SIGQUIT when asked for."""
        if self.process is None or self.process.poll() is not None:
            return
        if how == signal.SIGINT:
            self.words.unmask = 1
        self.process.send_signal(how)
        self.process.wait(60)

    def close(self):
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop(signal.SIGQUIT)
        finally:
            self.words.close()
            shutil.rmtree(self.root, ignore_errors=True)

    def log_text(self):
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logged(self, *texts):
        return lambda: all(text in self.log_text() for text in texts)

    # ---- use

    def connect(self, user="postgres", host=None, autocommit=True, **more):
        return psycopg.connect(host=host or str(self.socket), port=self.port, user=user, dbname="postgres",
                               autocommit=autocommit, connect_timeout=30, application_name="test", **more)

    def run(self, text, **more):
        """Statements on a connection of their own; the rows of the last one, or its status."""
        with self.connect(**more) as connection:
            cursor = connection.execute(text)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else cursor.statusmessage

    def value(self, text, **more):
        return self.run(text, **more)[0][0]

    @staticmethod
    def begin_on(connection, text):
        """Starts a statement beside the test."""
        return Statement(connection, text)

    def configure(self, **settings):
        """Exactly these settings on top of those of the start, in force everywhere when this returns."""
        lines = "".join(f"{name.replace('__', '.')} = '{value}'\n" for name, value in settings.items())
        (self.data / "postgresql.auto.conf").write_text(lines)
        self.run("SELECT pg_reload_conf()")
        wait_for(lambda: all(str(self.value(f"SHOW {name.replace('__', '.')}")) == str(value)
                             for name, value in settings.items()), 30, f"{settings} are in force")
        defined = settings.get("synchronous_standby_names") == "nobody"
        if defined != self.synchronous:
            wait_for(lambda: self.commits_wait() == defined, 30, "the checkpointer has told commits to wait, or not to")
            self.synchronous = defined

    def commits_wait(self):
        """Whether commits wait for standbys now. The setting alone does not say so: the checkpointer does."""
        floor, self.words.floor = self.words.floor, 0
        with self.connect() as connection:
            probe = Statement(connection, "SELECT pg_logical_emit_message(true, 'test', 'x')")
            wait_for(lambda: probe.ended() or self.waits(probe.pid) == "SyncRep", 30, "a commit ends or waits")
            waits = not probe.ended()
            self.value(f"SELECT pg_cancel_backend({probe.pid})")
            probe.end()
        self.words.floor = floor
        return waits

    def waits(self, pid):
        return self.value(f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}")

    def wait_until_waiting(self, statement, event="SyncRep"):
        wait_for(lambda: self.waits(statement.pid) == event or statement.ended(), 30, f"it waits for {event}",
                 lambda: f"it waits for {self.waits(statement.pid)}\n{self.log_text()[-2000:]}")
        assert not statement.ended(), f"it did not wait: {statement.status} {statement.error} {statement.notices}"

    def signal_and_settle(self, pid, function):
        """pg_cancel_backend or pg_terminate_backend, until the signal was delivered and its handler is through."""
        assert self.value(f"SELECT {function}({pid})")

        def settled():
            status = (processes.PROC / str(pid) / "status").read_text()
            pending = [line.split()[1] for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
            return all(int(mask, 16) == 0 for mask in pending) and processes.state(pid) == "S"

        wait_for(settled, 30, "the signal was delivered")

    def end_sessions(self):
        self.configure()
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE application_name = 'test' AND pid <> pg_backend_pid()")
        self.run("SELECT 1")
        for (gid,) in self.run("SELECT gid FROM pg_prepared_xacts"):
            self.run(f"ROLLBACK PREPARED '{gid}'")
