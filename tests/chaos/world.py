"""A cluster whose nodes have machines of their own, clients that knock at every node, and the audit that ends every incident."""
import dataclasses
import re
import sys
import time

import gates
from cluster import Cluster
from etcd import Etcd
from host import Host
from wires import Wires
from writers import Follower, Knocker


@dataclasses.dataclass(frozen=True)
class Outcome:
    acknowledged: int
    lost: int
    lost_bytes: int
    unknown: int
    silence: float  # the longest time, in seconds, in which no client outside of the nodes' hosts got an acknowledgement


class World(Cluster):
    node_class, switch_class = Host, Wires

    def __init__(self, nodes=3, *, mode="quorum", etcd=False, **options):
        self.mode, self.with_etcd, self.etcd = mode, etcd, None
        self.notes, self.outcome, self.verbose = [], None, False
        super().__init__(nodes, mode=mode, namespaces=True, **options)

    def init(self, node, options=(), mode=None):
        if self.with_etcd:
            self.etcd = Etcd(self.root, f"{self.network.base}.254").start()
            options = [*options, "--etcd", self.etcd.url]
        return super().init(node, options, mode)

    def begin(self):
        """A new incident in this world."""
        self.notes, self.outcome = [], None

    def note(self, text):
        self.notes.append((time.time(), text))
        if self.verbose:
            print(f"    {text}", flush=True)

    # ---- clients --------------------------------------------------------------------------------------------------
    def writers(self, direct=1, routed=1, inside=()):
        """One more beside every server: cut off from the others, it still knocks."""
        return super().writers(direct, routed, [*self.data_nodes(), *inside])

    def direct_writer(self, node, home=None):
        return Knocker(self.next_writer(), node.connect, home, pace=0.006)

    def routed_writer(self, kind=Follower):
        return super().routed_writer(kind)

    # ---- the end of an incident -----------------------------------------------------------------------------------
    def heal(self):
        self.network.heal_all()
        for node in self.nodes:
            node.heal()
        if self.etcd and self.etcd.process is None:
            self.note("etcd is started")
            self.etcd.start()

    def audit(self, load, minimum=100, lost_max=0):
        """As every cluster's, and: no two gates were open at once; what async lost is bounded."""
        load.stop()
        self.heal()
        result = super().audit(load, minimum, sys.maxsize if self.mode == "async" else lost_max)
        acks = [ack for writer in load.writers for ack in writer.acks]
        twice = gates.two_open_gates(acks)
        assert not twice, f"two open gates at once, {len(twice)} times: {twice[0]}{self.describe()}"
        self.outcome = Outcome(result.acknowledged, len(result.lost), self.lost_bytes(acks, result.lost),
                               result.unknown_stored + result.unknown_absent,
                               gates.longest_silence([ack for writer in load.writers if not writer.home
                                                      for ack in writer.acks]))
        return result

    def closing_audit(self):
        """For an incident that had no clients writing while it went on."""
        self.wait_whole(90)
        with self.load() as load:
            self.wait_writes(load, 200)
        self.audit(load)

    def lost_bytes(self, acks, lost):
        if not lost:
            return 0
        primary = self.primary()
        timeline = int(primary.value("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), 16)
        forks = gates.parse_history(primary.admin(f"SELECT pg_read_file('pg_wal/{timeline:08X}.history')"))
        most = gates.bytes_lost(acks, lost, forks, timeline)
        allowed = size_of(primary.ok("config", "get", "failover_lag_bytes_max").split()[-1])
        assert most <= allowed, f"async lost {most} bytes, more than failover_lag_bytes_max = {allowed}{self.describe()}"
        return most

    def close(self):
        """Every machine is removed, even when one of them resists."""
        trouble = []
        for node in [*self.nodes, *self.extras]:
            try:
                node.close()
            except Exception as error:  # noqa: BLE001: the other machines must go too
                trouble.append(f"{node.name}: {error}")
        if self.etcd:
            self.etcd.kill()
        super().close()
        if trouble:
            raise AssertionError("not everything could be removed: " + "; ".join(trouble))


def size_of(text):
    number, unit = re.fullmatch(r"(\d+)\s*([kMG]?)B?", text).groups()
    return int(number) << {"": 0, "k": 10, "M": 20, "G": 30}[unit]


def whole_and_idle(world):
    """The primary of a whole cluster, and its epoch: where most incidents begin."""
    primary = world.wait_whole(90)
    return primary, world.epoch()


def acknowledged_by(load, home):
    """Acknowledgements of the clients that live beside this server."""
    return sum(len(writer.ledger.acknowledged) for writer in load.writers if writer.home is home)


