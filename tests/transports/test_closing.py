"""How transports end: closed, aborted, lost, dropped, or robbed."""

import asyncio
import contextlib
import gc
import os
import warnings
import weakref

import pytest

from support import loops
from support.loops import PY312, PY314, collect_errors
from support.net import (
    FAMILIES, Recorder, fill, in_loop, is_borrowed, is_open, link, pair,
    quiet, receive, reset, settle, until,
)

families = pytest.mark.parametrize("family", FAMILIES)


@families
@in_loop
async def test_close_reports_the_loss_later_and_frees_the_descriptor(
    loop, family
):
    async with link(loop, family=family) as (transport, protocol, peer):
        fd = transport.get_extra_info("socket").fileno()
        assert not transport.is_closing()
        assert transport.close() is None
        assert transport.is_closing()
        # Never from within close().
        assert protocol.calls == ["made"]
        assert await protocol.lost is None
        await settle()
        assert not is_open(fd)
        assert await receive(peer) == b""
        assert transport.is_closing()


@families
@in_loop
async def test_the_descriptor_is_open_until_connection_lost_returns(
    loop, family
):
    class Look(Recorder):
        def connection_lost(self, error):
            self.seen = self.transport.get_extra_info("socket").fileno()
            self.open = is_open(self.seen)
            super().connection_lost(error)

    async with link(loop, Look, family) as (transport, protocol, peer):
        transport.close()
        await protocol.lost
        assert protocol.seen > 0 and protocol.open


@families
@in_loop
async def test_close_sends_what_waits_first(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        sent = os.urandom(8 << 20)
        transport.write(sent)
        assert transport.get_write_buffer_size() > 0
        transport.close()
        await quiet()
        assert "lost" not in protocol.calls
        assert await receive(peer) == sent
        assert await protocol.lost is None
        assert protocol.calls[0] == "made" and protocol.calls[-1] == "lost"


@in_loop
async def test_a_closing_transport_reads_no_more(loop):
    async with link(loop) as (transport, protocol, peer):
        written = await fill(transport)
        transport.close()
        peer.send(b"too late")
        await quiet()
        assert protocol.data == b""
        # The rest may be lost: data was there that nobody read.
        with contextlib.suppress(ConnectionResetError):
            await receive(peer, written)
        await protocol.lost
        assert "data" not in protocol.calls and "eof" not in protocol.calls


@families
@in_loop
async def test_close_twice_is_close_once(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        transport.close()
        transport.close()
        await protocol.lost
        transport.close()
        transport.abort()
        await settle()
        assert protocol.calls == ["made", "lost"]


@families
@in_loop
async def test_abort_drops_what_waits(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        written = await fill(transport)
        written += 8 << 20
        transport.write(bytes(8 << 20))
        assert transport.abort() is None
        assert transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        assert "lost" not in protocol.calls
        assert await protocol.lost is None
        assert len(await receive(peer)) < written


@in_loop
async def test_abort_ends_a_close_that_waits(loop):
    async with link(loop) as (transport, protocol, peer):
        await fill(transport)
        transport.close()
        await settle()
        assert "lost" not in protocol.calls
        transport.abort()
        assert await protocol.lost is None


@families
@in_loop
async def test_abort_after_a_close_that_had_to_wait_does_nothing(
    loop, family
):
    async with link(loop, family=family) as (transport, protocol, peer):
        transport.write(bytes(8 << 20))
        transport.close()
        await receive(peer)
        await protocol.lost
        # asyncio failed here up to 3.14 (gh-156512).
        if PY314 or not is_borrowed(transport):
            transport.abort()
            await settle()
        assert protocol.calls.count("lost") == 1


@in_loop
async def test_a_reset_ends_a_close_that_waits(loop):
    async with link(loop) as (transport, protocol, peer):
        await fill(transport)
        transport.close()
        reset(peer)
        error = await protocol.lost
        assert isinstance(error, (ConnectionResetError, BrokenPipeError))


@in_loop
async def test_close_in_connection_made(loop):
    class Shy(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"bye")
            transport.close()

    ours, peer = pair()
    peer.send(b"hello")
    transport, protocol = await loop.create_connection(
        lambda: Shy(loop), sock=ours
    )
    await protocol.lost
    await quiet()
    assert protocol.calls == ["made", "lost"]
    peer.close()


@in_loop
async def test_force_close_gives_its_argument_to_the_protocol(loop):
    """What asyncio's TLS, and servers built on it, call."""
    async with link(loop) as (transport, protocol, peer):
        await fill(transport)
        reason = OSError("the reason")
        transport._force_close(reason)
        assert transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        assert await protocol.lost is reason
        # Too late to change anything.
        transport._force_close(OSError("another"))
        await settle()
        assert protocol.calls[-1] == "lost"


@in_loop
async def test_closing_does_not_shut_down_a_duplicate(loop):
    """Clients start TLS on a duplicate of the socket of a closed one."""
    async with link(loop) as (transport, protocol, peer):
        again = transport.get_extra_info("socket").dup()
        transport.close()
        await protocol.lost
        with again:
            peer.send(b"still")
            again.setblocking(True)
            again.settimeout(5)
            assert again.recv(5) == b"still"
            again.sendall(b"there")
            assert await receive(peer, 5) == b"there"


# -- nobody closed it -------------------------------------------------------

@families
def test_a_transport_left_to_a_closed_loop_warns_and_closes(kind, family):
    loop = loops.new(kind)
    ours, peer = pair(family)
    transport, protocol = loop.run_until_complete(
        loop.create_connection(lambda: Recorder(loop), sock=ours)
    )
    fd = ours.fileno()
    del ours
    loop.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport, protocol
        gc.collect()
    texts = [
        str(w.message) for w in caught if w.category is ResourceWarning
        and "unclosed transport" in str(w.message)
    ]
    assert len(texts) == 1
    assert f"fd={fd}" in texts[0]
    caught.clear()
    assert not is_open(fd)
    peer.close()


def test_a_forgotten_transport_warns_while_the_loop_lives(loop):
    @in_loop
    async def main(loop):
        ours, peer = pair()
        transport, protocol = await loop.create_connection(
            lambda: Recorder(loop), sock=ours
        )
        del ours
        fd = transport.get_extra_info("socket").fileno()
        # While it reads, the loop holds it; paused, nobody does.
        transport.pause_reading()
        dead = weakref.ref(transport)
        await settle()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del transport, protocol
            gc.collect()
        texts = "".join(str(w.message) for w in caught)
        assert "unclosed transport" in texts
        # A warning holds its source.
        caught.clear()
        gc.collect()
        assert dead() is None
        assert not is_open(fd)
        peer.close()

    main(loop)


def test_a_loop_closed_under_open_transports_calls_nothing(kind):
    loop = loops.new(kind)
    made = []
    for _ in range(3):
        ours, peer = pair()
        transport, protocol = loop.run_until_complete(
            loop.create_connection(lambda: Recorder(loop), sock=ours)
        )
        made.append((transport, protocol, peer))
        del ours, transport, protocol
    made[0][2].send(b"x")
    made[1][2].close()
    loop.close()
    assert all(protocol.calls == ["made"] for _, protocol, _ in made)
    for transport, _, peer in made:
        assert "Transport" in repr(transport)
        assert not transport.is_closing()
        peer.close()
        # What it can still do is to be closed by its finalizer.
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            transport.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del made, transport, peer, _
        gc.collect()


def test_a_loop_closed_before_connection_lost_ran_leaks_nothing(kind):
    loop = loops.new(kind)
    ours, peer = pair()
    transport, protocol = loop.run_until_complete(
        loop.create_connection(lambda: Recorder(loop), sock=ours)
    )
    fd = ours.fileno()
    del ours
    transport.close()
    loop.close()
    assert protocol.calls == ["made"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del transport, protocol
        gc.collect()
    assert not is_open(fd)
    peer.close()


@families
def test_a_lost_transport_is_freed_without_the_collector(loop, family):
    @in_loop
    async def main(loop):
        gc.collect()
        gc.disable()
        try:
            async with link(loop, family=family) as (
                transport, protocol, peer
            ):
                # In 3.11 asyncio's transport refers to itself.
                free = PY312 or not is_borrowed(transport)
                peer.send(b"x")
                await until(lambda: protocol.data == b"x")
                transport.close()
                await protocol.lost
                await settle()
                dead = weakref.ref(transport), weakref.ref(protocol)
                # The test's own hold on it.
                protocol.transport = None
            del transport, protocol
            await settle()
            assert dead[1]() is None
            assert dead[0]() is None or not free
        finally:
            gc.enable()

    main(loop)


@in_loop
async def test_a_lost_transport_lets_go_of_its_protocol(loop):
    async with link(loop) as (transport, protocol, peer):
        assert transport.get_protocol() is protocol
        transport.close()
        await protocol.lost
        await settle()
        assert transport.get_protocol() is None


# -- the descriptor is taken away -------------------------------------------

@pytest.mark.parametrize("family", FAMILIES)
def test_a_descriptor_closed_under_a_writer_is_an_error(child, family):
    out = child.succeed(f"""
        from support.net import Recorder, pair
        loop = new_loop()
        # asyncio's second close of the number fails, and is reported.
        loop.set_exception_handler(lambda loop, context: None)
        async def main():
            ours, peer = pair({family!r})
            transport, protocol = await loop.create_connection(
                lambda: Recorder(loop), sock=ours)
            os.close(transport.get_extra_info("socket").fileno())
            transport.write(b"into nothing")
            error = await protocol.lost
            assert isinstance(error, OSError), error
            assert protocol.calls == ["made", "lost"], protocol.calls
            await asyncio.sleep(0.001)
            if ours.fileno() >= 0:
                ours.detach()
            peer.close()
        loop.run_until_complete(main())
        loop.close()
        print("alive")
    """)
    assert out == "alive\n"


def test_a_descriptor_closed_under_a_reader_never_crashes(child):
    out = child.succeed("""
        import errno, socket
        loop = new_loop()
        loop.set_exception_handler(lambda loop, context: None)
        class P(asyncio.Protocol):
            lost = 0
            def connection_lost(self, error):
                self.lost += 1
        async def main():
            for _ in range(20):
                ours, peer = socket.socketpair()
                transport, protocol = await loop.create_connection(
                    P, sock=ours)
                os.close(ours.fileno())
                peer.close()
                await asyncio.sleep(0.001)
                try:
                    transport.abort()
                except OSError:
                    pass
                await asyncio.sleep(0.001)
                assert protocol.lost == 1, protocol.lost
                if ours.fileno() >= 0:
                    ours.detach()
        loop.run_until_complete(main())
        loop.close()
        print("alive")
    """)
    assert out == "alive\n"


@in_loop
async def test_a_stolen_descriptor_number_is_not_closed_twice(loop):
    """After connection_lost the number belongs to whoever got it next."""
    async with link(loop) as (transport, protocol, peer):
        fd = transport.get_extra_info("socket").fileno()
        transport.close()
        await protocol.lost
        await settle()
        others = [os.dup(peer.fileno()) for _ in range(8)]
        try:
            assert fd in others
            transport.close()
            transport.abort()
            del protocol.transport, transport
            gc.collect()
            await settle()
            assert all(is_open(other) for other in others)
        finally:
            for other in others:
                os.close(other)


# -- many -------------------------------------------------------------------

@families
@in_loop
async def test_200_connections_at_once(loop, family):
    count = 200
    pairs = [pair(family) for _ in range(count)]
    links = await asyncio.gather(*(
        loop.create_connection(lambda: Recorder(loop), sock=ours)
        for ours, _ in pairs
    ))
    for number, (transport, _) in enumerate(links):
        transport.write(b"to %d" % number)
    for number, (_, peer) in enumerate(pairs):
        peer.send(b"from %d" % number)
    for number, (_, peer) in enumerate(pairs):
        expected = b"to %d" % number
        assert await receive(peer, len(expected)) == expected
    await until(lambda: all(
        protocol.data == b"from %d" % number
        for number, (_, protocol) in enumerate(links)
    ))
    for number, (transport, _) in enumerate(links):
        (transport.close if number % 2 else transport.abort)()
    for _, protocol in links:
        assert await protocol.lost is None
    for _, peer in pairs:
        peer.close()


@in_loop
async def test_connections_come_and_go(loop):
    for number in range(200):
        async with link(loop) as (transport, protocol, peer):
            if number % 4 == 0:
                transport.abort()
            elif number % 4 == 1:
                reset(peer)
            elif number % 4 == 2:
                peer.close()
            else:
                transport.close()
            await protocol.lost
            assert protocol.calls[0] == "made"
            assert protocol.calls[-1] == "lost"


@in_loop
async def test_errors_are_not_reported_when_a_connection_is_lost(loop):
    """An OSError is news for the protocol, not for the log."""
    errors = collect_errors(loop)
    async with link(loop) as (transport, protocol, peer):
        reset(peer)
        await protocol.lost
        transport.write(b"x")
        await settle()
    assert errors == []


@in_loop
async def test_what_resume_writing_writes_while_closing_is_sent(loop):
    """TLS flushes so, after the peer has ended its side."""
    class Flusher(Recorder):
        def resume_writing(self):
            super().resume_writing()
            self.transport.write(b"last")

    async with link(loop, Flusher) as (transport, protocol, peer):
        sent = bytes(4 << 20)
        transport.write(sent)
        transport.close()
        got = await receive(peer, len(sent) + 4)
        assert got[-4:] == b"last"
        assert await protocol.lost is None


@in_loop
async def test_abort_loses_only_what_could_not_be_sent_at_once(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.write(b"bye")
        transport.abort()
        assert await receive(peer, 3) == b"bye"
        assert await protocol.lost is None
