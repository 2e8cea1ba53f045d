"""Addresses for the nodes of a test: on loopback, or each node in a network namespace behind a switch of its own."""
import os
import pathlib
import random
import socket
import subprocess

PORTS = {"peer": 17432, "api": 18008, "postgres": 15432}
# The proxy's own defaults.
PROXY_PORTS = {"auto": 6432, "read-write": 6433, "read-only": 6434}


def ip(*arguments, check=True):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}\n"
                             "network tests need root and iproute2 (make deps)")
    return done.stdout


def is_free(address, port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def free_port():
    """Of loopback, free a moment ago: for a server of another project, which does not say which one it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def numbers():
    """Of networks, in random order. Tests that run side by side have numbers of their own: they may choose at once."""
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    out = [number for number in range(1, 255) if number % 2 == mine]
    random.shuffle(out)
    return out


class Loopback:
    """127.77.N.x with an N that nobody uses."""

    namespaces = False

    def __init__(self):
        for number in numbers():
            self.base = f"127.77.{number}"
            if all(is_free(self.address(host), port) for host in range(1, 8) for port in PORTS.values()):
                return
        raise AssertionError("no free loopback addresses below 127.77: end older tests' nodes")

    def address(self, host):
        return f"{self.base}.{host}"

    def plug(self, host):
        pass

    def namespace(self, host):
        return None

    def command(self, host):
        return []

    def close(self):
        pass


class Switch:
    """A bridge of this machine with one namespace per node. A pulled plug loses every packet and tells nobody."""

    namespaces = True

    def __init__(self):
        if os.geteuid() != 0:
            raise AssertionError("tests with network namespaces need root: sudo tests/integration/run")
        used = ip("-o", "address") + ip("route")
        for number in numbers():
            if f"10.213.{number}." not in used and f"pgkeel{number}br" not in used:
                self.number, self.base = number, f"10.213.{number}"
                break
        self.bridge, self.hosts = f"pgkeel{self.number}br", set()
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("address", "add", f"{self.base}.254/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
        except BaseException:
            self.close()
            raise

    def address(self, host):
        return f"{self.base}.{host}"

    def namespace(self, host):
        return f"pgkeel{self.number}n{host}"

    def link(self, host):
        return f"pgkeel{self.number}v{host}"

    def plug(self, host):
        if host in self.hosts:
            return
        self.hosts.add(host)
        name = self.namespace(host)
        ip("netns", "add", name)
        ip("link", "add", self.link(host), "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", self.link(host), "master", self.bridge, "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")

    def command(self, host):
        """What to put in front of a command so that it runs on that host."""
        return ["ip", "netns", "exec", self.namespace(host)]

    def cut(self, host):
        """The cable stays up, the switch forgets the port: no reset, no error, just silence."""
        ip("link", "set", self.link(host), "nomaster")

    def heal(self, host):
        ip("link", "set", self.link(host), "master", self.bridge)

    def close(self):
        for host in self.hosts:
            ip("link", "del", self.link(host), check=False)
            ip("netns", "del", self.namespace(host), check=False)
        ip("link", "del", self.bridge, check=False)


def read_tail(path, lines):
    try:
        text = pathlib.Path(path).read_text(errors="replace")
    except OSError as error:
        return str(error)
    return "\n".join(text.splitlines()[-lines:])
