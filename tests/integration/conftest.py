"""Fixtures: clusters that are shared by the tests of a module, whole before each test, and audited by it."""
import pytest

import program
from cluster import Cluster


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


@pytest.fixture(scope="module")
def make_cluster():
    """Clusters with options; all of them end with the module."""
    made = []

    def make(*arguments, **options):
        made.append(Cluster(*arguments, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def own_cluster():
    """As make_cluster, for one test alone."""
    made = []

    def make(*arguments, **options):
        made.append(Cluster(*arguments, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture(scope="module")
def three():
    """Three data nodes in quorum mode on loopback addresses."""
    cluster = Cluster(3)
    yield cluster
    cluster.close()
