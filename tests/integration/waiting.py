"""Waiting for conditions: no test sleeps and hopes."""
import time

import psycopg


class NotYet(Exception):
    """Raised by a condition that does not hold yet; its text says what is missing."""


class Expired(AssertionError):
    """A condition did not come true in time."""


def wait_for(condition, seconds, what, describe=lambda: ""):
    """Calls `condition` until it returns something true, and returns that.

    NotYet, and the errors that a dead server causes, mean "not yet"; the last of them is in the failure message, with
    what `describe` has to say about the state of things.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
            if value:
                return value
            last = f"the condition gave {value!r}"
        except (NotYet, OSError, psycopg.Error) as error:
            last = f"{type(error).__name__}: {error}".strip()
        if time.monotonic() >= end:
            raise Expired(f"waited {seconds} s for: {what}\n  last answer: {last}\n{describe()}") from None
        time.sleep(0.05)
