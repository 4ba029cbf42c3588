"""Backpressure in both directions."""

import asyncio
import os

import pytest

from support.net import Recorder, in_loop, quiet, settle, small_buffers, until
from support.tls import tls_link

BIG = 2_000_000


@in_loop
async def test_writing_pauses_when_the_peer_does_not_read(loop):
    async with tls_link(loop, family="unix") as (transport, protocol, peer):
        small_buffers(peer.sock)
        data = os.urandom(BIG)
        # asyncio gives all of the first write to the socket's transport.
        for start in range(0, BIG, BIG // 4):
            transport.write(data[start:start + BIG // 4])
        assert transport.get_write_buffer_size() > 0
        await until(lambda: protocol.calls == ["made", "pause"])
        assert await peer.receive(BIG) == data
        await until(lambda: protocol.calls == ["made", "pause", "resume"])
        assert transport.get_write_buffer_size() == 0


@in_loop
async def test_limits_are_as_asked(loop):
    async with tls_link(loop) as (transport, _, _):
        assert transport.get_write_buffer_limits() == (128 << 10, 512 << 10)
        assert transport.get_read_buffer_limits() == (64 << 10, 256 << 10)
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        transport.set_write_buffer_limits(low=100)
        assert transport.get_write_buffer_limits() == (100, 400)
        transport.set_read_buffer_limits(high=100, low=10)
        assert transport.get_read_buffer_limits() == (10, 100)
        for method in (
            transport.set_write_buffer_limits,
            transport.set_read_buffer_limits,
        ):
            with pytest.raises(
                ValueError,
                match=r"^high \(1\) must be >= low \(2\) must be >= 0$",
            ):
                method(1, 2)


@in_loop
async def test_no_data_is_delivered_while_reading_is_paused(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        assert transport.is_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        peer.send(b"held back")
        await quiet()
        assert protocol.data == b""
        transport.resume_reading()
        await until(lambda: protocol.data == b"held back")


@in_loop
async def test_pausing_and_resuming_at_once_delivers_in_order(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        for number in range(50):
            transport.pause_reading()
            peer.send(b"%03d" % number)
            await asyncio.sleep(0)
            transport.resume_reading()
            transport.pause_reading()
            transport.resume_reading()
        await until(lambda: len(protocol.data) == 150)
        assert protocol.data == b"".join(b"%03d" % n for n in range(50))


@in_loop
async def test_a_paused_reader_stops_the_peer(loop):
    """What waits to be decrypted is bounded."""
    async with tls_link(loop, family="unix") as (transport, protocol, peer):
        transport.pause_reading()
        sent = 0
        for _ in range(400):
            peer.object.write(bytes(16384))
            data = peer.outgoing.read()
            while data:
                try:
                    count = peer.sock.send(data)
                except BlockingIOError:
                    break
                sent += count
                data = data[count:]
                await asyncio.sleep(0)
            if data:
                break
        await settle()
        assert sent < 2_000_000
        assert transport.get_read_buffer_size() <= 600_000
        transport.resume_reading()
        while data:
            try:
                data = data[peer.sock.send(data):]
            except BlockingIOError:
                await asyncio.sleep(0.001)
        await until(lambda: len(protocol.data) >= sent * 0.9)


@in_loop
async def test_pause_in_data_received_holds_the_next_data(loop):
    class Stops(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async with tls_link(loop, Stops) as (transport, protocol, peer):
        peer.send(b"one")
        await until(lambda: protocol.data == b"one")
        peer.send(b"two")
        await quiet()
        assert protocol.data == b"one"
        transport.resume_reading()
        await until(lambda: protocol.data == b"onetwo")


@in_loop
async def test_the_end_waits_until_reading_is_resumed(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        transport.pause_reading()
        peer.send(b"the rest")
        peer.close()
        await quiet()
        assert protocol.calls == ["made"]
        transport.resume_reading()
        assert await protocol.lost is None
        assert protocol.data == b"the rest"


@in_loop
async def test_a_pause_in_connection_made_does_not_stop_the_handshake(loop):
    class Stops(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()
            # asyncio sends its last message with the next write.
            transport.write(b"hello")

    async with tls_link(loop, Stops) as (transport, protocol, peer):
        assert await peer.receive(5) == b"hello"
        peer.send(b"data")
        await quiet()
        assert protocol.data == b""
        transport.resume_reading()
        await until(lambda: protocol.data == b"data")


@in_loop
async def test_close_waits_for_a_slow_reader(loop):
    async with tls_link(loop, family="unix") as (transport, protocol, peer):
        small_buffers(peer.sock)
        data = os.urandom(BIG)
        transport.write(data)
        transport.close()
        await quiet()
        assert not protocol.lost.done()
        assert await peer.receive(BIG) == data
        await peer.unwrap()
        assert await protocol.lost is None


@in_loop
async def test_a_peer_that_does_not_read_is_given_up_at_the_shutdown(loop):
    async with tls_link(
        loop, family="unix", ssl_shutdown_timeout=0.05
    ) as (transport, protocol, peer):
        small_buffers(peer.sock)
        transport.write(bytes(BIG))
        transport.close()
        assert type(await protocol.lost) is TimeoutError


@in_loop
async def test_an_exception_of_pause_writing_is_reported(loop):
    class Bad(Recorder):
        def pause_writing(self):
            raise ZeroDivisionError("on purpose")

    async with tls_link(loop, Bad, family="unix") as (transport, _, peer):
        told = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        small_buffers(peer.sock)
        for _ in range(4):
            transport.write(bytes(BIG // 4))
        assert [context["message"] for context in told] == [
            "protocol.pause_writing() failed"
        ]
        assert told[0]["transport"] is transport
        assert not transport.is_closing()


@pytest.mark.native_only(reason="asyncio pauses, and resumes at some later write")
@in_loop
async def test_no_pause_with_nothing_to_send(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        transport.set_write_buffer_limits(high=0)
        transport.write(b"data")
        assert await peer.receive(4) == b"data"
        assert protocol.calls == ["made"]
