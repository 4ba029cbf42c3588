"""Streams that are not plain asyncio's keep their own code."""

import asyncio
import weakref
from unittest import mock

import pytest

from support.net import finish, in_loop, pair, receive, settle, streams


def is_native(stream) -> bool:
    return type(stream) not in (asyncio.StreamReader, asyncio.StreamWriter)


@pytest.mark.native_only(reason="asyncio has nothing to adopt")
@in_loop
async def test_plain_streams_are_adopted(loop):
    seen = loop.create_future()

    async def client(reader, writer):
        seen.set_result((reader, writer))

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    assert is_native(reader) and not is_native(writer)
    await writer.drain()
    assert is_native(writer)
    for stream in await seen:
        assert is_native(stream)
    for one in (writer, seen.result()[1]):
        one.close()
        await one.wait_closed()
    server.close()
    await server.wait_closed()


async def connect(loop, reader, protocol_class=asyncio.StreamReaderProtocol):
    ours, peer = pair()
    protocol = protocol_class(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
    return asyncio.StreamWriter(transport, protocol, reader, loop), peer


@in_loop
async def test_a_readers_subclass_keeps_its_code(loop):
    class Reader(asyncio.StreamReader):
        def feed_data(self, data):
            super().feed_data(data.upper())

    reader = Reader(loop=loop)
    writer, peer = await connect(loop, reader)
    assert type(reader) is Reader
    peer.send(b"shout\n")
    assert await reader.readline() == b"SHOUT\n"
    await writer.drain()
    await finish(writer, peer)


@in_loop
async def test_a_protocols_subclass_keeps_its_code(loop):
    class Protocol(asyncio.StreamReaderProtocol):
        def data_received(self, data):
            super().data_received(data.upper())

    reader = asyncio.StreamReader(loop=loop)
    writer, peer = await connect(loop, reader, Protocol)
    assert type(reader) is asyncio.StreamReader
    peer.send(b"shout\n")
    assert await reader.readline() == b"SHOUT\n"
    await finish(writer, peer)


@pytest.mark.parametrize("early", [True, False])
@in_loop
async def test_a_method_set_on_the_reader_is_called(loop, early):
    reader = asyncio.StreamReader(loop=loop)
    seen = []

    def feed_data(data):
        seen.append(bytes(data))
        type(reader).feed_data(reader, data)

    if early:
        reader.feed_data = feed_data
    writer, peer = await connect(loop, reader)
    reader.feed_data = feed_data
    peer.send(b"line\n")
    assert await reader.readline() == b"line\n"
    assert seen == [b"line\n"]
    await finish(writer, peer)


@pytest.mark.parametrize("early", [True, False])
@in_loop
async def test_a_method_set_on_the_protocol_is_called(loop, early):
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    seen = []

    def data_received(data):
        seen.append(bytes(data))
        reader.feed_data(data)

    if early:
        protocol.data_received = data_received
    ours, peer = pair()
    transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
    protocol.data_received = data_received
    peer.send(b"line\n")
    assert await reader.readline() == b"line\n"
    assert seen == [b"line\n"]
    transport.abort()
    peer.close()
    await settle()


@in_loop
async def test_a_reader_that_is_put_in_anothers_place_is_fed(loop):
    reader, writer, peer = await streams()
    other = asyncio.StreamReader(loop=loop)
    protocol = writer.transport.get_protocol()
    protocol._stream_reader_wr = weakref.ref(other)
    peer.send(b"line\n")
    assert await other.readline() == b"line\n"
    assert reader._buffer == b""
    await finish(writer, peer)


@in_loop
async def test_a_patched_class_is_obeyed_from_then_on(loop):
    reader, writer, peer = await streams()
    seen = []
    original = asyncio.StreamReaderProtocol.data_received

    def data_received(self, data):
        seen.append(bytes(data))
        original(self, data)

    with mock.patch.object(
        asyncio.StreamReaderProtocol, "data_received", data_received
    ):
        peer.send(b"one\n")
        assert await reader.readline() == b"one\n"
    peer.send(b"two\n")
    assert await reader.readline() == b"two\n"
    assert seen == [b"one\n"]
    await finish(writer, peer)


@in_loop
async def test_a_patched_reader_is_not_adopted(loop):
    async def readline(self):
        return b"patched"

    with mock.patch.object(asyncio.StreamReader, "readline", readline):
        reader, writer, peer = await streams()
        assert type(reader) is asyncio.StreamReader
        assert await reader.readline() == b"patched"
    await finish(writer, peer)


@in_loop
async def test_a_patched_writer_is_not_adopted(loop):
    written = []
    with mock.patch.object(
        asyncio.StreamWriter, "write", lambda self, data: written.append(data)
    ):
        reader, writer, peer = await streams()
        await writer.drain()
        assert type(writer) is asyncio.StreamWriter
        writer.write(b"data")
    assert written == [b"data"]
    await finish(writer, peer)


@in_loop
async def test_a_callback_that_is_no_coroutine_function_is_called(loop):
    called = loop.create_future()
    server = await asyncio.start_server(
        lambda reader, writer: called.set_result((reader, writer)),
        "127.0.0.1", 0,
    )
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname()
    )
    theirs = await called
    theirs[1].write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    for one in (writer, theirs[1]):
        one.close()
        await one.wait_closed()
    server.close()
    await server.wait_closed()


@in_loop
async def test_a_reader_that_is_dropped_gets_nothing(loop):
    reader, writer, peer = await streams()
    writer._reader = None
    del reader
    peer.send(b"into the void")
    await settle()
    writer.write(b"answer")
    await writer.drain()
    assert await receive(peer, 6) == b"answer"
    await finish(writer, peer)
