"""Writers: drain, closing, and TLS that begins on a stream."""

import asyncio

import pytest

from support import tls
from support.net import (
    FAMILIES, finish, in_loop, receive, settle, streams,
)

families = pytest.mark.parametrize("family", FAMILIES)


@families
@in_loop
async def test_what_is_written_arrives_in_order(loop, family):
    reader, writer, peer = await streams(family)
    writer.write(b"one")
    await writer.drain()
    writer.writelines([b"two", bytearray(b"three")])
    writer.write(memoryview(b"four"))
    await writer.drain()
    assert await receive(peer, 15) == b"onetwothreefour"
    await finish(writer, peer)


@in_loop
async def test_drain_waits_until_the_peer_reads(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    data = b"x" * 16_000_000
    writer.write(data)
    task = asyncio.create_task(writer.drain())
    await settle()
    assert not task.done() and writer._protocol._paused
    assert await receive(peer, len(data)) == data
    await task
    await finish(writer, peer)


@in_loop
async def test_a_cancelled_drain_can_be_repeated(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    writer._protocol.pause_writing()
    task = asyncio.create_task(writer.drain())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    writer._protocol.resume_writing()
    await writer.drain()
    await finish(writer, peer)


@in_loop
async def test_drain_looks_when_it_is_awaited(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    call = writer.drain()
    reader.set_exception(ValueError("meanwhile"))
    with pytest.raises(ValueError, match="meanwhile"):
        await call
    await finish(writer, peer)


@in_loop
async def test_drain_of_what_is_closing_waits_for_the_end(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    writer.transport.abort()
    with pytest.raises(ConnectionResetError, match="Connection lost"):
        for _ in range(5):
            await writer.drain()
    await finish(writer, peer)


@families
@in_loop
async def test_closing_sends_what_was_written(loop, family):
    reader, writer, peer = await streams(family)
    await writer.drain()
    assert not writer.is_closing()
    writer.write(b"last words")
    writer.close()
    assert writer.is_closing()
    await writer.wait_closed()
    assert await receive(peer) == b"last words"
    peer.close()


@in_loop
async def test_the_end_of_writing(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    assert writer.can_write_eof()
    writer.write(b"that is all")
    writer.write_eof()
    assert await receive(peer) == b"that is all"
    with pytest.raises(RuntimeError):
        writer.write(b"more")
    await finish(writer, peer)


@in_loop
async def test_extra_info_is_the_transports(loop):
    reader, writer, peer = await streams("tcp")
    await writer.drain()
    assert writer.get_extra_info("peername") == peer.getsockname()
    assert writer.get_extra_info("nothing", 5) == 5
    await finish(writer, peer)


async def greet(reader, writer, context):
    assert await reader.readline() == b"STARTTLS\n"
    writer.write(b"go\n")
    await writer.drain()
    await writer.start_tls(context)
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@in_loop
async def test_tls_begins_on_a_stream(loop):
    context = tls.server_context()
    done = loop.create_future()

    async def handler(reader, writer):
        try:
            await greet(reader, writer, context)
        finally:
            done.set_result(None)

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname()
    )
    writer.write(b"STARTTLS\n")
    await writer.drain()
    assert await reader.readline() == b"go\n"
    await writer.start_tls(tls.client_context(), server_hostname=tls.NAME)
    assert writer.get_extra_info("cipher") is not None
    writer.write(b"quiet\n")
    await writer.drain()
    assert await reader.readline() == b"QUIET\n"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await done
    server.close()
    await server.wait_closed()


@in_loop
async def test_streams_over_tls(loop):
    async def handler(reader, writer):
        async for line in reader:
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(
        handler, "127.0.0.1", 0, ssl=tls.server_context()
    )
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=tls.client_context(),
        server_hostname=tls.NAME,
    )
    for line in (b"one\n", b"x" * 50_000 + b"\n"):
        writer.write(line)
        await writer.drain()
        assert await reader.readline() == line
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
