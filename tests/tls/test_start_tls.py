"""From plain text to TLS on a connection, and TLS within TLS."""

import asyncio
import os
import socket
import ssl

import pytest

from support.loops import collect_errors
from support.net import (
    BufferedRecorder, Recorder, in_loop, is_borrowed, pair, quiet, settle,
    until,
)
from support.tls import (
    NAME, Peer, client_context, server_context, tls_pair,
)


async def plain_pair(loop, one_factory=Recorder, two_factory=Recorder):
    one, two = pair()
    return (
        await loop.create_connection(lambda: one_factory(loop), sock=one),
        await loop.create_connection(lambda: two_factory(loop), sock=two),
    )


async def raise_both(loop, client, server, **options):
    (plain, first), (other, second) = client, server
    return await asyncio.gather(
        loop.start_tls(
            plain, first, client_context(), server_hostname=NAME, **options
        ),
        loop.start_tls(
            other, second, server_context(), server_side=True, **options
        ),
    )


async def close(*protocols):
    for protocol in protocols:
        protocol.transport.abort()
    for protocol in protocols:
        await protocol.lost
    await settle()


@in_loop
async def test_start_tls_of_a_transport_that_is_closed_gives_none(loop):
    """aiohttp takes it for a proxy that has gone away."""
    (transport, first), (_, second) = await plain_pair(loop)
    transport.close()
    assert await loop.start_tls(
        transport, first, client_context(), server_hostname=NAME
    ) is None
    await second.lost
    await settle()


@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
@in_loop
async def test_data_flows_after_start_tls(loop, factory):
    client, server = await plain_pair(loop, factory, factory)
    first, second = client[1], server[1]
    up, down = await raise_both(loop, client, server)
    first.transport, second.transport = up, down
    # Small, since asyncio fills only the first part of a plain buffer.
    up.write(b"question")
    await until(lambda: second.data == b"question")
    down.write(b"answer")
    await until(lambda: first.data == b"answer")
    assert first.calls == second.calls == ["made", "data"]
    await close(first, second)
    assert first.calls[-1] == second.calls[-1] == "lost"


@in_loop
async def test_tls_within_tls(loop):
    """As a client does through a proxy that is reached by TLS."""
    async with tls_pair(loop) as (server, client):
        inner_client, inner_server = Recorder(loop), Recorder(loop)
        up, down = await asyncio.gather(
            loop.start_tls(
                client.transport, inner_client, client_context(),
                server_hostname=NAME,
            ),
            loop.start_tls(
                server.transport, inner_server, server_context(),
                server_side=True,
            ),
        )
        data = os.urandom(700_000)
        up.write(data)
        down.write(data[::-1])
        await until(
            lambda: len(inner_server.data) == len(inner_client.data)
            == len(data)
        )
        assert inner_server.data == data
        assert inner_client.data == data[::-1]
        assert up.get_extra_info("ssl_object") is not (
            client.transport.get_extra_info("ssl_object")
        )
        assert up.get_extra_info("peername")
        up.close()
        assert await inner_client.lost is None
        assert await inner_server.lost is None
        client.lost.set_result(None)
        server.lost.set_result(None)


@in_loop
async def test_what_a_stream_has_read_already_is_part_of_tls(loop):
    """A client that sends its first message right behind the request."""
    one, two = pair()
    upgraded = loop.create_future()

    async def serve(reader, writer):
        line = await reader.readuntil(b"\n")
        assert line == b"STARTTLS\n"
        if reader._buffer and is_borrowed(loop):
            # The move came with a patch release of 3.14.
            upgraded.cancel()
            writer.close()
            return
        await writer.start_tls(server_context())
        writer.write((await reader.readline()).upper())
        await writer.drain()
        upgraded.set_result(None)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    two.close()
    one.close()
    sock = socket.create_connection(server.sockets[0].getsockname())
    sock.setblocking(False)
    peer = Peer(sock, client_context())
    with pytest.raises(ssl.SSLWantReadError):
        peer.object.do_handshake()
    sock.send(b"STARTTLS\n" + peer.outgoing.read())
    try:
        await peer.handshake()
        peer.send(b"line\n")
        assert await peer.receive(5) == b"LINE\n"
        await upgraded
        await peer.unwrap()
    except (ssl.SSLError, ConnectionError):
        assert upgraded.cancelled()
    peer.close()
    await quiet()
    server.close()
    await server.wait_closed()


@in_loop
async def test_a_failed_start_tls_closes_the_connection(loop):
    (plain, first), (other, second) = await plain_pair(loop)
    task = asyncio.ensure_future(
        loop.start_tls(plain, first, client_context(), server_hostname=NAME)
    )
    await quiet()
    other.write(b"no TLS here")
    with pytest.raises(ssl.SSLError) as caught:
        await task
    assert caught.value.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
    await second.lost
    # It was told of the connection before TLS began, and so of its end.
    assert first.calls in (["made", "lost"], ["made"])
    await settle()


@in_loop
async def test_start_tls_may_take_too_long(loop):
    (plain, first), (other, second) = await plain_pair(loop)
    with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking"):
        await loop.start_tls(
            plain, first, client_context(), server_hostname=NAME,
            ssl_handshake_timeout=0.05,
        )
    await second.lost
    await settle()


@in_loop
async def test_a_cancelled_start_tls_closes_the_connection(loop):
    (plain, first), (other, second) = await plain_pair(loop)
    task = asyncio.ensure_future(
        loop.start_tls(plain, first, client_context(), server_hostname=NAME)
    )
    await quiet()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await second.lost
    await settle()


@in_loop
async def test_asyncios_own_protocol_may_be_put_on_a_transport(loop):
    """As aiosmtpd does."""
    from asyncio import sslproto

    (plain, first), (other, second) = await plain_pair(loop)
    waiter = loop.create_future()
    by_hand = sslproto.SSLProtocol(
        loop, second, server_context(), waiter, True,
        call_connection_made=False,
    )
    other.set_protocol(by_hand)
    by_hand.connection_made(other)
    up = await loop.start_tls(
        plain, first, client_context(), server_hostname=NAME
    )
    await waiter
    up.write(b"question")
    await until(lambda: second.data == b"question")
    raised = by_hand._app_transport
    raised.write(b"answer")
    await until(lambda: first.data == b"answer")
    first.transport = up
    raised.abort()
    await close(first)
    await second.lost


@in_loop
async def test_over_a_transport_of_the_programs(loop):
    """Any transport that says it can carry TLS; it has only methods."""

    class Wire(asyncio.Transport):
        _start_tls_compatible = True

        def __init__(self):
            super().__init__()
            self.other = None
            self.protocol = None
            self.closing = False

        def set_protocol(self, protocol):
            self.protocol = protocol

        def get_protocol(self):
            return self.protocol

        def pause_reading(self):
            pass

        def resume_reading(self):
            pass

        def is_closing(self):
            return self.closing

        def write(self, data):
            loop.call_soon(self.other.deliver, bytes(data))

        def deliver(self, data):
            if self.closing:
                return
            if isinstance(self.protocol, asyncio.BufferedProtocol):
                while data:
                    buffer = self.protocol.get_buffer(len(data))
                    count = min(len(data), len(buffer))
                    buffer[:count] = data[:count]
                    self.protocol.buffer_updated(count)
                    data = data[count:]
            else:
                self.protocol.data_received(data)

        def _force_close(self, error):
            if not self.closing:
                self.closing = True
                loop.call_soon(self.protocol.connection_lost, error)

        def close(self):
            self._force_close(None)

        abort = close

    one, two = Wire(), Wire()
    one.other, two.other = two, one
    client, server = Recorder(loop), Recorder(loop)
    up, down = await asyncio.gather(
        loop.start_tls(one, client, client_context(), server_hostname=NAME),
        loop.start_tls(two, server, server_context(), server_side=True),
    )
    data = os.urandom(100_000)
    up.write(data)
    await until(lambda: len(server.data) == len(data))
    assert server.data == data
    assert not up.is_closing()
    down.close()
    assert await client.lost is None
    assert await server.lost is None
    await settle()
    assert up.is_closing() and down.is_closing()


@in_loop
async def test_sendfile_over_tls_reads_and_writes(loop, tmp_path):
    path = tmp_path / "file"
    data = os.urandom(500_000)
    path.write_bytes(data)
    async with tls_pair(loop) as (server, client):
        with path.open("rb") as file:
            count = await loop.sendfile(client.transport, file, 1000)
            assert count == len(data) - 1000
            await until(lambda: len(server.data) == count)
            assert server.data == data[1000:]
            with pytest.raises(RuntimeError, match="fallback is disabled"):
                await loop.sendfile(client.transport, file, fallback=False)


@pytest.mark.parametrize("bad", [None, "context", object()])
@in_loop
async def test_start_tls_wants_a_context(loop, bad):
    (plain, first), (other, second) = await plain_pair(loop)
    with pytest.raises(
        TypeError,
        match="sslcontext is expected to be an instance of ssl.SSLContext",
    ):
        await loop.start_tls(plain, first, bad)
    await close(first, second)
    assert collect_errors(loop) == []
