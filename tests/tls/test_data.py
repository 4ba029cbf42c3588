"""What is written arrives, in whatever pieces, and nothing else does."""

import asyncio
import os
import ssl

import pytest

from support.net import (
    BufferedRecorder, Recorder, in_loop, quiet, settle, until,
)
from support.tls import (
    client_context, records, server_context, tls_link, tls_pair,
)

APPLICATION_DATA = 23
SIZES = [1, 1024, 16384, 16385, 65536, 300_000, 3_000_000]


def tls12(context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize("size", SIZES)
@in_loop
async def test_data_comes_whole_in_both_directions(loop, size):
    data = os.urandom(size)
    async with tls_pair(loop) as (server, client):
        client.transport.write(data)
        server.transport.write(data[::-1])
        await until(lambda: len(server.data) == len(client.data) == size)
        assert server.data == data
        assert client.data == data[::-1]


@in_loop
async def test_tls_1_2_works_too(loop):
    data = os.urandom(100_000)
    async with tls_pair(
        loop, server=tls12(server_context()), client=tls12(client_context())
    ) as (server, client):
        assert client.transport.get_extra_info("cipher")[1] == "TLSv1.2"
        client.transport.write(data)
        await until(lambda: len(server.data) == len(data))
        assert server.data == data


@in_loop
async def test_many_small_writes_come_in_order(loop):
    pieces = [os.urandom(n % 700) for n in range(2000)]
    async with tls_pair(loop) as (server, client):
        for number, piece in enumerate(pieces):
            client.transport.write(piece)
            if number % 300 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(server.data) == sum(map(len, pieces)))
        assert server.data == b"".join(pieces)


@pytest.mark.native_only(reason="asyncio makes a record of each write")
@in_loop
async def test_small_writes_of_one_callback_share_a_record(loop):
    async with tls_link(loop, server_side=True) as (transport, _, peer):
        await peer.do(lambda: None)
        await quiet()
        peer.take()
        del peer.wire[:]
        for _ in range(10):
            transport.write(b"x" * 100)
        assert await peer.receive(1000) == b"x" * 1000
        assert [kind for kind, _ in records(peer.wire)] == [APPLICATION_DATA]


@in_loop
async def test_writelines_sends_all_pieces(loop):
    async with tls_pair(loop) as (server, client):
        client.transport.writelines(
            [b"one", bytearray(b"two"), memoryview(b"three"), b""]
        )
        client.transport.writelines(iter([b"four"]))
        await until(lambda: len(server.data) == 15)
        assert server.data == b"onetwothreefour"


@in_loop
async def test_a_buffer_may_change_after_it_was_written(loop):
    async with tls_pair(loop) as (server, client):
        buffer = bytearray(b"before")
        client.transport.write(buffer)
        # asyncio keeps no reference: it has encrypted the bytes.
        buffer[:] = b"after!"
        client.transport.write(memoryview(buffer))
        await until(lambda: len(server.data) == 12)
        assert server.data == b"beforeafter!"


@pytest.mark.parametrize("data", ["text", 1, None, [b"x"]])
@in_loop
async def test_only_bytes_can_be_written(loop, data):
    async with tls_pair(loop) as (_, client):
        with pytest.raises(
            TypeError, match="data: expecting a bytes-like instance, got "
        ):
            client.transport.write(data)


@in_loop
async def test_nothing_is_written_for_no_data(loop):
    async with tls_link(loop) as (transport, _, peer):
        del peer.wire[:]
        for data in (b"", bytearray(), memoryview(b"")):
            transport.write(data)
        await quiet()
        assert not peer.take()


class Buffered(BufferedRecorder):
    """With a view, as asyncio needs it: it would fill a copy of a slice."""

    def get_buffer(self, hint):
        return memoryview(super().get_buffer(hint))


@pytest.mark.parametrize("size", [10, 1000, 100_000])
@in_loop
async def test_a_buffered_protocol_gets_data_in_its_own_memory(
    loop, size, monkeypatch
):
    monkeypatch.setattr(Buffered, "size", size)
    data = os.urandom(250_000)
    async with tls_pair(loop, Buffered) as (server, client):
        client.transport.write(data)
        await until(lambda: len(server.data) == len(data))
        assert server.data == data
        assert all(hint >= 0 for hint in server.hints)


@pytest.mark.native_only(reason="asyncio fills a copy of its second half")
@in_loop
async def test_a_buffer_need_not_be_a_view(loop):
    data = os.urandom(100_000)
    async with tls_pair(loop, BufferedRecorder) as (server, client):
        client.transport.write(data)
        await until(lambda: len(server.data) == len(data))
        assert server.data == data


@pytest.mark.native_only(reason="asyncio takes it for the end of the data")
@in_loop
async def test_an_empty_buffer_is_an_error(loop):
    async with tls_link(loop, Buffered) as (_, protocol, peer):
        protocol.buffer = bytearray()
        told = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        peer.send(b"data")
        assert type(await protocol.lost) is RuntimeError
        assert len(told) == 1


@in_loop
async def test_an_echo_out_of_a_buffered_protocol(loop):
    class Echo(Buffered):
        def buffer_updated(self, count):
            self.transport.write(memoryview(self.buffer)[:count])

    data = os.urandom(200_000)
    async with tls_pair(loop, Echo) as (_, client):
        client.transport.write(data)
        await until(lambda: len(client.data) == len(data))
        assert client.data == data


@in_loop
async def test_what_is_written_during_the_handshake_is_sent_after_it(loop):
    class Eager(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"first")
            transport.write(b"second")

    async with tls_pair(loop, Eager, Eager) as (server, client):
        await until(lambda: len(server.data) == len(client.data) == 11)
        assert server.data == client.data == b"firstsecond"
        assert server.calls == client.calls == ["made", "data"]


@in_loop
async def test_the_protocol_may_be_changed(loop):
    async with tls_pair(loop) as (server, client):
        other = Recorder(loop)
        assert server.transport.get_protocol() is server
        server.transport.set_protocol(other)
        assert server.transport.get_protocol() is other
        client.transport.write(b"data")
        await until(lambda: other.data == b"data")
        assert other.calls == ["data"]
        server.transport.set_protocol(server)


@in_loop
async def test_data_that_arrives_with_the_handshake_is_not_lost(loop):
    """The client's last message and its first data in one packet."""
    async with tls_link(loop, server_side=True) as (transport, protocol, peer):
        peer.send(b"at once")
        await until(lambda: protocol.data == b"at once")


@in_loop
async def test_bytes_that_come_one_by_one(loop):
    async with tls_link(loop, server_side=True) as (transport, protocol, peer):
        peer.object.write(b"drop by drop")
        for byte in peer.outgoing.read():
            peer.sock.send(bytes([byte]))
            await asyncio.sleep(0)
        await until(lambda: protocol.data == b"drop by drop")


@in_loop
async def test_several_records_in_one_packet_are_one_delivery(loop):
    class Pieces(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.pieces = [*getattr(self, "pieces", ()), bytes(data)]

    async with tls_link(loop, Pieces, server_side=True) as (_, protocol, peer):
        for piece in (b"one", b"two", b"three"):
            peer.object.write(piece)
        peer.flush()
        await until(lambda: len(protocol.data) == 11)
        assert protocol.pieces == [b"onetwothree"]


@in_loop
async def test_an_exception_of_data_received_ends_the_connection(loop):
    class Bad(Recorder):
        def data_received(self, data):
            raise ZeroDivisionError("on purpose")

    async with tls_link(loop, Bad) as (transport, protocol, peer):
        told = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        peer.send(b"data")
        assert type(await protocol.lost) is ZeroDivisionError
        assert [context["message"] for context in told] == [
            "Fatal error on SSL protocol"
        ]
        assert transport.is_closing()
    await settle()
