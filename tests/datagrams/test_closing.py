"""How datagram transports end: closed, aborted, dropped, or robbed."""

import asyncio
import contextvars
import errno
import gc
import logging
import os
import warnings
import weakref

import pytest

from support.dgram import (
    LOCAL, Recorder, endpoint, nothing_waits, receive, udp,
)
from support.loops import collect_errors
from support.net import in_loop, is_borrowed, is_open, quiet, settle, until

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


@pytest.mark.needs_is_reading
@in_loop
async def test_close_reports_the_loss_later(loop):
    async with endpoint(loop) as (transport, protocol):
        assert not transport.is_closing()
        assert transport.close() is None
        assert transport.is_closing() and not transport.is_reading()
        assert protocol.calls == ["made"]
        assert transport.close() is None
        assert await protocol.lost is None
        await settle()
        transport.close()
        transport.abort()
        await settle()
        assert protocol.calls == ["made", "lost"]
        assert transport.get_protocol() is None


@in_loop
async def test_close_sends_what_the_callback_has_sent(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            for i in range(100):
                transport.sendto(b"%d" % i, peer.getsockname())
            transport.close()
            assert await receive(peer, 100) == [b"%d" % i for i in range(100)]
            assert await protocol.lost is None


@in_loop
async def test_abort_does_not_take_back_what_was_sent(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            transport.sendto(b"bye", peer.getsockname())
            transport.abort()
            assert await protocol.lost is None
            assert await receive(peer, 1) == [b"bye"]


@in_loop
async def test_nothing_is_delivered_after_close(loop):
    class Close(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            if len(self.received) == 3:
                getattr(self.transport, how)()

    for how in ("close", "abort"):
        async with endpoint(loop, Close) as (transport, protocol):
            with udp() as peer:
                for i in range(10):
                    peer.sendto(
                        b"%d" % i, transport.get_extra_info("sockname")
                    )
                assert await protocol.lost is None
                await settle()
                assert protocol.data == [b"0", b"1", b"2"]
                assert protocol.calls[-1] == "lost"


@in_loop
async def test_what_comes_after_close_is_not_delivered(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            peer.sendto(b"too late", transport.get_extra_info("sockname"))
            transport.close()
            await protocol.lost
            await settle()
            assert protocol.calls == ["made", "lost"]


@in_loop
async def test_connection_made_may_send_and_close(loop):
    class Short(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.sendto(b"short", peer.getsockname())
            transport.close()

    with udp() as peer:
        async with endpoint(loop, Short) as (transport, protocol):
            assert await receive(peer, 1) == [b"short"]
            await protocol.lost
            assert protocol.calls == ["made", "lost"]


@in_loop
async def test_late_datagrams_are_dropped_and_warned_about(loop, caplog):
    with udp() as peer:
        async with endpoint(
            loop, remote_addr=peer.getsockname()
        ) as (transport, protocol):
            transport.close()
            with caplog.at_level(logging.WARNING, "asyncio"):
                for _ in range(4):
                    transport.sendto(b"late")
                assert caplog.messages == []
                transport.sendto(b"late")
                transport.sendto(b"late")
                assert caplog.messages == (
                    ["socket.send() raised exception."] * 2
                )
            with pytest.raises(TypeError):
                transport.sendto("text")
            await protocol.lost
            await settle()
            assert nothing_waits(peer)


@in_loop
async def test_without_one_address_close_and_sendto_still_sends(loop):
    """As in asyncio, until connection_lost."""
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            transport.close()
            transport.sendto(b"late", peer.getsockname())
            assert await receive(peer, 1) == [b"late"]
            assert await protocol.lost is None
            assert protocol.calls == ["made", "lost"]


@pytest.mark.native_only(reason="asyncio raises an AttributeError there")
@in_loop
async def test_sendto_after_the_loss_does_not_raise(loop, caplog):
    async with endpoint(loop) as (transport, protocol):
        transport.close()
        await protocol.lost
        await settle()
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(10):
                transport.sendto(b"x", ("127.0.0.1", 9))
        assert set(caplog.messages) == {"socket.send() raised exception."}


@pytest.mark.needs_is_reading
@in_loop
async def test_methods_after_the_end_do_no_harm(loop):
    async with endpoint(loop) as (transport, protocol):
        transport.close()
        await protocol.lost
        await settle()
        transport.pause_reading()
        transport.resume_reading()
        assert transport.get_write_buffer_size() == 0
        assert transport.is_closing() and not transport.is_reading()
        assert "closed" in repr(transport)


@in_loop
async def test_the_protocol_is_let_go_with_the_loss(loop):
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Recorder(loop), local_addr=LOCAL
    )
    ref = weakref.ref(protocol)
    transport.close()
    await protocol.lost
    await settle()
    protocol.transport = None
    del protocol
    gc.collect()
    assert ref() is None
    assert transport.get_protocol() is None


@pytest.mark.needs_is_reading
def test_a_transport_that_is_dropped_warns(loop):
    transport, protocol = loop.run_until_complete(
        loop.create_datagram_endpoint(
            lambda: Recorder(loop), local_addr=LOCAL
        )
    )
    transport.pause_reading()
    fd = transport.get_extra_info("socket").fileno()
    ref = weakref.ref(transport)
    protocol.transport = None
    with pytest.warns(ResourceWarning, match="unclosed transport <"):
        del transport
        gc.collect()
    assert ref() is None
    assert not is_open(fd)


def test_a_loop_may_close_first(loop):
    transport, protocol = loop.run_until_complete(
        loop.create_datagram_endpoint(
            lambda: Recorder(loop), local_addr=LOCAL
        )
    )
    with udp() as peer:
        peer.sendto(b"x", transport.get_extra_info("sockname"))
        loop.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            assert "fd=" in repr(transport)
            protocol.transport = None
            del transport
            gc.collect()
    assert protocol.calls == ["made"]


@pytest.mark.native_only(
    reason="asyncio tells error_received for ever, or hears nothing more"
)
@pytest.mark.parametrize("how", ["send", "send many", "resume"])
@in_loop
async def test_a_descriptor_that_somebody_closed_ends_the_transport(loop, how):
    async with endpoint(loop) as (transport, protocol):
        transport.pause_reading()
        os.close(transport.get_extra_info("socket").fileno())
        if how == "resume":
            transport.resume_reading()
        for _ in range(1 if how == "send" else 0 if how == "resume" else 9):
            transport.sendto(b"x", ("127.0.0.1", 9))
        error = await protocol.lost
        assert isinstance(error, OSError) and error.errno == errno.EBADF
        assert protocol.calls == ["made", "lost"]


@in_loop
async def test_callbacks_have_the_context_of_the_creation(loop):
    class Look(Recorder):
        def note(self):
            self.seen = [*getattr(self, "seen", []), VARIABLE.get(None)]

        def connection_made(self, transport):
            super().connection_made(transport)
            self.note()

        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            self.note()

        def connection_lost(self, error):
            self.note()
            super().connection_lost(error)

    VARIABLE.set("creator")
    async with endpoint(loop, Look) as (transport, protocol):
        VARIABLE.set("later")
        with udp() as peer:
            for _ in range(3):
                peer.sendto(b"x", transport.get_extra_info("sockname"))
            await until(lambda: len(protocol.received) == 3)
        assert protocol.seen == ["creator"] * 4
        # close() queues the call with the context of its caller in asyncio.
        transport.close()
        await protocol.lost


@in_loop
async def test_errors_in_an_exception_handler_of_a_receiver(loop):
    """The handler itself fails; the loop logs it and the transport lives."""
    class Raise(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            raise ZeroDivisionError

    async with endpoint(loop, Raise) as (transport, protocol):
        seen = []

        def handler(loop, context):
            seen.append(context)
            if len(seen) == 1:
                raise LookupError

        logger = logging.getLogger("asyncio")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        loop.set_exception_handler(handler)
        try:
            with udp() as peer:
                for _ in range(2):
                    peer.sendto(b"x", transport.get_extra_info("sockname"))
                await until(lambda: len(protocol.received) == 2)
                await settle()
        finally:
            logger.setLevel(level)
            collect_errors(loop)
        assert len(seen) >= 2
        assert not transport.is_closing()


def test_a_borrowed_transport_is_told_from_ours(loop, kind):
    """The tests above rely on it."""
    async def main():
        async with endpoint(loop) as (transport, protocol):
            return is_borrowed(type(transport))

    assert loop.run_until_complete(main()) == (kind == "asyncio")
    assert not asyncio.all_tasks(loop)
