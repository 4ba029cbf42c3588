"""What is written leaves, in order, whoever writes it and when."""

import asyncio
import contextlib
import contextvars
import threading
import time

import pytest

from support.loops import PY315, run_turns
from support.net import (
    FAMILIES, Recorder, in_loop, is_borrowed, link, pair, receive, settle,
    until,
)

families = pytest.mark.parametrize("family", FAMILIES)
var = contextvars.ContextVar("var", default="none")


@families
@in_loop
async def test_writes_of_one_callback_arrive_in_order(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        pieces = [b"%d," % n for n in range(1000)]
        for piece in pieces:
            transport.write(piece)
        sent = b"".join(pieces)
        assert await receive(peer, len(sent)) == sent


@families
@in_loop
async def test_writes_of_many_writers_arrive_in_their_order(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        order = []

        def write(piece):
            order.append(piece)
            transport.write(piece)

        async def task(name):
            for n in range(20):
                write(b"%s%d " % (name, n))
                if n % 3 == 0:
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(task(b"ab"[i:i + 1])) for i in range(2)]
        for n in range(20):
            loop.call_soon(write, b"soon%d " % n)
            loop.call_later(0.001 * (n % 3), write, b"later%d " % n)
        threading.Thread(
            target=loop.call_soon_threadsafe, args=(write, b"thread ")
        ).start()
        await asyncio.wait(tasks)
        await until(lambda: len(order) == 81)
        sent = b"".join(order)
        assert await receive(peer, len(sent)) == sent


@families
@in_loop
async def test_small_and_large_writes_do_not_overtake(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        pieces = []
        for n in range(40):
            pieces.append(bytes([n]) * (1 if n % 2 else 300_001))
            if n % 5 == 0:
                transport.writelines([pieces[-1]])
            else:
                transport.write(pieces[-1])
            if n % 7 == 0:
                await asyncio.sleep(0)
        sent = b"".join(pieces)
        assert await receive(peer, len(sent)) == sent


@families
@in_loop
async def test_a_write_in_connection_made_is_the_first(loop, family):
    class Greeting(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"hello ")

    async with link(loop, Greeting, family) as (transport, protocol, peer):
        transport.write(b"again")
        assert await receive(peer, 11) == b"hello again"


@in_loop
async def test_a_write_in_data_received_is_an_answer(loop):
    class Echo(Recorder):
        def data_received(self, data):
            super().data_received(data)
            for byte in data:
                self.transport.write(bytes([byte]))

    async with link(loop, Echo) as (transport, protocol, peer):
        for text in (b"one", b"two" * 1000, b"three"):
            peer.send(text)
            assert await receive(peer, len(text)) == text


@in_loop
async def test_a_write_in_connection_lost_is_dropped(loop):
    class Last(Recorder):
        def connection_lost(self, error):
            self.transport.write(b"too late")
            super().connection_lost(error)

    async with link(loop, Last) as (transport, protocol, peer):
        transport.close()
        await protocol.lost
        assert await receive(peer) == b""


@in_loop
async def test_a_write_from_another_transports_callback_leaves(loop):
    class Relay(Recorder):
        other = None

        def data_received(self, data):
            self.other.write(data.upper())

    async with (
        link(loop, Relay) as (_, protocol, source),
        link(loop) as (target, _, sink),
    ):
        protocol.other = target
        source.send(b"relayed")
        assert await receive(sink, 7) == b"RELAYED"


@in_loop
async def test_a_write_leaves_while_callbacks_keep_coming(loop):
    """A busy loop must not hold back what was written."""
    async with link(loop) as (transport, protocol, peer):
        turns = 0

        def busy():
            nonlocal turns
            turns += 1
            if turns < 100_000:
                loop.call_soon(busy)

        loop.call_soon(busy)
        transport.write(b"now")
        assert await receive(peer, 3) == b"now"
        assert turns < 100_000
        turns = 100_000


def made(loop, family="tcp"):
    ours, peer = pair(family)
    peer.setblocking(True)
    peer.settimeout(10)
    transport, protocol = loop.run_until_complete(
        loop.create_connection(lambda: Recorder(loop), sock=ours)
    )
    return transport, protocol, peer


def finish(loop, transport, peer):
    transport.abort()
    run_turns(loop, 4)
    peer.close()


@families
def test_a_write_followed_by_stop_leaves(loop, family):
    transport, protocol, peer = made(loop, family)

    def last():
        transport.write(b"one ")
        transport.write(b"two ")
        loop.stop()
        transport.write(b"three")

    loop.call_soon(last)
    loop.run_forever()
    assert peer.recv(100) == b"one two three"
    finish(loop, transport, peer)


def test_a_write_followed_by_an_interrupt_leaves(loop):
    transport, protocol, peer = made(loop)

    def last():
        transport.write(b"last words")
        raise KeyboardInterrupt

    loop.call_soon(last)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert peer.recv(100) == b"last words"
    finish(loop, transport, peer)


def test_a_write_at_the_end_of_a_run_leaves(loop):
    transport, protocol, peer = made(loop)

    async def main():
        transport.write(b"at the end")

    loop.run_until_complete(main())
    assert peer.recv(100) == b"at the end"
    finish(loop, transport, peer)


@families
def test_a_write_while_the_loop_does_not_run_leaves_at_once(loop, family):
    transport, protocol, peer = made(loop, family)
    transport.write(b"one ")
    assert peer.recv(100) == b"one "
    transport.writelines([b"two ", b"three"])
    assert peer.recv(100) == b"two three"
    assert transport.get_write_buffer_size() == 0
    transport.write(b"bye")
    transport.write_eof()
    assert peer.recv(100) == b"bye"
    assert peer.recv(100) == b""
    finish(loop, transport, peer)


def test_more_than_the_kernel_takes_waits_for_the_next_run(loop):
    transport, protocol, peer = made(loop)
    transport.write(bytes(4 << 20))
    assert protocol.calls == ["made", "pause"]
    assert transport.get_write_buffer_size() > 0
    peer.setblocking(False)
    got = loop.run_until_complete(receive(peer, 4 << 20))
    assert got == bytes(4 << 20)
    assert transport.get_write_buffer_size() == 0
    finish(loop, transport, peer)


def test_a_write_before_the_loop_is_closed_has_left(kind):
    from support import loops
    import gc
    import warnings

    loop = loops.new(kind)
    transport, protocol, peer = made(loop)
    loop.call_soon(transport.write, b"before the end")
    run_turns(loop)
    loop.close()
    assert peer.recv(100) == b"before the end"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del transport, protocol
        gc.collect()
    peer.close()


# -- contexts ---------------------------------------------------------------

class Contextual(Recorder):
    """Notes the variable's value in each callback."""

    def __init__(self, loop):
        super().__init__(loop)
        self.values = {}

    def note(self, name):
        super().note(name)
        self.values.setdefault(name, set()).add(var.get())


@in_loop
async def test_callbacks_run_in_the_context_of_the_caller(loop):
    class Talk(Contextual):
        keep_open = True

    var.set("caller")
    async with link(loop, Talk) as (transport, protocol, peer):
        transport.write(bytes(4 << 20))
        var.set("changed")
        peer.send(b"x")
        await until(lambda: protocol.data == b"x")
        await receive(peer, 4 << 20)
        await until(lambda: "resume" in protocol.calls)
        peer.shutdown(1)
        await until(lambda: "eof" in protocol.calls)
        assert protocol.values["made"] == {"caller"}
        assert protocol.values["data"] == {"caller"}
        assert protocol.values["eof"] == {"caller"}
        # Called from within write(), in the context of its caller.
        assert protocol.values["pause"] == {"caller"}


@in_loop
async def test_resume_and_close_bring_a_context_of_their_own(loop):
    """In asyncio up to 3.14; from then on a transport has one context."""
    var.set("caller")
    async with link(loop, Contextual) as (transport, protocol, peer):
        one_context = PY315 or not is_borrowed(transport)
        transport.pause_reading()
        var.set("resumer")
        transport.resume_reading()
        peer.send(b"x")
        await until(lambda: protocol.data == b"x")
        var.set("closer")
        transport.close()
        await protocol.lost
        assert protocol.values["made"] == {"caller"}
        assert protocol.values["data"] == {
            "caller" if one_context else "resumer"
        }
        assert protocol.values["lost"] == {
            "caller" if one_context else "closer"
        }


@in_loop
async def test_what_a_callback_sets_is_there_in_the_next(loop):
    seen = []

    class Sets(Recorder):
        def data_received(self, data):
            super().data_received(data)
            seen.append(var.get())
            var.set(bytes(self.data).decode())

    async with link(loop, Sets) as (transport, protocol, peer):
        for n in range(3):
            peer.send(b"x")
            await until(lambda: len(seen) == n + 1)
        assert seen == ["none", "x", "xx"]
        # The test's own context is another.
        assert var.get() == "none"


@in_loop
async def test_two_connections_have_contexts_of_their_own(loop):
    async with (
        link(loop, Contextual) as (_, one, first),
        link(loop, Contextual) as (_, two, second),
    ):
        var.set("not theirs")
        for _ in range(3):
            first.send(b"x")
            second.send(b"x")
            await settle()
        await until(lambda: len(one.data) == len(two.data) == 3)
        assert one.values["data"] == two.values["data"] == {"none"}


@in_loop
async def test_a_task_made_in_a_callback_inherits_its_context(loop):
    seen = loop.create_future()

    class Starts(Recorder):
        def data_received(self, data):
            super().data_received(data)
            var.set("callback")
            self.task = loop.create_task(self.look())

        async def look(self):
            seen.set_result(var.get())

    async with link(loop, Starts) as (transport, protocol, peer):
        peer.send(b"x")
        assert await seen == "callback"
        await protocol.task


async def in_one_batch(loop, *callbacks):
    """Run them one after the other in one turn, and wait for the last."""
    done = loop.create_future()
    for callback in callbacks:
        loop.call_soon(callback)
    loop.call_soon(done.set_result, None)
    await done


def has_come(peer):
    """Is there something to read, seen without the loop?"""
    try:
        return len(peer.recv(1 << 20)) > 0
    except BlockingIOError:
        return False


@families
@in_loop
async def test_a_turn_that_is_long_does_not_hold_what_was_written(
    loop, family
):
    """Sending is put off, to send together, but not for long."""
    seen = []
    async with link(loop, family=family) as (transport, protocol, peer):
        await in_one_batch(
            loop,
            lambda: transport.write(b"x"),
            lambda: time.sleep(0.01),
            lambda: seen.append(has_come(peer)),
        )
    assert seen == [True]


@in_loop
async def test_many_writes_of_a_turn_do_not_pile_up(loop):
    seen = []
    piece = bytes(8192)
    async with contextlib.AsyncExitStack() as stack:
        links = [
            await stack.enter_async_context(link(loop)) for _ in range(20)
        ]
        writes = [
            lambda transport=transport: transport.write(piece)
            for transport, protocol, peer in links
        ]
        await in_one_batch(
            loop,
            *writes,
            lambda: seen.append([has_come(peer) for *_, peer in links]),
        )
    # 64 KiB are 8 of them; the last few may still wait.
    assert seen[0][:16] == [True] * 16


@in_loop
async def test_small_writes_of_many_transports_do_not_pile_up(loop):
    seen = []
    async with contextlib.AsyncExitStack() as stack:
        links = [
            await stack.enter_async_context(link(loop)) for _ in range(130)
        ]
        writes = [
            lambda transport=transport: transport.write(b"x")
            for transport, protocol, peer in links
        ]
        await in_one_batch(
            loop,
            *writes,
            lambda: seen.append([has_come(peer) for *_, peer in links]),
        )
    assert seen[0][:128] == [True] * 128


def test_what_was_written_is_sent_when_the_turn_ends_in_an_exception(loop):
    def leave():
        raise KeyboardInterrupt

    async def main():
        async with link(loop) as (transport, protocol, peer):
            loop.call_soon(transport.write, b"written")
            loop.call_soon(leave)
            try:
                await receive(peer, 7)
            finally:
                peers.append(peer.dup())

    peers = []
    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert peers[0].recv(100) == b"written"
    peers[0].close()
