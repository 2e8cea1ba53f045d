"""A disk of a node: ext4 on a loop device, which can stall, fill up, fail, and lose what was not synced.

There is no device-mapper in many kernels of virtual machines, and none is needed: the file system itself stalls (fsfreeze),
reports errors for everything or turns read-only (ext4's own ioctl and switch for tests), and forgets what no fsync has
reached (the same ioctl, and then the mount anew).
"""
import errno
import fcntl
import os
import pathlib
import shutil
import struct

import program
from waiting import wait_for

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
WITHOUT_LOG = struct.pack("I", 2)  # nothing more is written, the journal neither


def run(*command, check=True):
    done = program.run(command)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(str(word) for word in command)}: {done.stderr.strip()}\n"
                             "the chaos tests need root, loop devices and ext4 (make deps)")
    return done.stdout.strip()


def image_folder():
    """Memory where there is enough: the chaos is about what survives, not about how fast this machine's disk is."""
    memory = pathlib.Path("/dev/shm")
    return memory if shutil.disk_usage(memory).free > 6 << 30 else pathlib.Path("/var/tmp")


class Disk:
    def __init__(self, mount, name, megabytes=1024):
        self.mount, self.image = mount, image_folder() / f"{name}.img"
        self.frozen, self.broken = False, False
        with open(self.image, "wb") as image:
            image.truncate(megabytes << 20)
        mount.mkdir(parents=True)
        run("mkfs.ext4", "-q", "-m", "0", self.image)
        self.attach()

    def attach(self):
        run("mount", "-o", "loop,errors=remount-ro", self.image, self.mount)
        self.mount.chmod(0o755)

    def attached(self):
        """As the kernel says it: on a broken file system nothing else answers."""
        return f" {self.mount} " in pathlib.Path("/proc/self/mounts").read_text()

    def detach(self):
        """A process that was killed holds the mount until it is gone."""
        self.thaw()
        wait_for(lambda: not self.attached() or program.run(["umount", self.mount]).returncode == 0, 30,
                 f"{self.mount} is unmounted")

    def freeze(self):
        """Every write and fsync hangs, uninterruptibly, until thaw(). Reads go on."""
        self.frozen = True
        run("fsfreeze", "-f", self.mount)

    def thaw(self):
        if self.frozen:
            run("fsfreeze", "-u", self.mount)
            self.frozen = False

    def fail(self):
        """From now on every read and write gives EIO; what was not synced is lost."""
        self.broken = True
        folder = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, WITHOUT_LOG)
        finally:
            os.close(folder)

    def turn_read_only(self):
        """As after an error in the file system's own blocks."""
        self.broken = True
        device = pathlib.Path(run("findmnt", "-no", "SOURCE", self.mount)).name
        pathlib.Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("chaos")

    def replace(self):
        """After fail() or turn_read_only(), with every process of it gone: the same blocks, as a restart finds them."""
        self.detach()
        program.run(["e2fsck", "-fp", self.image])  # its exit codes 1 and 2 mean: mended
        self.attach()
        self.broken = False

    @property
    def filler(self):
        return self.mount / "filler"

    def fill(self):
        """Somebody's dump takes the space, down to the last block. The node writes at the same time, so it is taken piece by
        piece."""
        with open(self.filler, "ab") as file:
            for piece in (1 << 20, 1 << 12):
                try:
                    while True:
                        free = os.statvfs(self.mount)
                        size = max(piece, free.f_bavail * free.f_frsize // 2)
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def empty(self):
        self.filler.unlink(missing_ok=True)

    def close(self):
        if self.attached():
            self.detach()
        self.image.unlink(missing_ok=True)
