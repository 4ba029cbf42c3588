"""What comes in: data, its end, its loss, and pauses between them."""

import asyncio
import hashlib
import os

import pytest

from support.net import (
    FAMILIES, Recorder, in_loop, link, pair, quiet, receive, reset, settle,
    until,
)

families = pytest.mark.parametrize("family", FAMILIES)


@families
@in_loop
async def test_callbacks_come_in_order(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        peer.send(b"one")
        await until(lambda: protocol.data == b"one")
        peer.send(b"two")
        peer.close()
        await protocol.lost
        assert protocol.calls == ["made", "data", "eof", "lost"]
        assert protocol.data == b"onetwo"
        assert protocol.error is None


@families
@in_loop
async def test_data_arrives_as_bytes(loop, family):
    got = []

    class Typed(Recorder):
        def data_received(self, data):
            got.append(data)

    async with link(loop, Typed, family) as (transport, protocol, peer):
        for size in (1, 5, 1000, 300_000):
            sent = os.urandom(size)
            left = memoryview(sent)
            while left:
                try:
                    left = left[peer.send(left):]
                except BlockingIOError:
                    await asyncio.sleep(0)
            await until(lambda: sum(map(len, got)) == size)
            assert {type(piece) for piece in got} == {bytes}
            assert b"".join(got) == sent
            got.clear()


@in_loop
async def test_connection_made_comes_before_data_that_is_there(loop):
    ours, peer = pair()
    peer.send(b"early")
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), sock=ours
    )
    # The call returns when connection_made has run.
    assert protocol.calls[0] == "made"
    await until(lambda: protocol.data == b"early")
    transport.close()
    await protocol.lost
    peer.close()


@families
@in_loop
async def test_all_data_before_the_end_is_delivered(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        sent = os.urandom(100_000)
        peer.setblocking(True)
        await loop.run_in_executor(None, peer.sendall, sent)
        peer.close()
        await protocol.lost
        assert protocol.data == sent
        assert protocol.calls == ["made", "data", "eof", "lost"]
        await loop.shutdown_default_executor()


@families
@in_loop
async def test_the_end_closes_unless_eof_received_says_true(loop, family):
    class Stay(Recorder):
        keep_open = True

    async with link(loop, Stay, family) as (transport, protocol, peer):
        peer.shutdown(1)
        await until(lambda: "eof" in protocol.calls)
        await quiet()
        assert protocol.calls == ["made", "eof"]
        assert not transport.is_closing()
        transport.write(b"still open")
        assert await receive(peer, 10) == b"still open"
        transport.close()
        assert await receive(peer) == b""
        assert await protocol.lost is None
        assert protocol.calls == ["made", "eof", "lost"]


@families
@pytest.mark.parametrize("answer", [None, False, 0, ""])
@in_loop
async def test_any_false_answer_closes(loop, family, answer):
    class Leave(Recorder):
        keep_open = answer

    async with link(loop, Leave, family) as (transport, protocol, peer):
        peer.shutdown(1)
        assert await protocol.lost is None
        assert transport.is_closing()
        assert await receive(peer) == b""


@in_loop
async def test_what_eof_received_writes_leaves_before_the_close(loop):
    class Answer(Recorder):
        def eof_received(self):
            super().eof_received()
            self.transport.write(bytes(self.data).upper())

    async with link(loop, Answer) as (transport, protocol, peer):
        peer.send(b"question")
        peer.shutdown(1)
        assert await receive(peer) == b"QUESTION"
        assert await protocol.lost is None


@in_loop
async def test_a_reset_is_the_argument_of_connection_lost(loop):
    async with link(loop) as (transport, protocol, peer):
        reset(peer)
        error = await protocol.lost
        assert type(error) is ConnectionResetError
        assert protocol.calls == ["made", "lost"]
        assert transport.is_closing()


@in_loop
async def test_a_reset_is_noticed_after_a_pause_only(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.pause_reading()
        peer.send(b"kept back")
        reset(peer)
        await quiet()
        assert protocol.calls == ["made"]
        transport.resume_reading()
        assert type(await protocol.lost) is ConnectionResetError


@families
@in_loop
async def test_a_pause_holds_data_back(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        assert transport.is_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        peer.send(b"later")
        await quiet()
        assert protocol.data == b""
        transport.resume_reading()
        assert transport.is_reading()
        await until(lambda: protocol.data == b"later")


@in_loop
async def test_a_pause_holds_the_end_back(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.pause_reading()
        peer.send(b"last")
        peer.close()
        await quiet()
        assert protocol.calls == ["made"]
        transport.resume_reading()
        await protocol.lost
        assert protocol.calls == ["made", "data", "eof", "lost"]


@in_loop
async def test_pause_and_resume_may_be_repeated(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.resume_reading()
        transport.pause_reading()
        transport.pause_reading()
        transport.resume_reading()
        assert transport.is_reading()
        transport.resume_reading()
        peer.send(b"x")
        await until(lambda: protocol.data == b"x")


@in_loop
async def test_pause_and_resume_after_close_do_nothing(loop):
    async with link(loop) as (transport, protocol, peer):
        peer.send(b"unread")
        transport.close()
        assert not transport.is_reading()
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
        await protocol.lost
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
        assert protocol.calls == ["made", "lost"]


@in_loop
async def test_a_transport_closed_while_paused_stays_silent(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.pause_reading()
        peer.send(b"unread")
        transport.close()
        transport.resume_reading()
        await protocol.lost
        await settle()
        assert protocol.calls == ["made", "lost"]


@pytest.mark.needs_is_reading
@in_loop
async def test_a_pause_in_connection_made_holds(loop):
    class Paused(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async with link(loop, Paused) as (transport, protocol, peer):
        peer.send(b"x")
        await quiet()
        assert protocol.calls == ["made"]
        transport.resume_reading()
        await until(lambda: protocol.data == b"x")


@in_loop
async def test_a_pause_in_data_received_holds(loop):
    class OneByOne(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async with link(loop, OneByOne) as (transport, protocol, peer):
        peer.send(b"first")
        await until(lambda: protocol.data == b"first")
        peer.send(b"second")
        await quiet()
        assert protocol.data == b"first"
        transport.resume_reading()
        await until(lambda: protocol.data == b"firstsecond")


@in_loop
async def test_nothing_comes_after_a_close_in_data_received(loop):
    class Once(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.close()

    async with link(loop, Once) as (transport, protocol, peer):
        peer.send(b"first")
        await protocol.lost
        try:
            peer.send(b"second")
        except OSError:
            pass
        await quiet()
        assert protocol.calls == ["made", "data", "lost"]
        assert protocol.data == b"first"


@in_loop
async def test_is_reading_is_false_once_the_end_has_come(loop):
    class Stay(Recorder):
        keep_open = True

    async with link(loop) as (transport, protocol, peer):
        peer.close()
        await protocol.lost
        assert not transport.is_reading()
    # A half-open transport still says that it reads.
    async with link(loop, Stay) as (transport, protocol, peer):
        peer.shutdown(1)
        await until(lambda: "eof" in protocol.calls)
        assert transport.is_reading()


CHUNK = 65521
TOTAL = 1024 * CHUNK  # Close to 64 MiB, and never a multiple of a page.


class Sender(Recorder):
    """Writes the pattern in odd chunks, with flow control, and hashes."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.digest = hashlib.sha1()
        self.left = TOTAL
        self.count = 0
        self.stopped = False
        self.loop.call_soon(self.push)

    def data_received(self, data):
        self.digest.update(data)
        self.count += len(data)

    def pause_writing(self):
        self.stopped = True

    def resume_writing(self):
        self.stopped = False
        self.push()

    def push(self):
        if self.left is None:
            return
        while self.left and not self.stopped:
            size = min(self.left, 1 + self.left * 7919 % CHUNK)
            self.transport.write(PATTERN[self.left % 251:][:size])
            self.left -= size
        if not self.left:
            self.left = None
            # Not from within resume_writing: asyncio's transport shuts its
            # half down twice then, the second time maybe in vain.
            self.loop.call_soon(self.transport.write_eof)

    def eof_received(self):
        self.ended = True
        return True


PATTERN = hashlib.sha1(b"").digest() * (CHUNK // 20 + 20)


def expected_digest():
    digest = hashlib.sha1()
    left = TOTAL
    while left:
        size = min(left, 1 + left * 7919 % CHUNK)
        digest.update(PATTERN[left % 251:][:size])
        left -= size
    return digest.hexdigest()


@families
@in_loop
async def test_64_mib_both_ways_arrive_whole(loop, family):
    one, two = pair(family)
    _, here = await loop.create_connection(lambda: Sender(loop), sock=one)
    _, there = await loop.create_connection(lambda: Sender(loop), sock=two)
    for side in (here, there):
        side.ended = False
    await until(lambda: here.ended and there.ended)
    assert here.count == there.count == TOTAL
    assert here.digest.hexdigest() == expected_digest()
    assert there.digest.hexdigest() == expected_digest()
    for side in (here, there):
        side.transport.close()
        assert await side.lost is None


@in_loop
async def test_a_peer_that_sends_much_does_not_starve_another(loop):
    async with (
        link(loop) as (_, busy, flooder),
        link(loop) as (_, calm, talker),
    ):
        flood = bytes(1 << 20)
        answers = 0
        for _ in range(30):
            for _ in range(4):
                try:
                    flooder.send(flood)
                except BlockingIOError:
                    break
            talker.send(b"x")
            turns = 0
            while len(calm.data) == answers:
                await asyncio.sleep(0)
                turns += 1
                assert turns < 20_000
            answers += 1
        assert answers == 30 and len(busy.data) > 30
