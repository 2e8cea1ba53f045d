"""A client of PostgreSQL's protocol that sends what it is told, message by message."""
import hashlib
import hmac
import base64
import os
import socket
import struct


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def query(sql):
    return message("Q", text(sql))


def parse(name, sql):
    return message("P", text(name) + text(sql) + struct.pack("!H", 0))


def bind(portal, name, *values):
    body = text(portal) + text(name) + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value.encode()
    return message("B", body + struct.pack("!H", 0))


def describe(kind, name):
    return message("D", kind.encode() + text(name))


def execute(portal="", rows=0):
    return message("E", text(portal) + struct.pack("!I", rows))


def close(kind, name):
    return message("C", kind.encode() + text(name))


SYNC, FLUSH, TERMINATE = message("S"), message("H"), message("X")


def startup(user, database, version=0x30000, **parameters):
    body = struct.pack("!I", version)
    for name, value in {"user": user, "database": database, **parameters}.items():
        body += text(name) + text(value)
    body += b"\0"
    return struct.pack("!I", len(body) + 4) + body


class Closed(Exception):
    """The far side has closed the connection."""


class Wire:
    def __init__(self, address, port, seconds=15):
        self.socket = socket.create_connection((address, port), timeout=seconds)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def read(self):
        """(type, body) of the next message."""
        while len(self.rest) < 5 or len(self.rest) < 1 + struct.unpack("!I", self.rest[1:5])[0]:
            got = self.socket.recv(65536)
            if not got:
                raise Closed(f"with {self.rest!r} unread")
            self.rest += got
        size = 1 + struct.unpack("!I", self.rest[1:5])[0]
        whole, self.rest = self.rest[:size], self.rest[size:]
        return chr(whole[0]), whole[5:]

    def until_ready(self, times=1):
        """Messages up to and with the ReadyForQuery that is the `times`th."""
        found = []
        while times:
            found.append(self.read())
            times -= found[-1][0] == "Z"
        return found

    def kinds(self, times=1):
        return "".join(kind for kind, _ in self.until_ready(times))

    def login(self, user, database, password, **parameters):
        """Through SCRAM-SHA-256 to the first ReadyForQuery."""
        self.send(startup(user, database, **parameters))
        kind, body = self.read()
        assert kind == "R" and struct.unpack("!I", body[:4])[0] == 10, (kind, body)
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        first = ("n,," + bare).encode()
        self.send(message("p", text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        kind, body = self.read()
        assert kind == "R", (kind, body)
        server_first = body[4:].decode()
        fields = dict(field.split("=", 1) for field in server_first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c=biws,r={fields['r']}"
        signed = ",".join([bare, server_first, without]).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.send(message("p", f"{without},p={proof}".encode()))
        return self.until_ready()


def error_fields(body):
    return {chr(field[0]): field[1:].decode() for field in body.split(b"\0") if field}
