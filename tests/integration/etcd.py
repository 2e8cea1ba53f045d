"""A real etcd, for clusters that keep their record there."""
import pathlib
import signal
import subprocess
import tempfile
import urllib.request

import processes
import program
from network import is_free
from waiting import wait_for


class Etcd:
    def __init__(self, directory, address=None):
        self.directory = pathlib.Path(directory)
        self.address = address or next(address for address in (f"127.78.{n}.1" for n in range(1, 255))
                                       if is_free(address, 12379) and is_free(address, 12380))
        self.process = None

    @property
    def url(self):
        return f"http://{self.address}:12379"

    def start(self):
        with open(self.directory / "etcd.log", "ab") as log:
            self.process = subprocess.Popen(
                [program.etcd(), "--name", "one", "--data-dir", str(self.directory / "etcd"), "--listen-client-urls",
                 self.url, "--advertise-client-urls", self.url, "--listen-peer-urls", f"http://{self.address}:12380",
                 "--initial-advertise-peer-urls", f"http://{self.address}:12380", "--initial-cluster",
                 f"one=http://{self.address}:12380"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self.healthy, 30, "etcd answers", lambda: (self.directory / "etcd.log").read_text()[-2000:])
        return self

    def healthy(self):
        with urllib.request.urlopen(self.url + "/health", timeout=2) as answer:
            return b'"true"' in answer.read()

    def kill(self):
        if self.process:
            processes.send(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None


def new_directory():
    return tempfile.mkdtemp(prefix="pgkeel-etcd-")
