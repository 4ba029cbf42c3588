"""Transports, servers, datagrams, sock_* and sendfile."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import threading
from pathlib import Path
from typing import Any, cast

import traffic
from registry import AT_END, KEPT, Goal, Loop, peer, served, timed

KIB = 1024
FLOOD = 100  # datagrams in one callback
DATAGRAM = 256
AT_ONCE = 10  # connections that are being opened
FILE = KIB * KIB


class Echo(asyncio.Protocol):
    """Sends back what it receives."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class TwoWrites(Echo):
    """Answers in two halves, as servers do with header and body."""

    def data_received(self, data: bytes) -> None:
        half = len(data) // 2
        self.transport.write(data[:half])
        self.transport.write(data[half:])


class EchoBuffered(asyncio.BufferedProtocol):
    """Echo out of a buffer of its own."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(64 * KIB))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(self.view[:nbytes])


class Once(Echo):
    """One exchange of 1 KiB; the server closes."""

    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.transport.write(data)
        if self.received >= KIB:
            self.transport.close()


class EchoDatagram(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


def listening() -> tuple[socket.socket, str]:
    """A listening socket, and its address as the load wants it."""
    # With its protocol named, as create_server does from host and port:
    # asyncio sets TCP_NODELAY only where it sees that it is TCP.
    family, tcp = socket.AF_INET, socket.IPPROTO_TCP
    sock = socket.socket(family, socket.SOCK_STREAM, tcp)
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    return sock, f"127.0.0.1:{sock.getsockname()[1]}"


def serve(loop: Loop, protocol: type[asyncio.BaseProtocol]) -> str:
    sock, address = listening()
    create = loop.create_server(protocol, sock=sock)
    KEPT.append(loop.run_until_complete(create))
    return address


@served(
    "echo 1 KiB, Protocol",
    Goal("uvloop", 1.13),
    Goal("C", 0.95),
    load=traffic.echo(KIB),
    reference=("echo",),
)
def echo_1k(loop: Loop, folder: Path) -> str:
    return serve(loop, Echo)


@served(
    "two writes for each 1 KiB message",
    Goal("uvloop", 1.3),
    load=traffic.echo(KIB),
)
def two_writes(loop: Loop, folder: Path) -> str:
    return serve(loop, TwoWrites)


@served(
    "echo 64 KiB, Protocol",
    Goal("uvloop", 1.05),
    kept=(Goal("uvloop", 1.08),),
    load=traffic.echo(64 * KIB),
    reference=("echo",),
)
def echo_64k(loop: Loop, folder: Path) -> str:
    return serve(loop, Echo)


@served(
    "echo 1 KiB, BufferedProtocol",
    Goal("uvloop", 1.12),
    load=traffic.echo(KIB),
)
def echo_buffered(loop: Loop, folder: Path) -> str:
    return serve(loop, EchoBuffered)


@served(
    "echo 1 KiB, sock_recv and sock_sendall",
    Goal("uvloop", 5),
    kept=(Goal("uvloop", 2.3),),
    load=traffic.echo(KIB),
)
def echo_sock(loop: Loop, folder: Path) -> str:
    sock, address = listening()
    sock.setblocking(False)

    async def talk(conn: socket.socket) -> None:
        with conn:
            while data := await loop.sock_recv(conn, 256 * KIB):
                await loop.sock_sendall(conn, data)

    async def accept() -> None:
        while True:
            conn, _ = await loop.sock_accept(sock)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            KEPT.append(loop.create_task(talk(conn)))

    KEPT.append(loop.create_task(accept()))
    return address


@served(
    "echo 1 KiB, Unix socket",
    Goal("uvloop", 1.12),
    load=traffic.echo(KIB),
    reference=("unix", "{folder}/limit.sock"),
)
def echo_unix(loop: Loop, folder: Path) -> str:
    path = f"{folder}/echo.sock"
    create = loop.create_unix_server(Echo, path)
    KEPT.append(loop.run_until_complete(create))
    return path


@served(
    "accept, 1 KiB each way, close",
    Goal("uvloop", 1.12),
    load=traffic.echo(KIB, "storm"),
    reference=("storm", str(KIB)),
)
def accept(loop: Loop, folder: Path) -> str:
    return serve(loop, Once)


@timed(
    "create_connection and close, as a client",
    Goal("uvloop", 1.4),
    ops=AT_ONCE,
    peer="discard",
)
def connect(loop: Loop, n: int) -> None:
    """Ten tasks connect and close; the end is when the last one is gone."""
    host, port = peer()
    open_ones = AT_ONCE * n
    gone = loop.create_future()

    class Client(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            nonlocal open_ones
            open_ones -= 1
            if open_ones == 0:
                gone.set_result(None)

    async def come_and_go() -> None:
        for _ in range(n):
            transport, _ = await loop.create_connection(Client, host, port)
            transport.close()

    async def main() -> None:
        await asyncio.gather(*[come_and_go() for _ in range(AT_ONCE)])
        await gone

    loop.run_until_complete(main())


@served(
    "UDP echo of 256 bytes, 8 sockets with 4 in flight",
    Goal("uvloop", 1.5),
    load=traffic.echo(DATAGRAM, "datagrams", connections=8),
    reference=("datagrams",),
)
def udp_echo(loop: Loop, folder: Path) -> str:
    create = loop.create_datagram_endpoint(
        EchoDatagram, local_addr=("127.0.0.1", 0)
    )
    transport, _ = loop.run_until_complete(create)
    KEPT.append(transport)
    host, port = transport.get_extra_info("sockname")
    return f"{host}:{port}"


class Flood:
    """Sends datagrams from callbacks, as many as it is told to."""

    def __init__(self, loop: Loop, address: tuple[str, int]) -> None:
        self.loop = loop
        self.address = address
        create = loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        # Any: the base class does not declare get_write_buffer_size.
        self.transport: Any = loop.run_until_complete(create)[0]
        self.message = traffic.text(DATAGRAM)
        self.left = 0

    def run(self, callbacks: int) -> None:
        self.left = callbacks
        self.loop.call_soon(self.burst)
        self.loop.run_forever()

    def burst(self) -> None:
        for _ in range(FLOOD):
            self.transport.sendto(self.message, self.address)
        self.left -= 1
        # What was written last leaves at the end of this callback or of the
        # turn: one more turn, or more while it is queued.
        self.loop.call_soon(self.burst if self.left else self.finish)

    def finish(self) -> None:
        if self.transport.get_write_buffer_size():
            self.loop.call_soon(self.finish)
        else:
            self.loop.stop()

    def close(self, loop: Loop) -> None:
        self.transport.close()
        loop.run_until_complete(asyncio.sleep(0))


def arrives(loop: Loop, sink: socket.socket) -> None:
    """Raise unless every datagram arrives, once, in order and unchanged."""
    sink.settimeout(5)
    flood = Flood(loop, sink.getsockname())
    sent = iter(range(10 * FLOOD))

    def numbered() -> None:
        for _ in range(FLOOD):
            flood.transport.sendto(b"%08d" % next(sent), flood.address)
        loop.call_soon(flood.finish)

    for first in range(0, 10 * FLOOD, FLOOD):
        loop.call_soon(numbered)
        loop.run_forever()
        got = [int(sink.recv(KIB)) for _ in range(FLOOD)]
        if got != list(range(first, first + FLOOD)):
            raise AssertionError(f"sent 100 from {first} on, got {got}")
    flood.close(loop)


def flood_with(loop: Loop, n: int, sink: tuple[str, int] | None) -> None:
    if not KEPT:
        # Nobody reads it: once it is full, what comes is dropped at its door.
        full = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        full.bind(("127.0.0.1", 0))
        arrives(loop, full)
        flood = Flood(loop, sink or full.getsockname())
        KEPT.extend((flood, full))
        AT_END.extend((flood.close, lambda loop: full.close()))
    KEPT[0].run(n)


@timed(
    "UDP flood, 100 sendto of 256 bytes in each callback",
    Goal("uvloop", 3),
    ops=FLOOD,
)
def udp_flood(loop: Loop, n: int) -> None:
    """The kernel's part is small: nobody takes the datagrams."""
    flood_with(loop, n, None)


@timed(
    "UDP flood, 100 sendto of 256 bytes, to one who reads",
    Goal("uvloop", 1.4),
    ops=FLOOD,
    peer="sink",
)
def udp_flood_read(loop: Loop, n: int) -> None:
    flood_with(loop, n, peer())


@served(
    "echo 1 KiB, Protocol, beside a busy Python thread",
    Goal("uvloop", 1.5),
    load=dataclasses.replace(traffic.echo(KIB), wall=True),
)
def busy_thread(loop: Loop, folder: Path) -> str:
    """Wall time: half of the CPU is the other thread's."""

    def spin() -> None:
        number = 0
        while True:
            number += 1

    # Begins with the loop, so that it does not slow down the start.
    loop.call_soon(threading.Thread(target=spin, daemon=True).start)
    return serve(loop, Echo)


class FileServer(Echo):
    """Each line asks for the file once more."""

    def __init__(self, loop: Loop, file: Any) -> None:
        self.loop = loop
        self.file = file
        self.writable = asyncio.Event()
        self.writable.set()
        self.task: asyncio.Task[None] | None = None

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.task = self.loop.create_task(self.answer())

    async def answer(self) -> None:
        try:
            await self.loop.sendfile(self.transport, self.file, 0, FILE)
        except (NotImplementedError, AttributeError):
            await self.by_hand()

    async def by_hand(self) -> None:
        """What programs do on a loop without sendfile, as aiohttp does."""
        at = 0
        while at < FILE:
            chunk = await self.loop.run_in_executor(
                None, os.pread, self.file.fileno(), 256 * KIB, at
            )
            at += len(chunk)
            self.transport.write(chunk)
            await self.writable.wait()


@served(
    "sendfile of 1 MiB to 10 clients",
    Goal("uvloop", 2),
    load=traffic.download(FILE, connections=10),
)
def sendfile(loop: Loop, folder: Path) -> str:
    """On a loop without sendfile: reads in the executor, and writes."""
    path = folder / "reply"  # what the load expects
    files = contextlib.ExitStack()
    KEPT.append(files)

    def make() -> FileServer:
        # One each: asyncio's sendfile moves the position of the file.
        return FileServer(loop, files.enter_context(path.open("rb")))

    sock, address = listening()
    create = loop.create_server(make, sock=sock)
    KEPT.append(loop.run_until_complete(create))
    return address
