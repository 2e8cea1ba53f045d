"""Logins that are bound to the proxy's certificate: nobody in between can pass them on."""
import contextlib
import socket
import ssl
import struct
import threading

import psycopg
import pytest

from network import PROXY_PORTS, free_port

SSL_REQUEST = struct.pack("!II", 8, 80877103)


def pipe(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def between(three):
    """Address and port of somebody who has a certificate of his own, another node's, and reads along."""
    node, other = three.primary(), three.standbys()[0]
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(other.directory / "pki" / "node.crt", other.directory / "pki" / "node.key")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    listener = socket.create_server(("127.0.0.1", free_port()))

    def serve(client):
        with contextlib.suppress(OSError), client, socket.create_connection((node.address, PROXY_PORTS["auto"])) as server:
            assert client.recv(8) == SSL_REQUEST
            client.sendall(b"S")
            server.sendall(SSL_REQUEST)
            assert server.recv(1) == b"S"
            with shown.wrap_socket(client, server_side=True) as inner, trusting.wrap_socket(server) as outer:
                back = threading.Thread(target=pipe, args=(outer, inner), daemon=True)
                back.start()
                pipe(inner, outer)
                back.join(10)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()
    listener.close()


@pytest.mark.parametrize("endpoint", ["auto", "read-write", "read-only"])
def test_a_client_may_require_it(three, endpoint):
    for node in three.data_nodes():
        with node.proxy(endpoint, sslmode="require", channel_binding="require") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        node.proxy(endpoint, sslmode="require", channel_binding="require", password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        node.proxy(endpoint, sslmode="require", channel_binding="require", user="nobody_here")
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        node.proxy(endpoint, sslmode="disable", channel_binding="require")
    with node.proxy(endpoint, sslmode="require", channel_binding="disable") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_somebody_in_between_cannot_pass_it_on(three, between):
    host, port = between
    node = three.primary()
    with node.connect(host=host, port=port, sslmode="require", channel_binding="disable") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,), "he does read along where nobody looks"
    for binding in ("require", "prefer"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            node.connect(host=host, port=port, sslmode="require", channel_binding=binding)
