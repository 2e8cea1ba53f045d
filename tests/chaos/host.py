"""A node with a machine of its own around it: a network port, a disk, and a group of processes that can stand still."""
import pathlib
import shutil
import signal

import processes
import program
from disk import Disk
from node import Node
from waiting import NotYet, wait_for


def groups():
    """Where the unified control groups are; freezing needs none of their controllers."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    raise AssertionError("no cgroup2 is mounted. mend: mount -t cgroup2 none /sys/fs/cgroup/unified")


class Host(Node):
    """Whatever is done to it is noted in the cluster's report."""

    def __init__(self, cluster, name, host, kind="data"):
        super().__init__(cluster, name, host, kind)
        machine = f"pgkeel-chaos-{cluster.network.number}-{host}"
        self.disk, self.group = None, groups() / machine
        self.directory = cluster.root / name / "disk" / "node"
        self.stopped, self.program = set(), None
        try:
            self.group.mkdir()
            self.disk = Disk(cluster.root / name / "disk", machine)
        except BaseException:
            self.close()
            raise

    def note(self, text):
        self.cluster.note(f"{self.name}: {text}")

    def command(self, *words):
        command = super().command(*words)
        return [self.program if self.program and word == program.pgkeel() else word for word in command]

    def service(self):
        """In the machine's group from the first process on."""
        enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ["sh", "-c", enter, str(self.group), *super().service()]

    def start(self):
        self.note("pgkeel is started")
        return super().start()

    def kill(self):
        if pids := self.all_pids():
            self.note(f"SIGKILL to all of its {len(pids)} processes")
        return super().kill()

    # ---- the machine ----------------------------------------------------------------------------------------------
    def power_cut(self):
        """Silence on the wire first (a dying process would say goodbye), then the disk forgets what was not synced."""
        self.note("power cut: no farewell, and what was not synced is lost")
        self.cluster.network.cut(self.host)
        self.disk.thaw()
        self.disk.fail()
        super().kill()
        self.disk.replace()

    def power_on(self):
        self.cluster.network.heal(self.host)
        self.start()

    def pause(self):
        """All its processes stand still. (Unlike the clock of a paused virtual machine, theirs goes on.)"""
        self.note("the machine stands still")
        self.freeze_group(True)

    def resume(self):
        if (self.group / "cgroup.freeze").read_text().strip() != "0":
            self.note("the machine goes on")
            self.freeze_group(False)

    def freeze_group(self, still):
        (self.group / "cgroup.freeze").write_text("1" if still else "0")
        wanted = f"frozen {1 if still else 0}"
        wait_for(lambda: wanted in (self.group / "cgroup.events").read_text(), 20, f"{self.name}'s group: {wanted}")

    def stop_process(self, pid, what):
        self.note(f"SIGSTOP to {what}")
        self.stopped.add(pid)
        processes.send(pid, signal.SIGSTOP)

    def kill_process(self, pid, what):
        self.note(f"SIGKILL to {what}")
        processes.send(pid, signal.SIGKILL)

    def pull_plug(self):
        self.note("its network port is dead")
        self.cluster.network.cut(self.host)

    def heal(self):
        """Everything that was done to the machine is undone; what died stays dead until somebody starts it."""
        self.resume()
        for pid in self.stopped:
            processes.send(pid, signal.SIGCONT)
        self.stopped.clear()
        self.disk.thaw()
        if self.disk.broken:
            self.note("gets its disk back, as a restart finds it")
            super().kill()
            self.disk.replace()
        self.disk.empty()

    def client_backends(self):
        """Backends that serve clients, by their titles: "postgres: anna: auditor audit 10.0.0.1(4711) idle"."""
        found = self.backends("auditor audit")
        if not found:
            raise NotYet(f"{self.name} has no client")
        return found

    def save_logs(self):
        """They lie on the node's disk: those of a failed incident are copied out before the disk goes."""
        if self.disk.broken:
            self.disk.replace()
        if (self.directory / "log").exists():
            shutil.copytree(self.directory / "log", self.cluster.root / f"{self.name}.logs", dirs_exist_ok=True)

    def close(self):
        """Nothing of the machine stays, whatever state it is in."""
        if self.group.exists():
            (self.group / "cgroup.freeze").write_text("0")
        if self.disk:
            self.disk.thaw()
        super().kill()
        if self.disk:
            if self.cluster.failed:
                self.save_logs()
            self.disk.close()
        if self.group.exists():
            (self.group / "cgroup.kill").write_text("1")
            wait_for(self.remove_group, 20, f"{self.group} is empty")

    def remove_group(self):
        """Busy until the last of its processes was waited for."""
        self.group.rmdir()
        return True
