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


def install_extension(root):
    """What `tools/ext install` installs, below a directory that every user may read; the directory."""
    run([ROOT / "tools/ext", "install"], 300, env={"DESTDIR": str(root), "PATH": "/usr/bin:/bin"}).check_returncode()
    run(["chmod", "-R", "a+rX", root]).check_returncode()
    return root


def installed_library(root):
    return next(root.glob(f"**/usr/lib/postgresql/{postgres_bin().parent.name}/lib/pgkeel.so"))


def finds_extension_in(root):
    """The settings by which a server finds an extension there: Debian's before PostgreSQL 18, PostgreSQL's own since."""
    major = postgres_bin().parent.name
    if int(major) < 18:
        return {"extension_destdir": root}
    control = next(root.glob(f"**/usr/share/postgresql/{major}/extension/pgkeel.control"))
    return {"extension_control_path": f"{control.parent.parent}:$system",
            "dynamic_library_path": f"{installed_library(root).parent}:$libdir"}


def faked_clock(**settings):
    """The environment, as env(1) takes it, of programs whose wall clock libfaketime shows; their other clocks go on."""
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise Missing("no libfaketime. mend: make deps")
    return [f"LD_PRELOAD={found[0]}", "FAKETIME_DONT_FAKE_MONOTONIC=1", *(f"{name}={value}" for name, value in settings.items())]


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
