"""Processes of this machine as /proc shows them. Signals go by pidfd: never to a recycled pid."""
import os
import pathlib
import signal
import time

PROC = pathlib.Path("/proc")


def pids():
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def arguments(pid):
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def stat_fields(pid):
    """Fields of proc(5) stat from number 3 (state) on; empty when it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def state(pid):
    """R, S, D, T, Z..., or '' when it is gone."""
    fields = stat_fields(pid)
    return fields[0] if fields else ""


def parent(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def alive(pid):
    return state(pid) not in ("", "Z", "X")


def working_directory(pid):
    try:
        return os.readlink(PROC / str(pid) / "cwd")
    except OSError:
        return ""


def descendants(root):
    children = {}
    for pid in pids():
        children.setdefault(parent(pid), []).append(pid)
    found, todo = [], [root]
    while todo:
        found += children.get(todo[0], [])
        todo = todo[1:] + children.get(todo[0], [])
    return found


def of_directory(directory):
    """Living processes that work in the directory or name it as an argument, this one and its shells excepted."""
    directory = str(directory)

    def belongs(pid):
        where = working_directory(pid)
        return (where == directory or where.startswith(directory + "/")
                or any(directory == word or directory + "/" in word + "/" for word in arguments(pid)))

    return [pid for pid in pids() if pid != os.getpid() and alive(pid) and belongs(pid)]


def send(pid, number):
    """False when there is no such process any more."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        signal.pidfd_send_signal(handle, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def kill_all(find):
    """SIGKILL to everything that `find` lists, again until it lists nothing (a process may have forked meanwhile)."""
    killed = set()
    end = time.monotonic() + 20
    while found := find():
        for pid in sorted(found):
            if send(pid, signal.SIGKILL):
                killed.add(pid)
        if time.monotonic() > end:
            raise AssertionError(f"these do not die of SIGKILL: {[(pid, state(pid), arguments(pid)) for pid in found]}")
        time.sleep(0.002)
    return killed
