"""The table of docs/uvloop.md: what uvloop and asyncloop do, row by row."""

import asyncio
import os
import re
import socket
import sys
import tempfile
import time
import warnings
from pathlib import Path

import asyncloop
import pytest
import uvloop

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "uvloop.md"

pytestmark = [
    pytest.mark.native_only(reason="a comparison with uvloop"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CASES = {}


def case(uvloops, ours):
    """Register a function, and what it gives on either loop."""

    def register(function):
        CASES[function.__name__] = function, uvloops, ours
        return function

    return register


async def connect():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(
        asyncio.Protocol, *server.sockets[0].getsockname()
    )
    return server, transport


async def with_transport(function):
    server, transport = await connect()
    try:
        return await function(transport)
    finally:
        transport.close()
        server.close()
        await asyncio.sleep(0.01)


async def outcome(method, *args, **options):
    """What it gives, or the class of what it raises."""
    try:
        return await method(*args, **options)
    except Exception as error:
        return type(error)


@case(False, True)
async def transport_class(loop):
    async def look(transport):
        return isinstance(transport, asyncio.Transport)

    return await with_transport(look)


@case(False, True)
async def datagram_class(loop):
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    transport.close()
    return isinstance(transport, asyncio.DatagramTransport)


@case((False, False), (True, True))
async def handle_class(loop):
    timer = loop.call_later(10, int)
    timer.cancel()
    return (isinstance(loop.call_soon(int), asyncio.Handle),
            isinstance(timer, asyncio.TimerHandle))


@case("PseudoSocket", "TransportSocket")
async def socket_class(loop):
    async def look(transport):
        return type(transport.get_extra_info("socket")).__name__

    return await with_transport(look)


@case(True, False)
async def early_timers(loop):
    early = False
    for number in range(300):
        delay = 0.0007 + number * 1e-5
        start = time.monotonic()
        await asyncio.sleep(delay)
        early |= time.monotonic() - start < delay
    return early


@case(NotImplementedError, 5)
async def sendfile(loop):
    async def send(transport):
        with tempfile.TemporaryFile() as file:
            file.write(b"12345")
            file.flush()
            return await outcome(loop.sendfile, transport, file)

    return await with_transport(send)


def pair(kind):
    made = socket.socketpair(socket.AF_UNIX, kind)
    for one in made:
        one.setblocking(False)
    return made


@case(NotImplementedError, 5)
async def sock_sendfile(loop):
    left, right = pair(socket.SOCK_STREAM)
    with left, right, tempfile.TemporaryFile() as file:
        file.write(b"12345")
        file.flush()
        return await outcome(
            loop.sock_sendfile, left, file, 0, None, fallback=True
        )


@case([NotImplementedError] * 3, [(b"x", None), (1, None), 1])
async def sock_datagrams(loop):
    left, right = pair(socket.SOCK_DGRAM)
    with left, right, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        results = []
        for method, extra in (
            (loop.sock_recvfrom, 10), (loop.sock_recvfrom_into, bytearray(1)),
        ):
            right.send(b"x")
            results.append(await outcome(method, left, extra))
        to = udp.getsockname()
        results.append(await outcome(loop.sock_sendto, udp, b"y", to))
        return results


@case((False, False), (True, True))
async def close_clients(loop):
    server, transport = await connect()
    transport.close()
    server.close()
    return hasattr(server, "close_clients"), hasattr(server, "abort_clients")


@case(TypeError, ExceptionGroup)
async def all_errors(loop):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return await outcome(
            loop.create_connection, asyncio.Protocol,
            *closed.getsockname(), all_errors=True,
        )


@case(TypeError, None)
async def keep_alive(loop):
    server = await outcome(
        loop.create_server, asyncio.Protocol, "127.0.0.1", 0, keep_alive=True
    )
    return server if isinstance(server, type) else server.close()


@case(ValueError, 0)
async def process_options(loop):
    transport = await outcome(
        loop.subprocess_exec, asyncio.SubprocessProtocol, "true",
        umask=0o22, group=os.getgid(),
    )
    if isinstance(transport, type):
        return transport
    code = await transport[0]._wait()
    transport[0].close()
    return code


@case(False, True)
async def descriptor_flags(loop):
    read, write = os.pipe()
    loop.add_reader(read, int)
    blocking = os.get_blocking(read)
    loop.remove_reader(read)
    os.close(read)
    os.close(write)
    return blocking


@case(False, True)
async def root_callback(loop):
    [(callback, _)] = asyncio.current_task()._callbacks
    return callback is asyncio.base_events._run_until_complete_cb


@case(False, sys.version_info < (3, 14))
async def policy(loop):
    package = uvloop if isinstance(loop, uvloop.Loop) else asyncloop
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            package.EventLoopPolicy().get_event_loop().close()
        except RuntimeError:
            return False
    return True


@case((False, False), (True, True))
async def queues(loop):
    return hasattr(loop, "_ready"), hasattr(loop, "_scheduled")


@case(False, True)
async def metrics(loop):
    return hasattr(loop, "metrics")


@pytest.mark.parametrize("name", CASES)
def test_uvloop_does_what_the_table_says(kind, name):
    function, expected, _ = CASES[name]
    assert run(uvloop.new_event_loop, function) == expected


@pytest.mark.parametrize("name", CASES)
def test_asyncloop_does_what_the_table_says(kind, name):
    function, _, expected = CASES[name]
    assert run(asyncloop.new_event_loop, function) == expected


def run(factory, function):
    async def main():
        return await function(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


def test_each_row_has_its_function(kind):
    rows = re.findall(r"\| `(\w+)` \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == list(CASES)


def test_the_alias_stands_for_this_release(kind):
    from asyncloop import _patch

    assert _patch._UVLOOP == uvloop.__version__
    alias = _patch._make_uvloop()
    assert set(uvloop.__all__) == set(alias.__all__)
    for name in (*uvloop.__all__, "Loop", "__version__"):
        assert hasattr(alias, name)
