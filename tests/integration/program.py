"""The programs that are tested and used: pgkeel itself, PostgreSQL, etcd. Missing ones end the run loudly."""
import functools
import os
import pathlib
import pwd
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER_USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


class Missing(Exception):
    pass


@functools.cache
def pgkeel():
    """PGKEEL_BINARY, else the newest build."""
    named = os.environ.get("PGKEEL_BINARY")
    if named:
        found = [pathlib.Path(named).resolve()]
    else:
        found = sorted(ROOT.glob("build/*/pgkeel"), key=lambda path: path.stat().st_mtime)
    if not found or not os.access(found[-1], os.X_OK):
        raise Missing(f"no pgkeel program ({named or 'build/*/pgkeel'}). mend: make build, or set PGKEEL_BINARY")
    return str(found[-1])


def postgres_bin():
    """What PGKEEL_POSTGRES_BIN names, else the newest PostgreSQL of this machine."""
    if named := os.environ.get("PGKEEL_POSTGRES_BIN"):
        return pathlib.Path(named)
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise Missing("no PostgreSQL in /usr/lib/postgresql. mend: make deps")
    return found[-1].parent


def etcd():
    found = shutil.which("etcd")
    if not found:
        raise Missing("no etcd. mend: make deps")
    return found


def as_server_user(command):
    """The command as the user that the server runs as."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={SERVER_USER}", f"--regid={SERVER_USER}", "--init-groups", "--", *command]


def run(command, seconds=60, **options):
    """Runs to the end; the result has returncode, stdout, stderr as text."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace",
                          timeout=seconds, stdin=subprocess.DEVNULL, **options)


def check_prerequisites():
    for need in (pgkeel, postgres_bin, etcd):
        need()
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        raise Missing("no setpriv. mend: make deps")
    if not shutil.which("ip"):
        raise Missing("no ip (iproute2). mend: make deps")
