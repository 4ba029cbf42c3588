"""Reads over real connections: waiting, cancelling, limits, large ones."""

import asyncio
import os

import pytest

from support.loops import PY313
from support.net import FAMILIES, finish, in_loop, reset, settle, streams

families = pytest.mark.parametrize("family", FAMILIES)
KIB = 1024


async def send(peer, data):
    """From a socket that does not block."""
    await asyncio.get_running_loop().sock_sendall(peer, data)


@families
@in_loop
async def test_a_read_beyond_twice_the_limit_does_not_hang(loop, family):
    reader, writer, peer = await streams(family, limit=1000)
    data = os.urandom(300 * KIB)
    sending = asyncio.create_task(send(peer, data))
    assert await asyncio.wait_for(reader.readexactly(len(data)), 20) == data
    await sending
    await finish(writer, peer)


@families
@in_loop
async def test_all_until_the_end_is_read(loop, family):
    reader, writer, peer = await streams(family, limit=1000)
    data = os.urandom(300 * KIB)

    async def feed():
        await send(peer, data)
        peer.close()

    sending = asyncio.create_task(feed())
    assert await asyncio.wait_for(reader.read(), 20) == data
    await sending
    await finish(writer, peer)


@in_loop
async def test_many_lines_of_one_burst(loop):
    reader, writer, peer = await streams()
    lines = [b"%d\n" % n for n in range(20_000)]
    sending = asyncio.create_task(send(peer, b"".join(lines)))
    for line in lines:
        assert await reader.readline() == line
    await sending
    await finish(writer, peer)


@in_loop
async def test_lines_are_iterated_over(loop):
    reader, writer, peer = await streams()
    peer.send(b"one\ntwo\nrest")
    peer.close()
    assert [line async for line in reader] == [b"one\n", b"two\n", b"rest"]
    await finish(writer, peer)


@pytest.mark.parametrize("name", ["read", "readline", "readexactly"])
@in_loop
async def test_two_readers_at_once_are_an_error(loop, name):
    reader, writer, peer = await streams()
    args = (5,) if name != "readline" else ()
    first = asyncio.create_task(getattr(reader, name)(*args))
    await settle()
    inner = "readuntil" if name == "readline" else name
    with pytest.raises(RuntimeError) as caught:
        await getattr(reader, name)(*args)
    assert str(caught.value) == (
        f"{inner}() called while another coroutine is already waiting for "
        "incoming data"
    )
    peer.send(b"five\n")
    assert await first == b"five\n"
    await finish(writer, peer)


@in_loop
async def test_a_cancelled_read_takes_nothing(loop):
    reader, writer, peer = await streams()
    for call in (reader.readexactly(4), reader.readline(), reader.read(4)):
        task = asyncio.create_task(call)
        await settle()
        if task.done():
            continue
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reader._waiter is None
        peer.send(b"x")
        while not reader._buffer:
            await settle()
        assert reader._buffer == b"x"
        assert await reader.read(1) == b"x"
    await finish(writer, peer)


@in_loop
async def test_a_read_that_is_cancelled_when_data_is_there_leaves_it(loop):
    reader, writer, peer = await streams()
    task = asyncio.create_task(reader.readexactly(4))
    await settle()
    reader.feed_data(b"data")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await reader.readexactly(4) == b"data"
    await finish(writer, peer)


@in_loop
async def test_a_read_that_times_out_can_be_repeated(loop):
    reader, writer, peer = await streams()
    peer.send(b"half a ")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(reader.readline(), 0.05)
    peer.send(b"line\n")
    assert await reader.readline() == b"half a line\n"
    await finish(writer, peer)


@in_loop
async def test_a_reset_ends_the_read_that_waits(loop):
    reader, writer, peer = await streams("tcp")
    task = asyncio.create_task(reader.readexactly(10))
    peer.send(b"part")
    await settle()
    reset(peer)
    with pytest.raises(ConnectionResetError):
        await task
    with pytest.raises(ConnectionResetError):
        await reader.read()
    await finish(writer, peer)


@in_loop
async def test_what_is_incomplete_is_told(loop):
    reader, writer, peer = await streams()
    peer.send(b"part")
    peer.close()
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reader.readexactly(10)
    assert (caught.value.partial, caught.value.expected) == (b"part", 10)
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reader.readuntil(b";")
    assert (caught.value.partial, caught.value.expected) == (b"", None)
    await finish(writer, peer)


@in_loop
async def test_a_chunk_beyond_the_limit_stays(loop):
    reader, writer, peer = await streams(limit=10)
    peer.send(b"x" * 15 + b";rest")
    while len(reader._buffer) < 20:
        await settle()
    with pytest.raises(asyncio.LimitOverrunError) as caught:
        await reader.readuntil(b";")
    assert caught.value.consumed == 15
    assert await reader.readexactly(16) == b"x" * 15 + b";"
    assert await reader.readexactly(4) == b"rest"
    await finish(writer, peer)


@pytest.mark.skipif(not PY313, reason="asyncio has it from 3.13 on")
@in_loop
async def test_one_of_several_separators(loop):
    reader, writer, peer = await streams()
    peer.send(b"one\r\ntwo\nthree;")
    separators = (b"\n", b"\r\n", b";")
    assert await reader.readuntil(separators) == b"one\r\n"
    assert await reader.readuntil(separators) == b"two\n"
    assert await reader.readuntil(separators) == b"three;"
    await finish(writer, peer)


@in_loop
async def test_a_reader_over_a_pipe(loop):
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader(loop=loop)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader, loop=loop),
        os.fdopen(ours, "rb"),
    )
    os.write(theirs, b"line\n" + b"x" * 10_000)
    assert await reader.readline() == b"line\n"
    assert await reader.readexactly(10_000) == b"x" * 10_000
    os.close(theirs)
    assert await reader.read() == b""
    transport.close()
    await settle()
