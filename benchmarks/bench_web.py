"""Servers and clients that people run: uvicorn, aiohttp, websockets.

They are imported where they are used: a row whose packages are not here is
left out, and the other rows' processes do not carry them.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import traffic
from bench_network import KIB, listening
from registry import AT_END, KEPT, Goal, Loop, peer, served, timed

HELLO = b"Hello"
CLIENTS = 50


@served(
    "uvicorn and httptools, 'Hello', wrk with 50 connections",
    Goal("uvloop", 1.5),
    load=traffic.Wrk(HELLO),
    needs=("uvicorn", "httptools", "wrk"),
)
def uvicorn(loop: Loop, folder: Path) -> str:
    import uvicorn as package

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [
            (b"content-type", b"text/plain"),
            (b"content-length", b"5"),
        ]
        await send(
            {"type": "http.response.start", "status": 200, "headers": headers}
        )
        await send({"type": "http.response.body", "body": HELLO})

    sock, address = listening()
    config = package.Config(
        application,
        http="httptools",
        loop="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    server = package.Server(config)
    KEPT.append(loop.create_task(server.serve(sockets=[sock])))
    return address


@served(
    "aiohttp server, 'Hello', wrk with 50 connections",
    Goal("uvloop", 1.45),
    load=traffic.Wrk(HELLO),
    needs=("aiohttp", "wrk"),
)
def aiohttp_server(loop: Loop, folder: Path) -> str:
    from aiohttp import web

    async def hello(request: web.Request) -> web.Response:
        return web.Response(body=HELLO, content_type="text/plain")

    sock, address = listening()

    async def begin() -> None:
        application = web.Application()
        application.router.add_get("/", hello)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        KEPT.append(runner)

    loop.run_until_complete(begin())
    return address


@timed(
    "aiohttp client, GET over 50 connections",
    Goal("uvloop", 1.4),
    ops=CLIENTS,
    peer="http",
    needs=("aiohttp",),
)
def aiohttp_client(loop: Loop, n: int) -> None:
    """The client's side; each of 50 tasks asks ``n`` times."""
    import aiohttp

    url = "http://{}:{}/".format(*peer())

    async def begin() -> None:
        connector = aiohttp.TCPConnector(limit=CLIENTS)
        KEPT.append(aiohttp.ClientSession(connector=connector))

    async def ask(session: aiohttp.ClientSession) -> None:
        for _ in range(n):
            async with session.get(url) as response:
                if await response.read() != HELLO:
                    raise AssertionError("what came back is wrong")

    async def main() -> None:
        await asyncio.gather(*[ask(KEPT[0]) for _ in range(CLIENTS)])

    if not KEPT:
        loop.run_until_complete(begin())
        AT_END.append(
            lambda loop: loop.run_until_complete(KEPT[0].close())
        )
    loop.run_until_complete(main())


@served(
    "websockets, echo of 1 KiB",
    Goal("uvloop", 1.35),
    load=traffic.web_socket(KIB),
    needs=("websockets",),
)
def websockets(loop: Loop, folder: Path) -> str:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosedError

    async def echo(connection: ServerConnection) -> None:
        # The load leaves without a word.
        with contextlib.suppress(ConnectionClosedError):
            async for message in connection:
                await connection.send(message)

    sock, address = listening()

    async def begin() -> None:
        server = await serve(
            echo, sock=sock, compression=None, ping_interval=None
        )
        KEPT.append(server)

    loop.run_until_complete(begin())
    return address
