"""One seed of the differential test: clients that speak to a server alone, and the same bytes again through the proxy, where
they share fewer servers than they are."""
import random
import select
import time

from proxy_wire import TERMINATE, Closed, Wire, query

from .answers import Account, difference, rendered
from .work import Work

CLIENTS, STEPS = 4, 30
# Who is not answered for so long waits for a server that another client holds; so the others go on.
WAITS_S, HANGS_S = 0.03, 25


class Differs(AssertionError):
    pass


def setup(table):
    """A client's own, made by itself, so that it sees them whichever server it reads from."""
    return [query(f"""
        DROP TABLE IF EXISTS {table}, {table}_more; DROP SEQUENCE IF EXISTS {table}_ids; CREATE SEQUENCE {table}_ids;
        CREATE TABLE {table} (id int PRIMARY KEY, note text); INSERT INTO {table} SELECT i, 'row ' || i FROM generate_series(1, 6) AS i;
        CREATE OR REPLACE PROCEDURE {table}_twice(i int) LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO {table} VALUES (i + 20); COMMIT; INSERT INTO {table} VALUES (i + 21); END $$;
        GRANT ALL ON {table}, {table}_ids TO differing_role""")]


def of_extension(kind, body):
    """What the extension tells the proxy, and the proxy nobody."""
    return kind == "S" and body.startswith(b"pgkeel.")


class Client:
    """A connection with its account and all that it was answered, by steps."""

    def __init__(self, address, port, user, database, password):
        self.wire, self.account, self.heard, self.closed = Wire(address, port, HANGS_S), Account(), [], False
        self.hello = sorted(rendered(*one) for one in self.wire.login(user, database, password)
                            if one[0] not in "RK" and not of_extension(*one))

    def send(self, messages, cuts=()):
        self.heard.append([])
        self.account.send(messages)
        whole, at = b"".join(messages), 0
        try:
            for cut in sorted(cuts):
                self.wire.send(whole[at:cut])
                at = cut
            self.wire.send(whole[at:])
        except OSError:
            self.closed = True

    def leave(self):
        if not self.closed:
            self.wire.send(TERMINATE)
        self.wire.socket.close()

    def busy(self):
        return not self.closed and (not self.account.done() or bool(self.wire.rest))

    def hear(self):
        """Takes what is there; blocks when nothing is."""
        try:
            kind, body = self.wire.read()
        except (Closed, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            self.heard[-1].append("closed")
            self.closed = True
            return
        if not of_extension(kind, body):
            self.heard[-1].append(rendered(kind, body))
        self.account.hear(kind, body)

    def hear_what_came(self):
        while self.busy() and (self.wire.rest or select.select([self.wire.socket], [], [], 0)[0]):
            self.hear()


def directly(seed, number, login):
    """(steps, the client) of what one client does alone: what it sends depends on what it is told."""
    work, client, steps = Work(seed, number), Client(*login), []

    def act(messages):
        steps.append(messages)
        client.send(messages)
        while client.busy():
            client.hear()
    act(setup(work.table))
    for _ in range(STEPS):
        if client.closed:
            break
        while client.account.copying and not client.closed:
            act(work.data(client.account.sent[0] == "E"))
        if not client.closed:
            act(work.step(client.account.unsynced))
    client.leave()
    return steps, client


def replay(seed, works, clients):
    """The clients' steps, interleaved by the seed; a client that waits for a server lets the others go on."""
    draw, left = random.Random(f"{seed}/order"), {number: list(steps) for number, steps in enumerate(works)}
    while left:
        ready = [number for number in left if not clients[number].busy()]
        if not ready:
            wait_for_any([clients[number] for number in left], HANGS_S)
            continue
        number = draw.choice(ready)
        client = clients[number]
        if not left[number] or client.closed:
            del left[number]
            client.leave()
            continue
        messages = left[number].pop(0)
        size = sum(map(len, messages))
        client.send(messages, [draw.randrange(size) for _ in range(draw.choice([0, 0, 0, 1, 3]))])
        until = time.monotonic() + WAITS_S
        while client.busy() and (more := until - time.monotonic()) > 0:
            wait_for_any([client], more, or_fail=False)


def wait_for_any(clients, seconds, or_fail=True):
    busy = [client for client in clients if client.busy()]
    ready = select.select([client.wire.socket for client in busy], [], [], seconds)[0]
    if or_fail and not ready and not any(client.wire.rest for client in busy):
        raise Differs(f"nothing came for {seconds} s; still owed: {[client.account.sent for client in busy]}")
    for client in busy:
        if client.wire.socket in ready or client.wire.rest:
            client.hear_what_came()


def shown(messages):
    return "\n".join(f"    {bytes(one[:1]).decode()} {one[5:165]!r}" for one in messages)


def check(seed, direct_login, proxy_login, allowed):
    """Raises Differs with the first difference, and what led to it."""
    told = [directly(seed, number, direct_login) for number in range(CLIENTS)]
    works = [steps for steps, _ in told]
    clients = [Client(*proxy_login) for _ in works]
    problem = ""
    try:
        replay(seed, works, clients)
    except Differs as error:
        problem = str(error)
    for number, (client, (steps, alone)) in enumerate(zip(clients, told)):
        found = difference(alone.hello, client.hello, allowed)
        if found:
            raise Differs(f"seed {seed}, client {number}, login, {found}")
        for at, messages in enumerate(steps):
            # A step that was never sent, or is still waiting, is the hanging one's business.
            if at >= len(client.heard) or (problem and at == len(client.heard) - 1):
                break
            # Who sends something else than COPY's data where it must has lost its place, and its connection ends at some point
            # behind that; of which message the server speaks depends on what the proxy had put in front.
            if any("unexpected message type" in line for line in alone.heard[at]):
                break
            # The first makes the tables, and gives notice of what was there before.
            found = at > 0 and difference(alone.heard[at], client.heard[at], allowed)
            if found:
                before = "\n".join(f"  step {i}\n{shown(steps[i])}\n    -> {client.heard[i]}"[:1500] for i in range(max(1, at - 6), at))
                raise Differs(f"seed {seed}, client {number}, step {at}, {found}\n{before}\n  step {at}\n{shown(messages)}\n"
                              f"  direct {alone.heard[at][:12]}\n  proxied {client.heard[at][:12]}")
    if problem:
        raise Differs(f"seed {seed}: {problem}\n" + "\n".join(
            f"client {number}:\n{shown(works[number][len(client.heard) - 1])}" for number, client in enumerate(clients)
            if client.busy()))
    for client in clients:
        client.wire.socket.close()
