"""Clients that bypass every routing and knock at each node all the time, and note what each acknowledgement proves."""
import dataclasses
import time

import audit as auditing


@dataclasses.dataclass(frozen=True)
class Ack:
    """One acknowledged write: on which timeline it was made, behind which LSN, and when it was under way."""
    row: int
    writer: str
    timeline: int
    lsn: int
    sent: float
    received: float


class Follower(auditing.Writer):
    """The well-behaved client: libpq looks for the server that takes writes."""

    statement = ("INSERT INTO ledger VALUES (%s, %s) RETURNING substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), "
                 "pg_current_wal_lsn() - '0/0'")

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.acks = []

    def acknowledge(self, row, sent, answer):
        received = time.monotonic()
        timeline, lsn = answer.fetchone()
        self.acks.append(Ack(row, self.name, int(timeline, 16), int(lsn), sent, received))
        super().acknowledge(row, sent, answer)


class Knocker(Follower):
    """Stays connected to its one node and tries to write there whatever that node is: standby, fenced, cut off."""

    def insert(self, connection):
        refused = self.ledger.refused
        return super().insert(connection) or (self.ledger.refused > refused and not connection.broken)
