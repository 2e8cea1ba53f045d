"""Writers that remember what the server told them, and the audit of every acknowledged write afterwards."""
import collections
import ctypes
import dataclasses
import os
import socket
import threading
import time

import psycopg

CREATE = "CREATE TABLE IF NOT EXISTS ledger (id bigint NOT NULL, writer int NOT NULL)"  # no key: duplicates would show

# The server reported an error before the commit: the row is certainly not there. Class 57P, 08: the connection is gone.
LOST_CONNECTION = ("08", "57P")


def enter_namespace(name):
    """Moves the calling thread, and only it, into a network namespace made by `ip netns`."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{name}") as handle:
        if libc.setns(handle.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")


@dataclasses.dataclass
class Ledger:
    acknowledged: list = dataclasses.field(default_factory=list)
    unknown: list = dataclasses.field(default_factory=list)
    refused: int = 0
    warnings: collections.Counter = dataclasses.field(default_factory=collections.Counter)


class Writer(threading.Thread):
    """One connection at a time to its own target; goes on whatever happens, until told to stop.

    `home` is the node on whose host it lives, beside the server; None: it lives outside of them all.
    """

    statement = "INSERT INTO ledger VALUES (%s, %s)"

    def __init__(self, number, connect, home=None, pace=0.004):
        super().__init__(daemon=True, name=f"writer-{number}")
        self.number, self.connect, self.home, self.pace = number, connect, home, pace
        self.ledger, self.ending = Ledger(), threading.Event()
        self.next, self.link, self.lock, self.fault = 0, None, threading.Lock(), None

    def run(self):
        try:
            namespace = self.home and self.home.cluster.network.namespace(self.home.host)
            if namespace:
                enter_namespace(namespace)
            while not self.ending.is_set():
                self.visit()
        except Exception as error:  # noqa: BLE001: shown by the audit; a writer that died proves nothing
            self.fault = error

    def visit(self):
        """Connects and writes until something goes wrong or the server turns out to be no primary."""
        try:
            connection = self.connect()
        except psycopg.Error:
            self.ending.wait(0.03)
            return
        with self.lock:
            self.link = os.dup(connection.fileno())
        connection.add_notice_handler(lambda notice: self.ledger.warnings.update([notice.message_primary]))
        try:
            while not self.ending.is_set() and self.insert(connection):
                self.ending.wait(self.pace)
        finally:
            with self.lock:
                os.close(self.link)
                self.link = None
            connection.close()
        self.ending.wait(0.03)

    def insert(self, connection):
        row = self.number * 10_000_000 + self.next
        self.next += 1
        sent = time.monotonic()
        try:
            answer = connection.execute(self.statement, (row, self.number))
        except psycopg.Error as error:
            if connection.broken or connection.closed or (error.sqlstate or "08").startswith(LOST_CONNECTION):
                self.ledger.unknown.append(row)
            else:
                self.ledger.refused += 1  # read-only, not there yet, ...: the transaction did not commit
            return False
        self.acknowledge(row, sent, answer)
        return True

    def acknowledge(self, row, sent, answer):
        self.ledger.acknowledged.append(row)

    def stop(self):
        """A writer that waits for an answer loses its connection: that row's outcome is unknown."""
        self.ending.set()

    def hang_up(self):
        with self.lock:
            if self.link is not None:
                with socket.socket(fileno=os.dup(self.link)) as link:
                    link.shutdown(socket.SHUT_RDWR)


class Load:
    """Writers to every node directly, beside writers that look for the primary as libpq does."""

    def __init__(self, writers):
        self.writers = writers

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self, patience=3):
        for writer in self.writers:
            writer.stop()
        end = time.monotonic() + patience
        for writer in self.writers:
            writer.join(max(0.0, end - time.monotonic()))
        for writer in self.writers:
            writer.hang_up()
        for writer in self.writers:
            writer.join(30)
            if writer.is_alive():
                raise AssertionError(f"{writer.name} does not end")
            if writer.fault:
                raise AssertionError(f"{writer.name} died: {writer.fault!r}") from writer.fault

    def acknowledged(self):
        return sum(len(writer.ledger.acknowledged) for writer in self.writers)

    def refused(self):
        return sum(writer.ledger.refused for writer in self.writers)


@dataclasses.dataclass
class Audit:
    acknowledged: int
    lost: list
    doubled: list
    unknown_stored: int
    unknown_absent: int
    foreign: list
    refused: int

    def __str__(self):
        return (f"{self.acknowledged} writes acknowledged, {len(self.lost)} of them lost, {len(self.doubled)} doubled; "
                f"{self.unknown_stored + self.unknown_absent} with unknown outcome, {self.unknown_stored} of them stored; "
                f"{self.refused} refused; {len(self.foreign)} rows nobody wrote")


def audit(ledgers, rows):
    """Compares what the writers were told with the rows [id] of the surviving primary, one by one."""
    count = collections.Counter(rows)
    acknowledged = {row for ledger in ledgers for row in ledger.acknowledged}
    unknown = {row for ledger in ledgers for row in ledger.unknown}
    return Audit(acknowledged=len(acknowledged),
                 lost=sorted(acknowledged - count.keys()),
                 doubled=sorted(row for row, times in count.items() if times > 1),
                 unknown_stored=len(unknown & count.keys()),
                 unknown_absent=len(unknown - count.keys()),
                 foreign=sorted(count.keys() - acknowledged - unknown),
                 refused=sum(ledger.refused for ledger in ledgers))
