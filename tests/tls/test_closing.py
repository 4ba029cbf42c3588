"""The end of a connection, from either side, polite or not."""

import asyncio
import contextlib
import gc
import logging
import ssl
import weakref

import pytest

from support.loops import collect_errors
from support.net import (
    Recorder, in_loop, is_borrowed, quiet, reset, settle, until,
)
from support.tls import server_context, tls_link, tls_pair


async def end_of(peer):
    """Wait until the peer's socket has reached its end."""
    while not peer.eof:
        try:
            if not peer.take():
                await asyncio.sleep(0.001)
        except ConnectionError:
            break


@in_loop
async def test_close_sends_what_was_written_and_close_notify(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        transport.write(b"x" * 100_000)
        transport.close()
        assert transport.is_closing()
        assert await peer.receive(100_000) == b"x" * 100_000
        await peer.unwrap()  # raises when there was no close_notify
        assert await protocol.lost is None
        assert protocol.calls == ["made", "eof", "lost"]


@in_loop
async def test_close_notify_of_the_peer_is_answered(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        peer.send(b"last words")
        await peer.unwrap()
        assert await protocol.lost is None
        assert protocol.data == b"last words"
        assert protocol.calls == ["made", "data", "eof", "lost"]


@in_loop
async def test_both_close_at_the_same_time(loop):
    async with tls_pair(loop) as (server, client):
        server.transport.close()
        client.transport.close()
        assert await server.lost is None
        assert await client.lost is None


@in_loop
async def test_an_end_without_close_notify_is_an_end(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        peer.send(b"data")
        peer.close()
        assert await protocol.lost is None
        assert protocol.data == b"data"
        assert protocol.calls == ["made", "data", "eof", "lost"]


@in_loop
async def test_a_reset_is_told(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        reset(peer.sock)
        assert type(await protocol.lost) is ConnectionResetError
        assert protocol.calls == ["made", "lost"]


@in_loop
async def test_a_peer_that_never_answers_close_notify_is_given_up(loop):
    async with tls_link(loop, ssl_shutdown_timeout=0.05) as (
        transport, protocol, peer,
    ):
        transport.close()
        error = await protocol.lost
        assert type(error) is TimeoutError
        assert str(error) == "SSL shutdown timed out"
        await end_of(peer)


@in_loop
async def test_data_after_close_is_not_waited_for(loop):
    """A peer that goes on sending does not keep the connection."""
    async with tls_link(loop, ssl_shutdown_timeout=5) as (
        transport, protocol, peer,
    ):
        transport.close()
        peer.send(b"more and more")
        error = await protocol.lost
        assert error is None or isinstance(error, ssl.SSLError)
        assert b"more" not in protocol.data


@in_loop
async def test_abort_ends_at_once(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        transport.abort()
        assert transport.is_closing()
        assert await protocol.lost is None
        assert protocol.calls == ["made", "lost"]
        await end_of(peer)


@in_loop
async def test_force_close_gives_its_reason(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        if is_borrowed(transport):
            return  # up to 3.12 it calls itself wrongly
        error = ZeroDivisionError("on purpose")
        transport._force_close(error)
        assert await protocol.lost is error


@in_loop
async def test_closing_twice_is_closing_once(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        transport.close()
        transport.close()
        await peer.unwrap()
        assert await protocol.lost is None
        transport.close()


@in_loop
async def test_writes_after_the_end_are_warned_about(loop, caplog):
    async with tls_link(loop) as (transport, protocol, peer):
        transport.abort()
        await protocol.lost
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(8):
                transport.write(b"too late")
            transport.writelines([b"much", b"too late"])
        assert {r.getMessage() for r in caplog.records} == {
            "SSL connection is closed"
        }
        assert len(caplog.records) == 5


@in_loop
async def test_keeping_open_is_not_possible(loop, caplog):
    class Keeps(Recorder):
        keep_open = True

    async with tls_link(loop, Keeps) as (transport, protocol, peer):
        with caplog.at_level(logging.WARNING, "asyncio"):
            await peer.unwrap()
            assert await protocol.lost is None
        assert [r.getMessage() for r in caplog.records] == [
            "returning true from eof_received() has no effect when using ssl"
        ]


@in_loop
async def test_an_exception_of_eof_received_is_reported(loop):
    class Bad(Recorder):
        def eof_received(self):
            raise ZeroDivisionError("on purpose")

    async with tls_link(loop, Bad) as (transport, protocol, peer):
        told = collect_errors(loop)
        with contextlib.suppress(ssl.SSLError, OSError):
            await peer.unwrap()
        assert type(await protocol.lost) is ZeroDivisionError
        assert [context["message"] for context in told] == [
            "Error calling eof_received()"
        ]


@in_loop
async def test_write_eof_is_not_possible(loop):
    async with tls_link(loop) as (transport, _, _):
        assert transport.can_write_eof() is False
        with pytest.raises(NotImplementedError):
            transport.write_eof()


@in_loop
async def test_the_answer_to_an_end_of_data_is_sent(loop):
    class Answers(Recorder):
        def eof_received(self):
            super().eof_received()
            self.transport.write(b"answer")

    async with tls_link(loop, Answers) as (transport, protocol, peer):
        with pytest.raises(ssl.SSLWantReadError):
            peer.object.unwrap()
        peer.flush()
        assert await peer.receive(6) == b"answer"
        assert await protocol.lost is None


@in_loop
async def test_close_in_data_received(loop):
    class Once(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"answer to " + data)
            self.transport.close()

    async with tls_link(loop, Once, server_side=True) as (_, protocol, peer):
        peer.send(b"question")
        assert await peer.receive(18) == b"answer to question"
        await peer.unwrap()
        assert await protocol.lost is None


@in_loop
async def test_abort_in_data_received(loop):
    class Once(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"lost or not")
            self.transport.abort()

    async with tls_link(loop, Once) as (_, protocol, peer):
        peer.send(b"question")
        assert await protocol.lost is None
        assert protocol.calls == ["made", "data", "lost"]


@in_loop
async def test_a_fatal_alert_is_the_error(loop):
    """The peer finds a record bad, and says so."""
    async with tls_link(loop) as (transport, protocol, peer):
        transport.write(b"x" * 100)
        await quiet()
        wire = bytearray(peer.sock.recv(10_000))
        wire[-1] ^= 1
        peer.incoming.write(wire)
        with pytest.raises(ssl.SSLError):
            peer.object.read(100)
        peer.flush()
        error = await protocol.lost
        assert isinstance(error, ssl.SSLError)
        assert error.reason == "SSLV3_ALERT_BAD_RECORD_MAC"
        assert error.library == "SSL"


@in_loop
async def test_the_info_of_a_lost_connection(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        transport.abort()
        await protocol.lost
        assert transport.get_extra_info("ssl_object") is not None
        assert transport.get_extra_info("cipher") is not None
        assert transport.get_extra_info("peername") is None
        assert transport.get_extra_info("nothing", 5) == 5
        assert transport.get_protocol() is None


@in_loop
async def test_the_ssl_object_outlives_the_connection(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        obj = transport.get_extra_info("ssl_object")
        transport.abort()
        await protocol.lost
    del transport
    gc.collect()
    assert obj.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLWantReadError):
        obj.read(1)
    obj.write(b"into the void")


@in_loop
async def test_a_dead_protocol_is_freed_without_the_collector(loop):
    gc.collect()
    gc.disable()
    try:
        async with tls_pair(loop) as (server, client):
            refs = [weakref.ref(server), weakref.ref(client)]
            server.transport.write(b"data")
            await until(lambda: client.data == b"data")
            client.transport.close()
            await client.lost
            await server.lost
        server.transport = client.transport = None
        del server, client
        await settle()
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


@in_loop
async def test_a_refused_connection_is_freed_without_the_collector(loop):
    context = ssl.create_default_context()
    server = await loop.create_server(
        asyncio.Protocol, "127.0.0.1", 0, ssl=server_context()
    )
    ref = weakref.ref(context)
    gc.collect()
    gc.disable()
    try:
        collect_errors(loop)
        try:
            await loop.create_connection(
                asyncio.Protocol, *server.sockets[0].getsockname(),
                ssl=context, server_hostname="localhost",
            )
        except ssl.SSLCertVerificationError:
            pass
        del context
        await quiet()
        # The frame of the coroutine is gone, and what it held with it.
        if not is_borrowed(loop):
            assert ref() is None
    finally:
        gc.enable()
        server.close()
        await server.wait_closed()


@in_loop
async def test_unwrap_by_the_user(loop):
    """The object is the live one: its unwrap says close_notify."""
    async with tls_link(loop) as (transport, protocol, peer):
        obj = transport.get_extra_info("ssl_object")
        with pytest.raises(ssl.SSLWantReadError):
            obj.unwrap()
        # It leaves with whatever is sent next.
        transport.close()
        await peer.unwrap()
        assert await protocol.lost is None
