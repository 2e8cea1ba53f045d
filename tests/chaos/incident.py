"""The register of incidents: one per row of the failure matrix (and variant), each with what it needs."""
import dataclasses
import inspect

BOTH = ("quorum", "async")


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a world must have; incidents of one shape share one, as long as none fails."""
    nodes: int = 3
    witness: int = 0
    etcd: bool = False


@dataclasses.dataclass(frozen=True)
class Incident:
    row: int
    variant: str
    outage: str  # what the matrix says, for quorum / async
    modes: tuple
    shape: Shape | None  # None: makes worlds of its own
    figure: bool  # its outage is a figure that can be measured again and again
    run: object

    @property
    def title(self):
        """The first sentence of its report behind "Row 9."; the rest of the paragraph is what happens."""
        words = inspect.getdoc(self.run).split("\n\n")[0].replace("\n", " ")
        words = words.split(". ", 1)[1] if words.startswith("Row ") else words
        first = words.split(". ")[0].rstrip(".")
        return f"{first} ({self.variant})" if self.variant else first

    @property
    def story(self):
        return inspect.getdoc(self.run)


INCIDENTS = []


def incident(row, outage, *, variant="", modes=BOTH, shape=Shape(), figure=False):
    """Registers `run(world)`, or `run(make)` when it makes worlds of its own (shape None)."""
    def register(run):
        INCIDENTS.append(Incident(row, variant, outage, modes, shape, figure, run))
        return run

    return register
