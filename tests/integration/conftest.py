"""Fixtures: clusters that are shared by the tests of a module, whole before each test, and audited by it."""
import pytest

import program
from cluster import Cluster
from object_store import Swift
from restoring import configure, key_file
from sharing import shared


def pytest_addoption(parser):
    parser.addoption("--differential", default="1..12", metavar="FIRST..LAST", help="seeds of test_proxy_differential.py")


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


@pytest.fixture(scope="module")
def swift():
    """A real object store that speaks S3."""
    server = Swift()
    yield server
    server.close()


@pytest.fixture
def encrypted_in_bucket(own_cluster, swift, request):
    """Three nodes whose repository is in the bucket, encrypted."""
    cluster = own_cluster(3)
    cluster.prefix = request.function.__name__
    return configure(cluster, encryption_key_file=key_file(cluster, "key", "0123456789abcdef" * 4),
                     **swift.settings(cluster.prefix))
