"""The words that agent and server share (ext/pgkeel_gate.h), as the agent would write them."""
import mmap
import os
import pathlib
import pwd
import secrets
import struct
import time

import program

MAGIC = 0x6B65656C67617465
VERSION = 1
SIZE = 3832
BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()

FIELDS = {
    "magic": ("Q", 0), "version": ("I", 8), "size": ("I", 12), "boot_id": ("40s", 16),
    "deadline_us": ("q", 56), "epoch": ("Q", 64), "recheck": ("I", 72), "floor": ("I", 76), "logins": ("I", 80),
    "unmask": ("I", 84), "agent_us": ("q", 88),
    "sequence": ("Q", 160), "server_us": ("q", 168), "library_version": ("I", 176), "server_version": ("I", 180),
    "postmaster": ("q", 184), "in_recovery": ("I", 192), "senders_used": ("I", 196), "flush": ("Q", 200),
    "replay": ("Q", 208), "fsync_us": ("q", 216), "fsync_begun_us": ("q", 224), "refused": ("Q", 232), "held": ("Q", 240),
}
SENDERS_AT = 248
SENDER = struct.Struct("64s4I4Q")

OFF, LOCAL, REMOTE_WRITE, REMOTE_FLUSH, REMOTE_APPLY = range(5)


def now_us():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


class Words:
    """A file of words. Attributes are the words: read and written where they lie."""

    def __init__(self):
        path = f"/dev/shm/pgkeel-test-{secrets.token_hex(6)}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(fd, SIZE)
        if os.geteuid() == 0:
            entry = pwd.getpwnam(program.SERVER_USER)
            os.fchown(fd, entry.pw_uid, entry.pw_gid)
        self.__dict__.update(path=path, memory=mmap.mmap(fd, SIZE))
        os.close(fd)
        self.magic, self.version, self.size, self.boot_id = MAGIC, VERSION, SIZE, BOOT_ID.encode()

    def __getattr__(self, name):
        kind, at = FIELDS[name]
        return struct.unpack_from(kind, self.memory, at)[0]

    def __setattr__(self, name, value):
        kind, at = FIELDS[name]
        struct.pack_into(kind, self.memory, at, value)

    def allow(self, **others):
        """An open gate, nothing asked for, clients welcome; `others` on top."""
        for name, value in ({"epoch": 7, "recheck": 0, "floor": OFF, "logins": 1, "unmask": 0} | others).items():
            setattr(self, name, value)
        self.open()

    def open(self):
        self.deadline_us = now_us() + 3600 * 1_000_000

    def shut(self):
        """As if the lease had ended 5 s ago."""
        self.deadline_us = now_us() - 5_000_000

    def facts(self):
        """All facts of one moment, senders by name; None while they are being written."""
        before = self.sequence
        bytes_then = bytes(self.memory)
        if before % 2 == 1 or self.sequence != before:
            return None
        facts = {name: struct.unpack_from(kind, bytes_then, at)[0] for name, (kind, at) in FIELDS.items()}
        facts["senders"] = {}
        for i in range(facts["senders_used"]):
            name, pid, state, priority, _, sent, write, flush, replay = SENDER.unpack_from(bytes_then, SENDERS_AT + i * SENDER.size)
            facts["senders"][name.split(b"\0")[0].decode()] = {
                "pid": pid, "state": state, "sync_priority": priority, "sent": sent, "write": write, "flush": flush,
                "replay": replay}
        return facts

    def close(self):
        self.memory.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
