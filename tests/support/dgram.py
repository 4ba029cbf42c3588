"""Datagrams for tests: a protocol that notes, and plain sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from support.loops import PY313, PY314
from support.net import SECONDS, is_borrowed, settle

LOCAL = ("127.0.0.1", 0)


class Recorder(asyncio.DatagramProtocol):
    """Notes each call, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.transport = None
        self.calls: list[str] = []
        self.received: list[tuple] = []
        self.errors: list[Exception] = []
        self.lost = loop.create_future()

    @property
    def data(self) -> list[bytes]:
        return [data for data, address in self.received]

    def connection_made(self, transport) -> None:
        self.calls.append("made")
        self.transport = transport

    def datagram_received(self, data: bytes, address) -> None:
        self.calls.append("datagram")
        self.received.append((data, address))

    def error_received(self, error: Exception) -> None:
        self.calls.append("error")
        self.errors.append(error)

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.calls.append("lost")
        # Raises, and is reported, when it comes twice.
        self.lost.set_result(error)


@contextlib.asynccontextmanager
async def endpoint(
    loop: asyncio.AbstractEventLoop,
    factory: Callable = Recorder,
    **kwargs,
) -> AsyncIterator[tuple]:
    """A transport and its protocol, on an address of this machine."""
    if not kwargs:
        kwargs["local_addr"] = LOCAL
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: factory(loop), **kwargs
    )
    try:
        yield transport, protocol
    finally:
        if transport.get_protocol() is not None:
            transport.abort()
        await settle()


def udp(family: int = socket.AF_INET) -> socket.socket:
    """A plain socket that is bound and does not block."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def unix_pair() -> tuple[socket.socket, socket.socket]:
    """Connected Unix sockets; the first has a name, and so has its peer."""
    one, two = (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)
    )
    for sock in (one, two):
        sock.bind("")  # the kernel chooses an abstract name
        sock.setblocking(False)
    one.connect(two.getsockname())
    two.connect(one.getsockname())
    return one, two


async def receive(sock: socket.socket, count: int) -> list[bytes]:
    """Read so many datagrams from a socket that does not block."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    got: list[bytes] = []
    while len(got) < count:
        try:
            got.append(sock.recv(1 << 18))
        except BlockingIOError:
            assert loop.time() < end, f"got {len(got)} datagrams of {count}"
            await asyncio.sleep(0.001)
    return got


def nothing_waits(sock: socket.socket) -> bool:
    try:
        sock.recv(1 << 18)
    except BlockingIOError:
        return True
    return False


async def fill(transport) -> int:
    """Send until the kernel takes no more; the number of datagrams."""
    count = 0
    while transport.get_write_buffer_size() == 0:
        transport.sendto(b"%08d" % count)
        count += 1
        await asyncio.sleep(0)
    return count


def miscounts(transport) -> bool:
    """asyncio 3.13 adds the header to what waits and takes none off."""
    return PY313 and not PY314 and is_borrowed(type(transport))


def free_port() -> int:
    """A port of this machine that nobody is bound to."""
    with udp() as sock:
        return sock.getsockname()[1]
