"""A proxy alone on an application's host: its directory, its address, its real process."""
import os
import re

import audit as auditing
import program
from network import PORTS
from node import Node
from program import run
from waiting import NotYet


class ProxyHost(Node):
    def __init__(self, cluster, name):
        number = max(node.host for node in [*cluster.nodes, *cluster.extras]) + 1
        super().__init__(cluster, name, number, "proxy")
        cluster.extras.append(self)

    def service(self):
        return self.command("proxy", "--dir", self.directory)

    def place_options(self):
        options = ["--dir", self.directory, "--name", self.name, "--listen", self.address]
        if os.geteuid() == 0:
            options += ["--user", program.SERVER_USER]
        return [str(word) for word in options]

    def try_join(self, token=None, via=None, **options):
        via = via or self.cluster.any_running()
        token = token or self.cluster.fresh_token("--proxy")
        return run(self.command("proxy", "join", f"{via.address}:{PORTS['api']}", *self.place_options()), 60,
                   env=os.environ | {"PGKEEL_TOKEN": token}, **options)

    def join(self):
        done = self.try_join()
        assert done.returncode == 0, f"proxy join: {done.stdout}{done.stderr}\n{self.cluster.describe()}"
        return self

    def source(self):
        """The node that it listens to, as its log says."""
        found = re.findall(r"listens to (\w+)", self.story())
        if not found:
            raise NotYet(f"{self.name} listens to nobody")
        return self.cluster[found[-1]]

    def is_serving(self):
        with self.proxy("read-write") as connection:
            return connection.execute("SELECT NOT pg_is_in_recovery()").fetchone()[0]

    def writers(self, count=4):
        return auditing.Load([auditing.Writer(self.cluster.next_writer(), lambda: self.proxy(connect_timeout=40))
                              for _ in range(count)])
