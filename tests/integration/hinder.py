"""What keeps a process from running while it lives: SIGSTOP, a frozen cgroup, next to no processor, pages taken away.

Each is a context manager that sets the process free again."""
import contextlib
import ctypes
import os
import pathlib
import re
import secrets
import signal
import time

import processes

PAGEOUT = 21  # MADV_PAGEOUT
SYS_PROCESS_MADVISE = 440


@contextlib.contextmanager
def stopped(*pids):
    for pid in pids:
        processes.send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            processes.send(pid, signal.SIGCONT)


@contextlib.contextmanager
def group(controller, pid):
    """A cgroup of its own for the process, in whichever hierarchy has this controller; removed at the end."""
    root = pathlib.Path("/sys/fs/cgroup")
    old = root / controller
    top = old if old.is_dir() else root
    line = next(text for text in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
                if (controller in text.split(":")[1].split(",") if old.is_dir() else text.startswith("0::")))
    home = top / line.split(":", 2)[2].strip("/")
    made = home / f"pgkeel-test-{secrets.token_hex(4)}"
    if not old.is_dir() and controller == "cpu":
        (home / "cgroup.subtree_control").write_text("+cpu")
    made.mkdir()
    try:
        (made / "cgroup.procs").write_text(str(pid))
        yield made
    finally:
        leave(made, home)


def leave(place, home):
    """The process may have started others meanwhile, which come and go."""
    end = time.monotonic() + 20
    while place.is_dir():
        for one in (place / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (home / "cgroup.procs").write_text(one)
        try:
            place.rmdir()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


@contextlib.contextmanager
def frozen(pid):
    """By the kernel, as `systemctl freeze` and container runtimes do: no SIGCONT helps, and the parent is not told."""
    with group("freezer", pid) as place:
        if (place / "freezer.state").exists():
            switch, on, off = place / "freezer.state", "FROZEN", "THAWED"
        else:
            switch, on, off = place / "cgroup.freeze", "1", "0"
        switch.write_text(on)
        try:
            yield
        finally:
            switch.write_text(off)
            wait_thawed(place)


def wait_thawed(place):
    end = time.monotonic() + 5
    while (place / "freezer.state").exists() and (place / "freezer.state").read_text().strip() != "THAWED":
        if time.monotonic() > end:
            raise AssertionError(f"{place} does not thaw")
        time.sleep(0.01)


class Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def page_out(pid):
    """Takes a process's pages from it: each must be fetched again, from the page cache, a disk, or swap space."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(pid)
    try:
        for text in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(word, 16) for word in re.match(r"(\w+)-(\w+)", text).groups())
            one = Range(start, end - start)
            libc.syscall(SYS_PROCESS_MADVISE, handle, ctypes.byref(one), ctypes.c_ulong(1), PAGEOUT, 0)
    finally:
        os.close(handle)


@contextlib.contextmanager
def starved(pid):
    """A thousandth of a processor, and its memory taken away: like one that is swapped out on a thrashing machine."""
    with group("cpu", pid) as place:
        if (place / "cpu.cfs_quota_us").exists():
            (place / "cpu.cfs_period_us").write_text("1000000")
            (place / "cpu.cfs_quota_us").write_text("1000")
        else:
            (place / "cpu.max").write_text("1000 1000000")
        page_out(pid)
        yield
