"""asyncio's streams on the loop's transports."""

import asyncio
import gc
import os
import socket
import weakref

import pytest

from support.loops import PY312, PY313, PY314, collect_errors
from support.net import (
    FAMILIES, finish, in_loop, pair, quiet, receive, reset, settle, streams,
    until,
)

families = pytest.mark.parametrize("family", FAMILIES)


@families
@in_loop
async def test_lines_blocks_and_the_rest_are_read(loop, family):
    reader, writer, peer = await streams(family)
    peer.send(b"line\nexact" + b"until;" + b"rest")
    assert await reader.readline() == b"line\n"
    assert await reader.readexactly(5) == b"exact"
    assert await reader.readuntil(b";") == b"until;"
    assert await reader.read(2) == b"re"
    peer.close()
    assert await reader.read() == b"st"
    assert reader.at_eof() and await reader.read(5) == b""
    writer.close()
    await writer.wait_closed()


@families
@in_loop
async def test_a_reader_wakes_for_what_comes_in_pieces(loop, family):
    reader, writer, peer = await streams(family)
    task = asyncio.create_task(reader.readexactly(10))
    for n in range(10):
        assert not task.done()
        peer.send(b"%d" % n)
        await quiet()
    assert await task == b"0123456789"
    await finish(writer, peer)


@in_loop
async def test_an_end_before_its_time(loop):
    reader, writer, peer = await streams()
    peer.send(b"part")
    peer.close()
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reader.readexactly(5)
    assert caught.value.partial == b"part"
    writer.close()
    await writer.wait_closed()


@in_loop
async def test_a_reset_reaches_reader_and_writer(loop):
    reader, writer, peer = await streams()
    task = asyncio.create_task(reader.read())
    await settle()
    reset(peer)
    with pytest.raises(ConnectionResetError):
        await task
    with pytest.raises(ConnectionResetError):
        await writer.drain()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


@families
@in_loop
async def test_a_full_reader_pauses_the_transport(loop, family):
    reader, writer, peer = await streams(family, limit=1000)
    sent = os.urandom(1 << 20) * 24

    async def push():
        left = memoryview(sent)
        while left:
            try:
                left = left[peer.send(left):]
            except BlockingIOError:
                await asyncio.sleep(0.001)

    task = asyncio.create_task(push())
    await until(lambda: not writer.transport.is_reading())
    await quiet()
    # Neither the reader nor the kernel takes any more.
    assert not writer.transport.is_reading() and not task.done()
    got = bytearray()
    while len(got) < len(sent):
        got += await reader.read(100_000)
    assert got == sent
    await task
    await finish(writer, peer)


@in_loop
async def test_a_line_beyond_the_limit(loop):
    reader, writer, peer = await streams(limit=100)
    peer.send(b"x" * 500 + b"\nshort\n")
    with pytest.raises(ValueError, match="longer than limit"):
        await reader.readline()
    await finish(writer, peer)


@in_loop
async def test_a_writer_passes_to_its_transport(loop):
    reader, writer, peer = await streams()
    assert isinstance(writer.transport, asyncio.Transport)
    assert writer.get_extra_info("peername") == peer.getsockname()
    assert writer.can_write_eof() is True
    assert writer.is_closing() is False
    writer.write(b"one ")
    writer.writelines([b"two ", b"three"])
    await writer.drain()
    writer.write_eof()
    assert await receive(peer) == b"one two three"
    writer.close()
    assert writer.is_closing()
    await writer.wait_closed()
    peer.close()


@in_loop
async def test_drain_raises_after_the_connection_is_closed(loop):
    reader, writer, peer = await streams()
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ConnectionResetError, match="Connection lost"):
        await writer.drain()
    peer.close()


@in_loop
async def test_drain_waits_for_a_peer_that_reads_late(loop):
    reader, writer, peer = await streams()
    sent = os.urandom(8 << 20)
    writer.write(sent)
    task = asyncio.create_task(writer.drain())
    await quiet()
    assert not task.done()
    assert await receive(peer, len(sent)) == sent
    assert await task is None
    await finish(writer, peer)


@in_loop
async def test_drain_of_a_lost_connection_raises(loop):
    reader, writer, peer = await streams()
    writer.write(bytes(8 << 20))
    tasks = [asyncio.create_task(writer.drain()) for _ in range(2)]
    await quiet()
    reset(peer)
    for task in tasks:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await task
    await settle()


# -- servers ----------------------------------------------------------------

@families
@in_loop
async def test_a_server_of_coroutines(loop, family, tmp_path):
    async def shout(reader, writer):
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def client():
        if family == "tcp":
            reader, writer = await asyncio.open_connection(*address)
        else:
            reader, writer = await asyncio.open_unix_connection(path)
        for n in range(20):
            writer.write(b"line %d\n" % n)
            assert await reader.readline() == b"LINE %d\n" % n
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    path = str(tmp_path / "s")
    if family == "tcp":
        server = await asyncio.start_server(shout, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
    else:
        server = await asyncio.start_unix_server(shout, path)
    await asyncio.gather(*(client() for _ in range(50)))
    server.close()
    await server.wait_closed()
    await settle()


@in_loop
async def test_the_handlers_error_is_reported_with_its_transport(loop):
    writers = []

    async def fail(reader, writer):
        writers.append(writer)
        raise ZeroDivisionError

    errors = collect_errors(loop)
    server = await asyncio.start_server(fail, "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    peer.setblocking(False)
    await until(lambda: bool(writers))
    if PY312:
        # Before, nobody closed the connection.
        assert await receive(peer) == b""
        [context] = errors
        assert context["message"] == (
            "Unhandled exception in client_connected_cb"
        )
        assert type(context["exception"]) is ZeroDivisionError
        assert isinstance(context["transport"], asyncio.Transport)
        del context
    await finish(writers[0], peer)
    server.close()
    await settle()
    errors.clear()
    gc.collect()


@in_loop
async def test_a_plain_function_that_raises_as_a_handler(loop):
    writers = []

    def fail(reader, writer):
        writers.append(writer)
        raise ZeroDivisionError

    errors = collect_errors(loop)
    server = await asyncio.start_server(fail, "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    peer.setblocking(False)
    await until(lambda: bool(errors))
    assert type(errors[0]["exception"]) is ZeroDivisionError
    if PY314:
        assert await receive(peer) == b""
    await finish(writers[0], peer)
    server.close()
    await settle()


@in_loop
async def test_a_cancelled_handler_closes_its_connection(loop):
    started = loop.create_future()
    # Up to 3.12 the cancellation itself was reported.
    errors = collect_errors(loop)

    writers = []

    async def wait(reader, writer):
        writers.append(writer)
        started.set_result(asyncio.current_task())
        await asyncio.sleep(100)

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    peer.setblocking(False)
    task = await started
    task.cancel()
    await settle()
    if PY313:
        assert await receive(peer) == b""
        assert errors == []
    await finish(writers[0], peer)
    server.close()
    await asyncio.wait([task])


@in_loop
async def test_a_closed_stream_is_freed(loop):
    reader, writer, peer = await streams()
    dead = weakref.ref(writer.transport), weakref.ref(reader)
    writer.close()
    await writer.wait_closed()
    await settle()
    del reader, writer
    gc.collect()
    assert [ref() for ref in dead] == [None, None]
    assert await receive(peer) == b""
    peer.close()


def test_a_program_of_streams_leaves_the_loop_clean(child):
    out = child.succeed("""
        async def serve(reader, writer):
            data = await reader.read(100)
            writer.write(data[::-1])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            async with server:
                async def client(n):
                    reader, writer = await asyncio.open_connection(*address)
                    writer.write(b"%04d" % n)
                    data = await reader.read()
                    writer.close()
                    await writer.wait_closed()
                    return int(data[::-1])
                return sum(await asyncio.gather(*map(client, range(100))))
        with asyncio.Runner(loop_factory=new_loop) as runner:
            print(runner.run(main()))
    """, "-X", "dev")
    assert out == "4950\n"
