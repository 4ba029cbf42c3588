"""A stream is asyncio's to whoever looks at it."""

import asyncio
import inspect

import pytest

from support.net import finish, in_loop, settle, streams


@in_loop
async def test_the_classes_are_asyncios(loop):
    reader, writer, peer = await streams()
    await writer.drain()
    assert isinstance(reader, asyncio.StreamReader)
    assert isinstance(writer, asyncio.StreamWriter)
    assert type(reader).__name__ == "StreamReader"
    assert type(reader).__module__ == "asyncio.streams"
    assert type(writer).__qualname__ == "StreamWriter"
    assert repr(writer).startswith("<StreamWriter transport=<")
    assert repr(reader).startswith("<StreamReader transport=<")
    await finish(writer, peer)


@in_loop
async def test_private_attributes_are_true(loop):
    reader, writer, peer = await streams(limit=100)
    assert type(reader._buffer) is bytearray and reader._buffer == b""
    assert reader._limit == 100 and reader._waiter is None
    assert reader._eof is False and reader._paused is False
    assert reader._exception is None
    assert reader._transport is writer.transport
    task = asyncio.create_task(reader.readline())
    await settle()
    waiter = reader._waiter
    assert asyncio.isfuture(waiter) and not waiter.done()
    peer.send(b"half")
    while not reader._buffer:
        await settle()
    assert reader._buffer == b"half"
    peer.send(b"\n" + b"x" * 300)
    assert await task == b"half\n"
    assert waiter.done() and reader._waiter is None
    while len(reader._buffer) < 300:
        await settle()
    assert reader._paused is True
    assert await reader.read(250) == b"x" * 250
    assert reader._paused is False
    peer.close()
    while not reader._eof:
        await settle()
    await finish(writer, peer)


@in_loop
async def test_the_buffer_that_somebody_holds_stays_the_buffer(loop):
    reader, writer, peer = await streams()
    held = reader._buffer
    peer.send(b"one\ntwo\n")
    assert await reader.readline() == b"one\n"
    assert held == b"two\n" and reader._buffer is held
    held += b"three"
    assert await reader.readuntil(b"ee") == b"two\nthree"
    await finish(writer, peer)


@in_loop
async def test_a_buffer_that_is_replaced_is_read(loop):
    reader, writer, peer = await streams()
    reader._buffer = bytearray(b"mine\n")
    assert await reader.readline() == b"mine\n"
    await finish(writer, peer)


@pytest.mark.native_only(reason="asyncio takes anything")
@in_loop
async def test_only_a_bytearray_can_be_the_buffer(loop):
    reader, writer, peer = await streams()
    with pytest.raises(TypeError, match="must be a bytearray, not bytes"):
        reader._buffer = b"bytes"
    await finish(writer, peer)


@in_loop
async def test_an_exception_that_is_assigned_is_raised(loop):
    reader, writer, peer = await streams()
    reader._exception = ValueError("assigned")
    with pytest.raises(ValueError, match="assigned"):
        await reader.read(1)
    with pytest.raises(ValueError, match="assigned"):
        await writer.drain()
    reader._exception = None
    await writer.drain()
    await finish(writer, peer)


@in_loop
async def test_attributes_of_ones_own_are_kept(loop):
    reader, writer, peer = await streams()
    reader.mine = writer.mine = 5
    peer.send(b"line\n")
    assert await reader.readline() == b"line\n"
    assert reader.mine == writer.mine == 5
    await finish(writer, peer)


@in_loop
async def test_a_writer_writes_to_the_transport_it_is_given(loop):
    """nats-py assigns writer._transport."""
    reader, writer, peer = await streams()
    await writer.drain()

    class Transport:
        def write(self, data):
            written.append(data)

        def is_closing(self):
            return False

    written = []
    original, writer._transport = writer._transport, Transport()
    writer.write(b"elsewhere")
    await writer.drain()
    assert written == [b"elsewhere"]
    assert isinstance(writer.transport, Transport)
    writer._transport = original
    await finish(writer, peer)


@in_loop
async def test_a_write_that_is_replaced_on_the_transport_is_called(loop):
    written = []

    class Transport(asyncio.Transport):
        write = written.append

        def is_closing(self):
            return False

    reader, writer, peer = await streams()
    await writer.drain()
    original, writer._transport = writer._transport, Transport()
    writer.write(b"a")
    writer._transport = original
    assert written == [b"a"]
    await finish(writer, peer)


@in_loop
async def test_a_protocol_that_is_paused_holds_drain(loop):
    """anyio reads writer._protocol._paused."""
    reader, writer, peer = await streams()
    await writer.drain()
    protocol = writer._protocol
    assert protocol._paused is False
    protocol.pause_writing()
    assert protocol._paused is True
    task = asyncio.create_task(writer.drain())
    await settle()
    assert not task.done()
    protocol.resume_writing()
    await task
    await finish(writer, peer)


@in_loop
async def test_a_call_is_a_coroutine_to_those_who_run_it(loop):
    reader, writer, peer = await streams()
    coro = reader.readexactly(3)
    assert asyncio.iscoroutine(coro) and inspect.isawaitable(coro)
    assert coro.__name__ == "readexactly"
    assert coro.__qualname__ == "StreamReader.readexactly"
    peer.send(b"abc")
    assert await asyncio.wait_for(coro, 5) == b"abc"
    peer.send(b"defghi")
    assert await asyncio.gather(reader.readexactly(3)) == [b"def"]
    assert await asyncio.create_task(reader.read(9)) == b"ghi"
    drain = writer.drain()
    assert drain.__qualname__ == "StreamWriter.drain"
    await asyncio.ensure_future(drain)
    await finish(writer, peer)


@in_loop
async def test_nothing_happens_before_the_first_step(loop):
    reader, writer, peer = await streams()
    first = reader.readline()
    second = reader.readline()
    peer.send(b"one\ntwo\n")
    assert await second == b"one\n"
    assert await first == b"two\n"
    await finish(writer, peer)


@in_loop
async def test_a_call_that_is_not_awaited_is_warned_about(loop):
    reader, writer, peer = await streams()
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        reader.read(1)
    await finish(writer, peer)


@in_loop
async def test_wrong_arguments_are_type_errors(loop):
    reader, writer, peer = await streams()
    for args, keywords in (((1, 2), {}), ((), {"m": 1}), ((1,), {"n": 1})):
        with pytest.raises(TypeError):
            reader.read(*args, **keywords)
    with pytest.raises(TypeError):
        reader.readexactly()
    with pytest.raises(TypeError):
        reader.readline(1)
    with pytest.raises(TypeError):
        writer.write()
    with pytest.raises(TypeError):
        writer.write("text")
    with pytest.raises(TypeError):
        await reader.readexactly("many")
    await finish(writer, peer)


@in_loop
async def test_arguments_may_be_named(loop):
    reader, writer, peer = await streams()
    peer.send(b"abc;defg")
    assert await reader.readuntil(separator=b";") == b"abc;"
    assert await reader.readexactly(n=2) == b"de"
    assert await reader.read(n=10) == b"fg"
    writer.write(data=b"1")
    writer.writelines(data=[b"2"])
    await finish(writer, peer)
