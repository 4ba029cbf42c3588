"""BufferedProtocol: data lands in memory that the protocol gives."""

import array
import asyncio
import hashlib
import os

import pytest

from support.loops import collect_errors
from support.net import (
    FAMILIES, BufferedRecorder, Recorder, in_loop, link, pair, receive,
    reset, settle, until,
)

families = pytest.mark.parametrize("family", FAMILIES)


@families
@in_loop
async def test_data_lands_in_the_protocols_memory(loop, family):
    async with link(loop, BufferedRecorder, family) as (
        transport, protocol, peer
    ):
        assert isinstance(protocol, asyncio.BufferedProtocol)
        peer.send(b"hello")
        await until(lambda: protocol.data == b"hello")
        assert protocol.buffer[:5] == b"hello"
        assert not any(protocol.buffer[5:])
        peer.close()
        await protocol.lost
        assert protocol.calls == ["made", "data", "eof", "lost"]


@in_loop
async def test_the_hint_says_that_any_size_will_do(loop):
    async with link(loop, BufferedRecorder) as (transport, protocol, peer):
        peer.send(b"x")
        await until(lambda: bool(protocol.data))
        assert set(protocol.hints) == {-1}


@families
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
@in_loop
async def test_data_larger_than_the_memory_comes_in_parts(
    loop, family, size
):
    class Sized(BufferedRecorder):
        pass

    Sized.size = size
    async with link(loop, Sized, family) as (transport, protocol, peer):
        counts = []
        updated = protocol.buffer_updated
        protocol.buffer_updated = lambda n: (counts.append(n), updated(n))
        transport.set_protocol(protocol)
        sent = os.urandom(20_000)
        peer.send(sent)
        await until(lambda: len(protocol.data) == len(sent))
        assert protocol.data == sent
        assert 0 < max(counts) <= size


MEMORY = {
    "bytearray": lambda: bytearray(100),
    "memoryview": lambda: memoryview(bytearray(200))[50:150],
    "array": lambda: array.array("B", bytes(100)),
    "array of ints": lambda: array.array("i", [0] * 25),
}


@pytest.mark.parametrize("memory", MEMORY)
@in_loop
async def test_any_writable_memory_will_do(loop, memory):
    class Memory(BufferedRecorder):
        def get_buffer(self, hint):
            self.memory = MEMORY[memory]()
            return self.memory

        def buffer_updated(self, count):
            self.data += memoryview(self.memory).cast("B")[:count]

    async with link(loop, Memory) as (transport, protocol, peer):
        sent = os.urandom(1000)
        peer.send(sent)
        await until(lambda: len(protocol.data) == 1000)
        assert protocol.data == sent


@in_loop
async def test_the_memory_is_free_again_after_each_call(loop):
    class Growing(BufferedRecorder):
        def buffer_updated(self, count):
            super().buffer_updated(count)
            # Fails while somebody still holds a view of it.
            self.buffer.extend(bytes(10))

    async with link(loop, Growing) as (transport, protocol, peer):
        for turn in range(5):
            peer.send(b"x" * 100)
            await until(lambda: len(protocol.data) == 100 * (turn + 1))
        assert len(protocol.buffer) >= 1050


@in_loop
async def test_the_memory_is_free_again_after_the_end(loop):
    async with link(loop, BufferedRecorder) as (transport, protocol, peer):
        peer.close()
        await protocol.lost
        protocol.buffer.clear()
        assert protocol.buffer == b""


BAD = {
    "empty bytearray": (
        lambda: bytearray(), RuntimeError,
        "get_buffer() returned an empty buffer",
    ),
    "empty view": (
        lambda: memoryview(bytearray()), RuntimeError,
        "get_buffer() returned an empty buffer",
    ),
    "None": (lambda: None, TypeError, "has no len()"),
    "number": (lambda: 1000, TypeError, "has no len()"),
}


@families
@pytest.mark.parametrize("bad", BAD)
@in_loop
async def test_memory_of_no_use_ends_the_connection(loop, family, bad):
    make, kind, text = BAD[bad]

    class Wrong(BufferedRecorder):
        def get_buffer(self, hint):
            return make()

    async with link(loop, Wrong, family) as (transport, protocol, peer):
        errors = collect_errors(loop)
        peer.send(b"x")
        error = await protocol.lost
        assert type(error) is kind and text in str(error)
        [context] = errors
        assert context == {
            "message": "Fatal error: protocol.get_buffer() call failed.",
            "exception": error, "transport": transport, "protocol": protocol,
        }


READ_ONLY = {
    "bytes": bytes(100), "read-only view": memoryview(bytes(100)),
    "text": "text", "list": [0] * 100,
    "view with gaps": memoryview(bytearray(100))[::2],
}


@pytest.mark.parametrize("bad", READ_ONLY)
@in_loop
async def test_memory_that_cannot_be_written_ends_the_connection(loop, bad):
    class Wrong(BufferedRecorder):
        def get_buffer(self, hint):
            return READ_ONLY[bad]

    async with link(loop, Wrong) as (transport, protocol, peer):
        errors = collect_errors(loop)
        peer.send(b"x")
        error = await protocol.lost
        assert isinstance(error, (TypeError, BufferError))
        [context] = errors
        assert context["message"] == "Fatal read error on socket transport"
        assert context["exception"] is error


@in_loop
async def test_the_end_and_a_reset_come_as_to_any_protocol(loop):
    class Stay(BufferedRecorder):
        keep_open = True

    async with link(loop, Stay) as (transport, protocol, peer):
        peer.shutdown(1)
        await until(lambda: "eof" in protocol.calls)
        transport.write(b"still here")
        assert await receive(peer, 10) == b"still here"
    async with link(loop, BufferedRecorder) as (transport, protocol, peer):
        reset(peer)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.calls == ["made", "lost"]


@in_loop
async def test_pause_and_resume_hold_the_memory_back(loop):
    async with link(loop, BufferedRecorder) as (transport, protocol, peer):
        transport.pause_reading()
        await settle()
        protocol.hints.clear()
        peer.send(b"later")
        await asyncio.sleep(0.02)
        assert protocol.hints == [] and protocol.data == b""
        transport.resume_reading()
        await until(lambda: protocol.data == b"later")


@in_loop
async def test_a_close_in_get_buffer_is_survived(loop):
    class Leaves(BufferedRecorder):
        def get_buffer(self, hint):
            self.transport.abort()
            return super().get_buffer(hint)

    async with link(loop, Leaves) as (transport, protocol, peer):
        peer.send(b"x")
        await protocol.lost
        await settle()
        assert protocol.calls[-1] == "lost"


@in_loop
async def test_another_protocol_set_in_get_buffer_is_survived(loop):
    second = Recorder(loop)

    class Hands(BufferedRecorder):
        def get_buffer(self, hint):
            memory = super().get_buffer(hint)
            if len(self.hints) == 1:
                self.transport.set_protocol(second)
            return memory

        def buffer_updated(self, count):
            raise AssertionError("not the protocol any more")

    async with link(loop, Hands) as (transport, protocol, peer):
        errors = collect_errors(loop)
        peer.send(b"x")
        # asyncio calls buffer_updated of a protocol that has none, which
        # ends the connection; to end it is right, to crash is not.
        await until(lambda: bool(second.data) or second.lost.done())
        assert len(errors) <= 1


@families
@in_loop
async def test_much_data_arrives_whole(loop, family):
    class Hashing(BufferedRecorder):
        size = 60_013
        count = 0

        def connection_made(self, transport):
            super().connection_made(transport)
            self.digest = hashlib.sha1()

        def buffer_updated(self, count):
            self.digest.update(memoryview(self.buffer)[:count])
            self.count += count

    one, two = pair(family)
    _, receiver = await loop.create_connection(
        lambda: Hashing(loop), sock=one
    )
    transport, sender = await loop.create_connection(
        lambda: Recorder(loop), sock=two
    )
    sent = os.urandom(1 << 20) * 16
    transport.write(sent)
    transport.close()
    assert await receiver.lost is None
    assert receiver.count == len(sent)
    assert receiver.digest.hexdigest() == hashlib.sha1(sent).hexdigest()
    await sender.lost
