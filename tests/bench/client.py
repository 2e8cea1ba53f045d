"""The client whose outage is measured: writes one row after the other, and reconnects every 5 ms when it cannot."""
import threading
import time

import psycopg

BETWEEN_WRITES = 0.002
BETWEEN_CONNECTS = 0.005


class Client(threading.Thread):
    """Moments (time.monotonic) of every acknowledged write, in order."""

    def __init__(self, cluster):
        super().__init__(daemon=True, name="client")
        self.cluster, self.moments, self.ending = cluster, [], threading.Event()

    def run(self):
        number = 0
        while not self.ending.is_set():
            connection = self.connect()
            try:
                while connection and not self.ending.is_set():
                    number += 1
                    connection.execute("INSERT INTO ledger VALUES (%s, 0)", (number,))
                    self.moments.append(time.monotonic())
                    self.ending.wait(BETWEEN_WRITES)
            except psycopg.Error:
                pass
            finally:
                if connection:
                    connection.close()
            self.ending.wait(BETWEEN_CONNECTS)

    def connect(self):
        """The first node that takes writes, asked one after the other."""
        for node in self.cluster.data_nodes():
            try:
                return node.connect(target_session_attrs="read-write")
            except psycopg.Error:
                continue
        return None

    def outage_after(self, moment, seconds=60):
        """Seconds between two acknowledged writes around the moment; waits for the second one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            later = [one for one in list(self.moments) if one > moment + 0.02]
            gap = self.longest_gap(moment)
            if later and len(later) > 20 and gap:
                return gap
            time.sleep(0.02)
        raise AssertionError(f"no write was acknowledged within {seconds} s\n{self.cluster.describe()}")

    def longest_gap(self, moment):
        """The longest pause that ended after the moment."""
        moments = list(self.moments)
        return max((after - before for before, after in zip(moments, moments[1:]) if after > moment), default=None)

    def stop(self):
        self.ending.set()
        self.join(10)
