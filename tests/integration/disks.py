"""Disks that can be made to hang, fill up and fail: file systems of their own in loop devices, for the WAL of a node."""
import fcntl
import os
import shutil
import struct
import subprocess

import program

EXT4_IOC_SHUTDOWN = 0x8004587D
FLUSH_NO_LOG = 2  # as if the cable had been pulled


def tool(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: {done.stderr.strip()}\n"
                             "tests with disks of their own need root, loop devices and ext4 (make deps)")
    return done.stdout


class Disk:
    """Mounted in a directory that nobody but root may write to, so that what finds it missing fails."""

    def __init__(self, image, place, megabytes=1024):
        self.image, self.place, self.frozen = image, place, False
        place.mkdir()
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        tool("mkfs.ext4", "-q", "-m", "0", image)
        self.mount()

    def mount(self):
        tool("mount", "-o", "loop", self.image, self.place)

    def take_wal_of(self, node):
        """The node is down; its pg_wal moves here, and a link stays."""
        wal, new = node.directory / "data" / "pg_wal", self.place / "pg_wal"
        shutil.copytree(wal, new)
        shutil.rmtree(wal)
        wal.symlink_to(new)
        tool("chown", "-hR", program.SERVER_USER, new, wal)

    def freeze(self):
        """Every write and fsync hangs, in a sleep that no signal ends, until the thaw."""
        tool("fsfreeze", "-f", self.place)
        self.frozen = True

    def thaw(self):
        if self.frozen:
            tool("fsfreeze", "-u", self.place)
            self.frozen = False

    def fill(self, percent):
        """Something that is not PostgreSQL's takes room until df shows this."""
        told = os.statvfs(self.place)
        blocks = told.f_bavail - told.f_blocks * (100 - percent) // 100
        with open(self.place / "filler", "ab") as file:
            # The file system needs some blocks for its own account of the file.
            size = os.fstat(file.fileno()).st_size + max(1, blocks - 64) * told.f_frsize
            os.posix_fallocate(file.fileno(), 0, size)

    def clear(self):
        (self.place / "filler").unlink(missing_ok=True)

    def fail(self):
        """From now on everything that is written, and read for the first time, is an I/O error."""
        handle = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", FLUSH_NO_LOG))
        finally:
            os.close(handle)

    def repair(self):
        tool("umount", self.place)
        self.mount()

    def close(self):
        self.thaw()
        self.image.unlink(missing_ok=True)
        subprocess.run(["umount", "-l", self.place], capture_output=True)
