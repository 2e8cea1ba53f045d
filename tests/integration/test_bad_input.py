"""Wrong input and wrong surroundings: one clear message (what, where, how to mend), and nothing half-changed."""
import os
import pathlib
import shutil
import socket
import tempfile

import pytest

import program
from network import PORTS, Loopback
from node import Node


class Bench:
    """A place for nodes that never get far enough to be a cluster."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pgkeel-it-"))
        self.root.chmod(0o755)
        self.network = Loopback()
        self.password = "unused"
        self.binary = None
        self.made = []

    def node(self, name="anna"):
        self.made.append(Node(self, name, len(self.made) + 1))
        return self.made[-1]

    def describe(self):
        return "\n".join(node.describe() for node in self.made)

    def close(self):
        for node in self.made:
            node.kill()
        shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.close()


@pytest.fixture(scope="module")
def initialised():
    """A node that was initialised and never started; the tests restore its node.toml."""
    made = Bench()
    node = made.node()
    done = program.run(node.command("init", "--cluster", "shop", *node.place_options()), 120)
    assert done.returncode == 0, done.stdout + done.stderr
    yield node
    made.close()


def snapshot(directory):
    """{path: (mode, owner, content)} of everything below, to show that nothing was changed."""
    found = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_uid, content)
    return found


def refused(done, *expected, code=None):
    """The command failed, with one message that has all the expected words and a mend, and no crash."""
    text = done.stderr
    assert done.returncode > 0 and (code is None or done.returncode == code), f"exit code {done.returncode}: {text}"
    for word in expected:
        assert word in text, f"{word!r} is not in: {text}"
    assert text.count("mend: ") >= 1, f"no mend in: {text}"
    for noise in ("terminate called", "Assertion", "std::", "Segmentation", "what():"):
        assert noise not in text, text
    return text


def test_init_refuses_a_directory_with_data(bench):
    """The administrator runs init twice: the second run must not touch the first cluster."""
    node = bench.node()
    words = ["init", "--cluster", "shop", *node.place_options()]
    assert program.run(node.command(*words), 120).returncode == 0
    before = snapshot(node.directory)
    refused(program.run(node.command(*words), 60), str(node.directory))
    assert snapshot(node.directory) == before


def test_init_refuses_a_foreign_data_directory(bench):
    """There is a PostgreSQL of somebody else in the place."""
    node = bench.node()
    data = node.directory / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")
    before = snapshot(node.directory)
    refused(program.run(node.command("init", "--cluster", "shop", *node.place_options()), 60), "data")
    assert {path: value[2] for path, value in snapshot(node.directory).items()} == {
        path: value[2] for path, value in before.items()}


def test_init_refuses_a_full_disk(bench):
    """There is no room for a cluster: found before the first file is written."""
    if os.geteuid() != 0:
        raise AssertionError("a small disk is mounted for this test, which needs root: sudo tests/integration/run")
    node = bench.node()
    node.directory.mkdir()
    program.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", node.directory])
    try:
        refused(program.run(node.command("init", "--cluster", "shop", *node.place_options()), 60),
                str(node.directory), "free space", "64 MB")
        assert snapshot(node.directory) == {}
    finally:
        program.run(["umount", node.directory])


def test_init_refuses_bad_names(bench):
    node = bench.node()
    words = node.place_options()
    refused(program.run(node.command("init", "--cluster", "Shop!", *words)), "Shop!", code=2)
    words[words.index("--name") + 1] = "a b"
    refused(program.run(node.command("init", "--cluster", "shop", *words)), "a b", code=2)
    assert not (node.directory / "data").exists()


def test_init_with_missing_binaries(bench):
    """PostgreSQL is not where it was said to be."""
    node = bench.node()
    words = node.place_options()
    words[words.index("--postgres-bin") + 1] = "/nowhere/bin"
    done = program.run(node.command("init", "--cluster", "shop", *words))
    refused(done, "/nowhere/bin")
    assert not (node.directory / "data").exists() and not (node.directory / "identity.json").exists()


def in_the_year(year):
    """The environment of a machine whose wall clock is wrong; its other clocks go on."""
    faked = program.faked_clock(FAKETIME=f"@{year}-03-01 12:00:00")
    return os.environ | dict(one.split("=", 1) for one in faked)


def test_a_wall_clock_that_is_years_behind(bench, initialised):
    """The battery of a machine's clock is empty: its certificates would be valid from the future on."""
    node = bench.node()
    done = program.run(node.command("init", "--cluster", "shop", *node.place_options()), env=in_the_year(2001))
    refused(done, "wall clock", "2025", "chronyd")
    assert not (node.directory / "data").exists() and not (node.directory / "identity.json").exists()
    done = program.run(initialised.service(), env=in_the_year(2001))
    refused(done, "wall clock", "2025", "chronyd")
    assert initialised.all_pids() == set()


@pytest.mark.parametrize("command", ["switchover --to bela --yes", "frobnicate", "config set nonsense 3", "status --nonsense"])
def test_unknown_words_of_the_command_line(initialised, command):
    """Typing errors get usage, exit code 2 (or 4 when everything is right but no agent answers), never a crash."""
    done = initialised.keel(*command.split())
    assert done.returncode in (2, 4), f"{done.returncode}: {done.stderr}"
    assert done.stderr.strip() and len(done.stderr.splitlines()) < 12, done.stderr


@pytest.mark.parametrize("command", ["backup run fulls", "drill --fault 1", "backup list --repository /x --s3-addressing paths"])
def test_a_word_that_is_none_of_the_choices_is_answered_with_them(initialised, command):
    refused(initialised.keel(*command.split()), "there is no", "it is one of", code=2)


def test_commands_without_an_agent_say_so(initialised):
    refused(initialised.keel("status"), "agent", code=4)


# What is wrong with node.toml: section, key, value; words of the complaint.
WRONG = {
    "unknown key": (("node", "pot", "7"), ["node.toml:", "pot"]),
    "near miss": (("postgres", "prot", "5432"), ["node.toml:", "prot", "did you mean", "port"]),
    "wrong type": (("postgres", "port", '"many"'), ["node.toml:", "postgres.port", "number"]),
    "out of range": (("postgres", "port", "70000"), ["node.toml:", "70000"]),
    "contradiction": (("node", "api_port", str(PORTS["peer"])), ["node.toml:", "port"]),
    "priority of one that is never promoted": (("tags", "nofailover", "true\npriority = 5"), ["node.toml:", "nofailover"]),
    "owned parameter": (("postgres.parameters", "fsync", '"off"'), ["node.toml:", "fsync"]),
    "a promise undermined": (("postgres.parameters", "synchronous_commit", '"local"'), ["node.toml:", "async"]),
    "not TOML": (("node", "name", ""), ["node.toml:", "TOML"]),
    "a name that is none": (("node", "name", '"Anna Bella"'), ["node.toml:", "Anna Bella"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_configuration(initialised, case):
    """`pgkeel node` with a wrong node.toml: file:line, what is wrong, how to mend it; and no process stays."""
    change, words = WRONG[case]
    path = initialised.directory / "node.toml"
    right = path.read_text()
    try:
        initialised.edit_config(*change)
        before = snapshot(initialised.directory)
        refused(initialised.keel("node"), *words, code=2)
        assert snapshot(initialised.directory) == before
    finally:
        path.write_text(right)
    assert initialised.all_pids() == set()


@pytest.mark.parametrize("which", PORTS)
def test_port_in_use(initialised, which):
    """Another program has the port: the node names address and port and ends, and what runs there is left alone."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((initialised.address, PORTS[which]))
        taken.listen()
        done = initialised.keel("node")
    refused(done, str(PORTS[which]))
    assert initialised.all_pids() == set()


def test_data_directory_of_another_version(initialised):
    """After an upgrade of Debian the binaries are newer than the data."""
    path = initialised.directory / "data" / "PG_VERSION"
    right = path.read_text()
    try:
        path.write_text("12\n")
        refused(initialised.keel("node"), "12", str(initialised.directory / "data"))
    finally:
        path.write_text(right)


def test_data_directory_of_another_cluster(initialised, bench):
    """Somebody put the data directory of another cluster into this node's place: it must not be served or overwritten."""
    other = bench.node("other")
    assert program.run(other.command("init", "--cluster", "other", *other.place_options()), 120).returncode == 0
    own, foreign = initialised.directory / "data", other.directory / "data"
    os.rename(own, initialised.directory / "aside")
    os.rename(foreign, own)
    try:
        refused(initialised.keel("node"), "cluster", str(own))
        assert (own / "PG_VERSION").exists()
    finally:
        os.rename(own, foreign)
        os.rename(initialised.directory / "aside", own)


def test_data_directory_of_another_owner(initialised):
    """A restore left files with the wrong owner (by root), or open to the world: PostgreSQL would not start."""
    data = initialised.directory / "data"
    status = data.stat()
    try:
        if os.geteuid() == 0:
            os.chown(data, 0, 0)
        else:
            data.chmod(0o777)
        refused(initialised.keel("node"), str(data), "chown" if os.geteuid() == 0 else "chmod")
    finally:
        os.chown(data, status.st_uid, status.st_gid)
        data.chmod(0o700)


def test_join_with_a_wrong_token(bench):
    """The token is garbage: refused before anything is made."""
    node = bench.node()
    done = program.run(node.command("join", f"{node.address}:{PORTS['api']}", "--token", "rubbish", *node.place_options()))
    refused(done, "token", code=2)
    assert not (node.directory / "identity.json").exists()
