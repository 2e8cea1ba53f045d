"""The protocol byte by byte: a client that sees every message and in which order they came."""
import socket
import struct


class Wire:
    def __init__(self, server, **options):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(server.socket / f".s.PGSQL.{server.port}"))
        settings = "".join(f"{name}\0{value}\0" for name, value in ({"user": "postgres", "database": "postgres"} | options).items())
        body = struct.pack("!I", 196608) + settings.encode() + b"\0"
        self.socket.sendall(struct.pack("!I", len(body) + 4) + body)
        self.greeting = self.until(b"Z")

    def exactly(self, size):
        read = b""
        while len(read) < size:
            part = self.socket.recv(size - len(read))
            if not part:
                raise EOFError
            read += part
        return read

    def message(self):
        kind, length = struct.unpack("!cI", self.exactly(5))
        return kind, self.exactly(length - 4)

    def until(self, last):
        """Messages up to and with the first of kind `last`."""
        found = []
        while not found or found[-1][0] != last:
            found.append(self.message())
        return found

    def send(self, *messages):
        self.socket.sendall(b"".join(kind + struct.pack("!I", len(body) + 4) + body for kind, body in messages))

    def query(self, text):
        self.send((b"Q", text.encode() + b"\0"))
        return self.until(b"Z")

    def start(self, text):
        self.send((b"Q", text.encode() + b"\0"))

    def close(self):
        self.socket.close()


def parameters(messages):
    """[(name, value)] of the ParameterStatus messages, in order."""
    return [tuple(body.decode().split("\0")[:2]) for kind, body in messages if kind == b"S"]


def shape(messages):
    """Kinds, with the parameter's name for ParameterStatus: "C", "S pgkeel.xid"."""
    return [kind.decode() + (" " + body.decode().split("\0")[0] if kind == b"S" else "") for kind, body in messages]
