"""What the acknowledgements of all clients together prove: no two open gates, and how much the surviving history lacks (pure)."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Fork:
    """The surviving history leaves this timeline at this LSN."""
    timeline: int
    lsn: int


def parse_history(text):
    """PostgreSQL's timeline history file: "parent<tab>X/Y<tab>reason" a line."""
    forks = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2:
            high, low = words[1].split("/")
            forks.append(Fork(int(words[0]), (int(high, 16) << 32) + int(low, 16)))
    return forks


def two_open_gates(acks):
    """Pairs (older, newer) that only two open gates explain: a write that was *sent* after an acknowledgement of a newer
    timeline had been *received*, and was acknowledged on the older one all the same."""
    first = {}
    for ack in acks:
        if ack.timeline not in first or ack.received < first[ack.timeline].received:
            first[ack.timeline] = ack
    found = []
    for ack in acks:
        newer = [one for timeline, one in first.items() if timeline > ack.timeline and one.received < ack.sent]
        if newer:
            found.append((ack, min(newer, key=lambda one: one.received)))
    return found


def bytes_lost(acks, lost, forks, end_timeline):
    """WAL bytes behind the fork up to the last lost write, the largest of all timelines. A lost write that lies before its
    fork, or on the surviving timeline itself, has no such excuse: ValueError."""
    where, missing, most = {fork.timeline: fork.lsn for fork in forks}, set(lost), 0
    for ack in acks:
        if ack.row not in missing:
            continue
        if ack.timeline == end_timeline:
            raise ValueError(f"{ack} is on the surviving timeline, and gone")
        # Its commit record follows what was there when it was made.
        fork = where.get(ack.timeline)
        most = max(most, ack.lsn - fork if fork is not None else 0)
    return most


def longest_silence(acks):
    """Seconds between two acknowledgements that follow each other, whoever got them: the outage of writes."""
    moments = sorted(ack.received for ack in acks)
    return max((after - before for before, after in zip(moments, moments[1:])), default=0.0)
