"""Fixtures: clusters that are shared by the tests of a module, whole before each test, and audited by it."""
import pytest

import program
from cluster import Cluster
from sharing import shared


def pytest_sessionstart(session):
    try:
        program.check_prerequisites()
    except program.Missing as error:
        pytest.exit(f"integration tests cannot run: {error}", returncode=3)
    print(f"testing {program.pgkeel()} with {program.postgres_bin()}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Cluster):
                value.failed = True


three_holder = shared(lambda request: Cluster(3))


@pytest.fixture
def three(three_holder):
    """Three data nodes in quorum mode on loopback addresses."""
    return three_holder.get()


@pytest.fixture
def own_cluster():
    """Makes clusters with options for one test alone."""
    made = []

    def make(*arguments, **options):
        made.append(Cluster(*arguments, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
