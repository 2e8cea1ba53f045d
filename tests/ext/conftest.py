"""Fixtures: a primary whose gate is open, shared by the tests of a module, and servers that a test makes for itself."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

import program  # noqa: E402
from server import LIBRARY, Server, Template  # noqa: E402


def pytest_sessionstart(session):
    if not LIBRARY.exists():
        pytest.exit(f"no {LIBRARY}. mend: tools/ext", returncode=3)
    print(f"testing {LIBRARY} with {program.postgres_bin()}")


@pytest.fixture(scope="session")
def template():
    made = Template()
    yield made
    made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    for value in getattr(item, "funcargs", {}).values():
        if report.failed and isinstance(value, Server):
            value.failed = True
            report.sections.append(("server log", value.log_text()[-6000:]))


@pytest.fixture(scope="module")
def holder(template):
    kept = []
    yield kept
    for server in kept:
        server.close()


@pytest.fixture
def primary(holder, template):
    """A primary with an open gate and a table t(a int); after a test that failed, a new one."""
    if holder and holder[0].failed:
        holder.pop().close()
    if not holder:
        holder.append(Server(template))
        holder[0].start()
    server = holder[0]
    server.words.allow()
    server.configure()
    server.run("DROP TABLE IF EXISTS t; CREATE TABLE t (a int)")
    yield server
    server.words.allow(unmask=1)
    server.end_sessions()


@pytest.fixture
def make_server(template):
    """Makes servers, not yet started, for one test alone."""
    made = []

    def make(**options):
        made.append(Server(template, **options))
        return made[-1]

    yield make
    for server in reversed(made):
        server.close()
