"""Incident reports: what was done to the machines, and what the cluster says it did, in one line of time."""
import datetime

from waiting import NotYet


def timeline(world):
    """(unix time, who, text) of our deeds and of the cluster's own history, in order."""
    begun = world.notes[0][0] if world.notes else 0.0
    lines = [(moment, "chaos", text) for moment, text in world.notes]
    try:
        status = world.any_running().status()
    except (NotYet, OSError, AssertionError):
        return lines
    names = {member["id"]: member["name"] for member in status["members"]}
    lines += [(event["unix_ms"] / 1000, names.get(event["node"], "?"), event["text"]) for event in status["events"]
              if event["unix_ms"] / 1000 >= begun]
    return sorted(lines)


def text(incident, mode, world, failure):
    """The whole report; `failure` is None when all was as expected."""
    out = [f"Row {incident.row}, {mode}: {incident.title}", "", incident.story, ""]
    if world is not None:
        lines = timeline(world)
        begun = lines[0][0] if lines else 0.0
        if lines:
            out += [f"What happened ({datetime.datetime.fromtimestamp(begun, datetime.timezone.utc):%F %T}Z)"]
        out += [f"{moment - begun:8.3f} s  {who:<8} {what}" for moment, who, what in lines]
        if world.outcome:
            result = world.outcome
            out += ["", "What it cost", f"longest time without an acknowledged write   {result.silence:.3f} s "
                                        f"(expected for quorum / async: {incident.outage})",
                    f"acknowledged writes {result.acknowledged}, lost {result.lost} ({result.lost_bytes} bytes of WAL), "
                    f"outcome unknown {result.unknown}", "gates open at once   never more than one"]
    out += ["", "Verdict: as expected" if failure is None else f"Verdict: FAILED\n{failure}"]
    return "\n".join(out) + "\n"
