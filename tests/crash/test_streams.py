"""Streams of which somebody has taken something away."""

import asyncio
import gc

import pytest

from support.loops import collect_errors
from support.net import finish, in_loop, settle, streams


@in_loop
async def test_streams_without_their_attributes_crash_nothing(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    transport = writer.transport
    task = asyncio.create_task(reader.readline())
    await settle()
    errors = collect_errors(loop)
    saved = dict(vars(writer))
    vars(reader).clear()
    vars(writer).clear()
    for attempt in (
        lambda: reader._buffer, lambda: reader.at_eof(),
        lambda: reader.feed_data(b"x"), lambda: repr(reader),
        lambda: reader._limit, lambda: writer.write(b"x"),
        lambda: writer.transport, lambda: reader.exception(),
        lambda: writer.is_closing(),
    ):
        with pytest.raises(AttributeError):
            attempt()
    for call in (reader.read(1), reader.readexactly(1), reader.readline(),
                 writer.drain()):
        with pytest.raises(AttributeError):
            await call
    peer.send(b"line\n")
    await settle()
    task.cancel()
    await asyncio.wait([task])
    vars(writer).update(saved)
    transport.abort()
    peer.close()
    await settle()
    errors.clear()


@in_loop
async def test_a_reader_of_the_class_is_a_reader(loop):
    reader, writer, peer = await streams()
    other = type(reader)(limit=10, loop=loop)
    other.feed_data(b"some bytes")
    other.feed_eof()
    assert other._limit == 10 and not other.at_eof()
    assert await other.readexactly(4) == b"some"
    assert await other.read() == b" bytes"
    await finish(writer, peer)


@in_loop
async def test_a_subclass_of_the_class_is_a_reader(loop):
    reader, writer, peer = await streams()

    class Mine(type(reader)):
        async def readline(self):
            return b"mine"

    mine = Mine(loop=loop)
    mine.feed_data(b"line\n")
    assert await mine.readline() == b"mine"
    assert await mine.readuntil() == b"line\n"
    await finish(writer, peer)


@in_loop
async def test_streams_in_cycles_are_collected(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    reader.writer, writer.reader = writer, reader
    task = asyncio.create_task(reader.readline())
    reader.task = task
    await settle()
    task.cancel()
    await settle()
    await finish(writer, peer)
    del reader, writer, task
    gc.collect()


@in_loop
async def test_the_class_may_be_set_back(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    errors = collect_errors(loop)
    native = type(reader)
    reader.__class__ = asyncio.StreamReader
    peer.send(b"line\n")
    await settle()
    reader.__class__ = native
    writer.transport.abort()
    peer.close()
    await settle()
    errors.clear()
