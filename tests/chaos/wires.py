"""The switch between the nodes, with wires that lose packets: between two nodes, in one direction, or by chance.

This needs nothing of the kernel but nftables on a bridge. Delays would need netem, which many kernels of virtual machines
lack; a queue in front of a slow port (tbf) gives the latency of a congested one.
"""
import subprocess

from network import Switch


class Wires(Switch):
    def __init__(self):
        self.lossy, self.slow, self.pulled = [], set(), set()
        super().__init__()

    @property
    def table(self):
        return f"bridge pgkeel{self.number}"

    def command(self, host):
        """Unlike `ip netns exec`, without mounts of its own: they would hold a disk that is taken away from another node."""
        return ["nsenter", f"--net=/run/netns/{self.namespace(host)}"]

    def lose(self, source, target, percent=100):
        """Packets from one host to the other; the other direction is another wire."""
        self.lossy.append((source, target, percent))
        self.apply()

    def part(self, one, other):
        """These two do not reach each other; everybody else reaches both."""
        self.lossy += [(one, other, 100), (other, one, 100)]
        self.apply()

    def lose_everywhere(self, percent):
        """Between any two hosts; not between a host and the clients outside."""
        self.lossy += [(one, other, percent) for one in self.hosts for other in self.hosts if one != other]
        self.apply()

    def congest(self, host, kbit=2000):
        """What comes to this host waits in a queue of up to a second."""
        self.slow.add(host)
        tc("replace", self.link(host), "root", "tbf", "rate", f"{kbit}kbit", "burst", "8kb", "latency", "700ms")

    def apply(self):
        rules = "".join(f'iifname "{self.link(source)}" oifname "{self.link(target)}" '
                        f"{'' if percent == 100 else f'numgen random mod 100 < {percent} '}drop\n"
                        for source, target, percent in self.lossy)
        chain = f"chain forward {{\ntype filter hook forward priority 0\n{rules}}}\n" if rules else ""
        self.nft(f"table {self.table} {{}}\ndelete table {self.table}\ntable {self.table} {{\n{chain}}}\n")

    def nft(self, text):
        done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"nft: {done.stderr.strip()}\n{text}\nthe chaos tests need root and nftables (make deps)")

    def cut(self, host):
        self.pulled.add(host)
        super().cut(host)

    def heal(self, host):
        self.pulled.discard(host)
        super().heal(host)

    def heal_all(self):
        for host in sorted(self.pulled):
            self.heal(host)
        for host in sorted(self.slow):
            tc("del", self.link(host), "root")
        self.slow.clear()
        self.mend()

    def mend(self):
        """No packet is lost any more; dead ports stay dead."""
        if self.lossy:
            self.lossy = []
            self.apply()

    def close(self):
        subprocess.run(["nft", "delete", "table", *self.table.split()], capture_output=True)
        super().close()


def tc(verb, link, *words):
    done = subprocess.run(["tc", "qdisc", verb, "dev", link, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"tc qdisc {verb} dev {link}: {done.stderr.strip()}")
