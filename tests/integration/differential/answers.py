"""What a server owes for what it was sent, and how two servers' answers are compared."""
import pathlib
import re
import struct
import tomllib

ANSWERS = {"1": "P", "2": "B", "3": "C", "T": "D", "n": "D", "C": "E", "s": "E", "I": "E"}


class Account:
    """What was sent and is not answered yet: so a step's end is known, without waiting for nothing to come."""

    def __init__(self):
        self.sent, self.skipping, self.copying, self.unsynced, self.status = [], False, False, False, "I"

    def send(self, messages):
        for one in messages:
            kind = chr(one[0])
            self.sent.append(kind)
            self.unsynced = kind != "S" and (self.unsynced or kind in "PBDECH")
        self.settle()

    def settle(self):
        """Takes out what the server reads without a word."""
        while True:
            at = 1 if self.copying else 0
            if len(self.sent) <= at:
                return
            kind = self.sent[at]
            if self.copying and kind in "dHScf":
                del self.sent[at]
                self.copying = kind in "dHS"
            elif not self.copying and (kind in "dcfH" or self.skipping and kind != "S"):
                del self.sent[at]
            else:
                return

    def hear(self, kind, body):
        head = self.sent[0] if self.sent else ""
        if kind == "Z":
            self.status, self.skipping, self.copying = body.decode(), False, False
            del self.sent[:1]
        elif kind == "E":
            self.copying = False
            self.skipping = head not in ("Q", "F", "S")
        elif kind == "G":
            self.copying = True
        elif ANSWERS.get(kind, "?") == head:
            del self.sent[0]
        self.settle()

    def done(self):
        return len(self.sent) <= self.copying


def fields(body):
    return {chr(field[0]): field[1:].decode("latin-1") for field in body.split(b"\0") if field}


def rendered(kind, body):
    """One line of what a client can see of it. Numbers that belong to one run alone are blanked."""
    if kind in "EN":
        return f"{kind} " + " ".join(f"{name}={value!r}" for name, value in sorted(fields(body).items()))
    if kind == "A":
        body = body[4:]
    if kind == "T":
        out, at = [], 2
        for _ in range(struct.unpack("!H", body[:2])[0]):
            end = body.index(b"\0", at)
            table, *rest = struct.unpack("!IHIhih", body[end + 1:end + 19])
            out.append((body[at:end], bool(table), *rest))
            at = end + 19
        return f"T {out}"
    shown = body if len(body) < 400 else body[:200] + b"..." + str(hash(body)).encode()
    return f"{kind} " + re.sub(r"pg_temp_\d+", "pg_temp_N", repr(shown))


class Allowed:
    """The reviewed list: pairs of answers that may differ, each with its reason."""

    def __init__(self, path=pathlib.Path(__file__).with_name("allowed.toml")):
        self.rules = tomllib.loads(path.read_text())["allowed"] if path.exists() else []
        self.used = {rule["why"]: 0 for rule in self.rules}

    def __call__(self, direct, proxied):
        """The rule that this pair falls under."""
        for rule in self.rules:
            if re.fullmatch(rule["direct"], direct) and re.fullmatch(rule["proxied"], proxied):
                self.used[rule["why"]] += 1
                return rule
        return None


def difference(direct, proxied, allowed):
    """What is not the same in two lists of rendered answers, as text; empty: nothing."""
    for at in range(max(len(direct), len(proxied))):
        pair = [lines[at] if at < len(lines) else "(nothing)" for lines in (direct, proxied)]
        if pair[0] == pair[1]:
            continue
        rule = allowed(*pair)
        if rule and rule.get("rest"):
            return ""
        if not rule:
            return f"answer {at}\n  direct:  {pair[0]}\n  proxied: {pair[1]}"
    return ""
