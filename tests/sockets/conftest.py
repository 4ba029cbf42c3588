"""Sockets for the tests of sock_*: non-blocking, and closed afterwards."""

import socket
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def keep() -> Iterator[Callable]:
    """Closes the sockets that it is given when the test is over."""
    kept = []

    def add(*sockets):
        for sock in sockets:
            sock.setblocking(False)
        kept.extend(sockets)
        return sockets if len(sockets) > 1 else sockets[0]

    yield add
    for sock in kept:
        sock.close()


@pytest.fixture
def pair(keep):
    """Two ends of a stream."""
    return keep(*socket.socketpair())


@pytest.fixture
def tcp_pair(keep):
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return keep(client, server)


@pytest.fixture
def listener(keep):
    return keep(socket.create_server(("127.0.0.1", 0)))


@pytest.fixture
def udp(keep):
    """Two bound datagram sockets."""

    def make():
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        return sock

    return keep(make(), make())


def fill(sock: socket.socket) -> int:
    """Write until the socket takes no more; how much it took."""
    total = 0
    try:
        while True:
            total += sock.send(b"x" * 65536)
    except BlockingIOError:
        return total
