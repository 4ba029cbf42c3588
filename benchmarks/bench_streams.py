"""Streams: StreamReader and StreamWriter, as most programs use them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import traffic
from bench_network import KIB, listening
from registry import AT_END, KEPT, Goal, Loop, peer, served, timed

LINE = 64
BURST = 10_000  # lines
FRAME = 1000
CLIENTS = 50

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Handler = Callable[[Reader, Writer], Awaitable[None]]


def start(
    loop: Loop, handler: Handler, context: ssl.SSLContext | None = None
) -> str:
    sock, address = listening()

    async def begin() -> None:
        server = await asyncio.start_server(handler, sock=sock, ssl=context)
        KEPT.append(server)

    loop.run_until_complete(begin())
    return address


async def echo(reader: Reader, writer: Writer) -> None:
    while data := await reader.read(64 * KIB):
        writer.write(data)
        await writer.drain()
    writer.close()


@served(
    "streams: echo 1 KiB, read, write, drain",
    Goal("uvloop", 1.5),
    kept=(Goal("uvloop", 1.45),),
    load=traffic.echo(KIB),
)
def streams_1k(loop: Loop, folder: Path) -> str:
    return start(loop, echo)


@served(
    "streams: echo 64 KiB, read, write, drain",
    Goal("uvloop", 1.9),
    kept=(Goal("uvloop", 1.7),),
    load=traffic.echo(64 * KIB),
)
def streams_64k(loop: Loop, folder: Path) -> str:
    return start(loop, echo)


@served(
    "streams: readline, write and drain of 64-byte lines",
    Goal("uvloop", 1.75),
    load=traffic.lines(LINE),
)
def streams_readline(loop: Loop, folder: Path) -> str:
    async def handler(reader: Reader, writer: Writer) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    return start(loop, handler)


@served(
    "streams: readexactly(4), readexactly(n), write, drain",
    Goal("uvloop", 1.6),
    load=traffic.framed(FRAME),
)
def streams_framed(loop: Loop, folder: Path) -> str:
    async def handler(reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head))
                writer.write(head + body)
                await writer.drain()
        writer.close()

    return start(loop, handler)


@served(
    "streams: readline of 10 000 lines in one burst",
    Goal("uvloop", 3),
    load=traffic.burst(BURST, LINE),
)
def streams_burst(loop: Loop, folder: Path) -> str:
    """One operation is one line; only the last of a burst is answered."""

    async def handler(reader: Reader, writer: Writer) -> None:
        count = 0
        while line := await reader.readline():
            count += 1
            if count % BURST == 0:
                writer.write(line)
        writer.close()

    return start(loop, handler)


@served(
    "streams: echo 1 KiB over TLS, 10 connections",
    kept=(Goal("uvloop", 1.5),),
    load=traffic.echo(KIB, "exchange", 10, tls=True),
)
def streams_tls(loop: Loop, folder: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem")
    return start(loop, echo, context)


@timed(
    "streams: 1 KiB there and back over 50 open_connection",
    ops=CLIENTS,
    peer="echo",
)
def streams_client(loop: Loop, n: int) -> None:
    """The client's side; each of the connections does ``n`` round trips."""
    message = traffic.text(KIB)

    async def connect() -> None:
        for _ in range(CLIENTS):
            KEPT.append(await asyncio.open_connection(*peer()))

    async def talk(reader: Reader, writer: Writer) -> None:
        for _ in range(n):
            writer.write(message)
            if await reader.readexactly(KIB) != message:
                raise AssertionError("what came back is wrong")

    async def main() -> None:
        await asyncio.gather(*[talk(*pair) for pair in KEPT])

    def close(loop: Loop) -> None:
        for _, writer in KEPT:
            writer.close()
        loop.run_until_complete(asyncio.sleep(0))

    if not KEPT:
        loop.run_until_complete(connect())
        AT_END.append(close)
    loop.run_until_complete(main())
