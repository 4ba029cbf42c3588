"""Connections for tests: a transport of the loop and a plain socket."""

import asyncio
import contextlib
import functools
import inspect
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable

from support.loops import collect_errors

FAMILIES = ("tcp", "unix")

# A wait that has not come true after this long never will.
SECONDS = 20


def in_loop(test: Callable) -> Callable:
    """Run the coroutine function as a test, in the loop it takes.

    Nothing may be reported to the exception handler, unless the test sets
    one of its own.
    """

    @functools.wraps(test)
    def run(*args, **kwargs):
        bound = inspect.signature(test).bind(*args, **kwargs)
        loop = bound.arguments["loop"]
        errors = collect_errors(loop)
        loop.run_until_complete(test(*args, **kwargs))
        assert errors == []

    return run


class Recorder(asyncio.Protocol):
    """Notes each call, in order."""

    #: What eof_received gives back.
    keep_open = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.transport = None
        self.calls: list[str] = []
        self.data = bytearray()
        self.error: BaseException | None = None
        self.made = loop.create_future()
        self.lost = loop.create_future()

    def note(self, name: str) -> None:
        # However many pieces the data comes in, it is one entry.
        if name != "data" or self.calls[-1:] != ["data"]:
            self.calls.append(name)

    def connection_made(self, transport) -> None:
        self.note("made")
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.note("data")
        self.data += data

    def eof_received(self):
        self.note("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, error: BaseException | None) -> None:
        self.note("lost")
        self.error = error
        # Raises, and is reported, when it comes twice.
        self.lost.set_result(error)


class BufferedRecorder(asyncio.BufferedProtocol):
    """The same for a protocol that brings its own memory."""

    keep_open = False
    size = 1000

    note = Recorder.note
    connection_made = Recorder.connection_made
    eof_received = Recorder.eof_received
    connection_lost = Recorder.connection_lost
    pause_writing = Recorder.pause_writing
    resume_writing = Recorder.resume_writing

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        Recorder.__init__(self, loop)
        self.buffer = bytearray(self.size)
        self.hints: list[int] = []

    def get_buffer(self, hint: int):
        self.hints.append(hint)
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        self.note("data")
        self.data += self.buffer[:count]


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        one = socket.create_connection(listener.getsockname())
        two, _ = listener.accept()
    for sock in (one, two):
        # What a test sends leaves at once.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Without limits the kernel takes more the longer it is used: 4 MiB
        # must not fit, wherever the tests run.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
    return one, two


def pair(family: str = "tcp") -> tuple[socket.socket, socket.socket]:
    """Two connected sockets; the second does not block."""
    one, two = tcp_pair() if family == "tcp" else socket.socketpair()
    two.setblocking(False)
    return one, two


def reset(sock: socket.socket) -> None:
    """Close a TCP socket so that the other end gets a reset."""
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    sock.close()


def small_buffers(*socks) -> None:
    """For Unix sockets: TCP with little room waits for its timers."""
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)


@contextlib.asynccontextmanager
async def link(
    loop: asyncio.AbstractEventLoop,
    factory: Callable = Recorder,
    family: str = "tcp",
) -> AsyncIterator[tuple]:
    """A transport, its protocol, and the socket at the other end."""
    ours, peer = pair(family)
    transport, protocol = await loop.create_connection(
        lambda: factory(loop), sock=ours
    )
    try:
        yield transport, protocol, peer
    finally:
        if transport.get_protocol() is not None:
            transport.abort()
        peer.close()
        await settle()


async def settle(turns: int = 6) -> None:
    """Let what is ready run, and what that makes ready."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def streams(family: str = "tcp", **options) -> tuple:
    """A reader, a writer, and the socket at the other end."""
    ours, peer = pair(family)
    reader, writer = await asyncio.open_connection(sock=ours, **options)
    return reader, writer, peer


async def finish(writer: asyncio.StreamWriter, peer: socket.socket) -> None:
    writer.transport.abort()
    peer.close()
    await settle()


async def quiet() -> None:
    """Long enough for anything on its way to arrive."""
    await asyncio.sleep(0.03)


async def until(test: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    while not test():
        assert loop.time() < end, "the condition did not come true"
        await asyncio.sleep(0.001)


async def receive(sock: socket.socket, count: int | None = None) -> bytes:
    """Read `count` bytes, or all up to the end, from a non-blocking socket.

    It reads when a timer says so: the loop's sock_recv is tested elsewhere.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    data = bytearray()
    while count is None or len(data) < count:
        left = 1 << 20 if count is None else count - len(data)
        try:
            piece = sock.recv(left)
        except BlockingIOError:
            assert loop.time() < end, f"got {len(data)} bytes of {count}"
            await asyncio.sleep(0.001)
            continue
        if not piece:
            break
        data += piece
    return bytes(data)


async def fill(transport) -> int:
    """Write until the kernel takes no more; the bytes written."""
    piece = bytes(65536)
    written = 0
    while transport.get_write_buffer_size() == 0:
        transport.write(piece)
        written += len(piece)
        await asyncio.sleep(0)
    return written


def refused_address() -> tuple[str, int]:
    """An address of this machine where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


ACCEPT_FAILED = "Error on transport creation for incoming connection"


def only_told_in_debug_mode(
    loop: asyncio.AbstractEventLoop, errors: list[dict]
) -> bool:
    """Whether nothing was reported but what debug mode adds.

    asyncio reports there that an incoming connection came to nothing.
    """
    messages = {context["message"] for context in errors}
    return messages <= ({ACCEPT_FAILED} if loop.get_debug() else set())


def keys(context: dict) -> set[str]:
    """The keys of a report, without those of debug mode."""
    return set(context) - {"source_traceback", "handle_traceback"}


def is_borrowed(thing: object) -> bool:
    """Whether the object, or the method, is asyncio's own Python code.

    Where that code has a defect on some version, a test demands the right
    behaviour of ours only.
    """
    return str(getattr(thing, "__module__", "")).startswith("asyncio.")
