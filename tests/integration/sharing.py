"""Clusters that several tests share."""
import pytest


class Shared:
    """One cluster for many tests. A test that failed may have left anything: the next one gets a new cluster."""

    def __init__(self, make):
        self.make, self.cluster = make, None

    def get(self):
        if self.cluster is not None and self.cluster.failed:
            self.close()
        if self.cluster is None:
            self.cluster = self.make()
        return self.cluster

    def close(self):
        cluster, self.cluster = self.cluster, None
        if cluster is not None:
            cluster.close()


def shared(make):
    """A module's fixture holding what `make(request)` builds when the first test asks for it by get()."""
    @pytest.fixture(scope="module")
    def holder(request):
        one = Shared(lambda: make(request))
        yield one
        one.close()

    return holder
