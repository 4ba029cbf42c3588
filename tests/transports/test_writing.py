"""What goes out: kinds of data, flow control, and writes after the end."""

import array
import asyncio
import logging
import os

import asyncloop
import pytest

from support.loops import PY312, PY314, collect_errors
from support.net import (
    FAMILIES, Recorder, fill, in_loop, is_borrowed, link, pair, quiet,
    receive, reset, settle, small_buffers, until,
)

families = pytest.mark.parametrize("family", FAMILIES)


def writelines_is_sound(transport):
    """Not asyncio's of 3.12 and 3.13.

    It failed after close (gh-127529), never paused the protocol, and an
    empty piece in it kept the loop busy for ever (gh-155888).
    """
    return not is_borrowed(transport) or not PY312 or PY314


DATA = b"some data of no use"
KINDS = {
    "bytes": DATA,
    "bytearray": bytearray(DATA),
    "memoryview": memoryview(DATA),
    "memoryview of a bytearray": memoryview(bytearray(DATA)),
    "slice": memoryview(b"xx" + DATA + b"yy")[2:-2],
    "subclass": type("B", (bytes,), {})(DATA),
}


@families
@pytest.mark.parametrize("kind_of_data", KINDS)
@in_loop
async def test_write_takes_bytes_of_every_kind(loop, family, kind_of_data):
    async with link(loop, family=family) as (transport, protocol, peer):
        assert transport.write(KINDS[kind_of_data]) is None
        assert await receive(peer, len(DATA)) == DATA


@pytest.mark.parametrize("code", "bHiqfd")
@in_loop
async def test_write_sends_the_memory_behind_a_view_of_numbers(loop, code):
    numbers = array.array(code, range(1, 100))
    async with link(loop) as (transport, protocol, peer):
        transport.write(memoryview(numbers))
        size = len(numbers.tobytes())
        assert await receive(peer, size) == numbers.tobytes()


@pytest.mark.parametrize(
    "data", ["text", None, 1, [b"a"], object()],
    ids=lambda data: type(data).__name__,
)
@in_loop
async def test_write_refuses_what_is_not_bytes(loop, data):
    async with link(loop) as (transport, protocol, peer):
        name = type(data).__name__
        with pytest.raises(
            TypeError, match=f"^data argument must be a bytes.* not '{name}'$"
        ):
            transport.write(data)
        transport.write(b"alive")
        assert await receive(peer, 5) == b"alive"
        transport.close()
        with pytest.raises(TypeError):
            transport.write(data)


@in_loop
async def test_other_buffers_are_sent_on_ours_only(loop):
    numbers = array.array("b", b"numbers")
    async with link(loop) as (transport, protocol, peer):
        if isinstance(loop, asyncloop.Loop):
            transport.write(numbers)
            numbers[0] = 0
            assert await receive(peer, 7) == b"numbers"
        else:
            with pytest.raises(TypeError, match="'array'$|array.array"):
                transport.write(numbers)


@in_loop
async def test_a_view_with_gaps_ends_the_connection(loop):
    async with link(loop) as (transport, protocol, peer):
        errors = collect_errors(loop)
        transport.write(memoryview(b"abcdef")[::2])
        assert isinstance(await protocol.lost, BufferError)
        [context] = errors
        assert context["message"] == "Fatal write error on socket transport"
        assert context["exception"] is protocol.error
        assert context["transport"] is transport
        assert context["protocol"] is protocol


@families
@in_loop
async def test_writing_nothing_does_nothing(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        for nothing in (b"", bytearray(), memoryview(b"")):
            transport.write(nothing)
        transport.writelines([])
        await quiet()
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        assert transport.get_write_buffer_size() == 0
        transport.write(b"something")
        assert await receive(peer, 9) == b"something"


@families
@in_loop
async def test_a_bytearray_may_change_after_the_write(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        data = bytearray(b"before")
        transport.write(data)
        data[:] = b"after, and longer"
        view = bytearray(b"viewed")
        transport.write(memoryview(view))
        view[:] = b"beyond"
        assert await receive(peer, 12) == b"beforeviewed"


@in_loop
async def test_a_bytearray_may_change_while_its_rest_waits(loop):
    async with link(loop) as (transport, protocol, peer):
        if is_borrowed(transport) and PY312:
            # asyncio keeps a view: the rest goes out as it is by then.
            expected = None
        else:
            expected = b"x" * (4 << 20)
        data = bytearray(b"x" * (4 << 20))
        transport.write(data)
        assert transport.get_write_buffer_size() > 0
        data[:] = bytes(len(data))
        got = await receive(peer, len(data))
        assert len(got) == 4 << 20 and got[0:1] == b"x"
        assert expected is None or got == expected


LINES = {
    "list": lambda: [b"one", b"two", b"three"],
    "tuple": lambda: (b"one", b"two", b"three"),
    "generator": lambda: (x for x in (b"one", b"two", b"three")),
    "mixed": lambda: [
        bytearray(b"one"), memoryview(b"two"), array.array("b", b"three"),
    ],
    "many": lambda: [b"onetwothree"[i:i + 1] for i in range(11)],
}


@families
@pytest.mark.parametrize("lines", LINES)
@in_loop
async def test_writelines_joins_its_pieces(loop, family, lines):
    async with link(loop, family=family) as (transport, protocol, peer):
        transport.write(b"<")
        assert transport.writelines(LINES[lines]()) is None
        transport.write(b">")
        assert await receive(peer, 13) == b"<onetwothree>"


@in_loop
async def test_writelines_of_more_pieces_than_a_call_takes(loop):
    async with link(loop) as (transport, protocol, peer):
        pieces = [bytes([i % 251]) * (i % 7 + 1) for i in range(5000)]
        transport.writelines(pieces)
        sent = b"".join(pieces)
        assert await receive(peer, len(sent)) == sent


@in_loop
async def test_writelines_of_more_bytes_than_the_kernel_takes(loop):
    async with link(loop) as (transport, protocol, peer):
        pieces = [os.urandom(100_003) for _ in range(100)]
        transport.writelines(pieces)
        if writelines_is_sound(transport):
            assert "pause" in protocol.calls
        sent = b"".join(pieces)
        assert await receive(peer, len(sent)) == sent


@in_loop
async def test_writelines_skips_empty_pieces(loop):
    async with link(loop) as (transport, protocol, peer):
        if writelines_is_sound(transport):
            transport.writelines([b""])
            transport.writelines([b"", b"a", b"", b"b", b""])
            assert await receive(peer, 2) == b"ab"
            assert transport.get_write_buffer_size() == 0


@pytest.mark.parametrize("lines", [["text"], [1], 5])
@in_loop
async def test_writelines_refuses_what_is_not_bytes(loop, lines):
    async with link(loop) as (transport, protocol, peer):
        with pytest.raises(TypeError):
            transport.writelines(lines)
        transport.write(b"alive")
        assert await receive(peer, 5) == b"alive"


# -- half close -------------------------------------------------------------

@families
@in_loop
async def test_write_eof_ends_our_half_only(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        assert transport.can_write_eof() is True
        transport.write(b"the last")
        assert transport.write_eof() is None
        transport.write_eof()
        assert await receive(peer) == b"the last"
        assert not transport.is_closing()
        peer.send(b"answer")
        await until(lambda: protocol.data == b"answer")


@in_loop
async def test_writes_after_write_eof_raise(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.write_eof()
        for data in (b"x", b""):
            with pytest.raises(
                RuntimeError, match=r"^Cannot call write\(\) after write_eof"
            ):
                transport.write(data)
        with pytest.raises(
            RuntimeError, match=r"^Cannot call write(lines)?\(\) after write_"
        ):
            transport.writelines([b"x"])
        assert await receive(peer) == b""


@in_loop
async def test_write_eof_waits_for_what_is_not_sent_yet(loop):
    async with link(loop) as (transport, protocol, peer):
        sent = os.urandom(8 << 20)
        transport.write(sent)
        transport.write_eof()
        assert transport.get_write_buffer_size() > 0
        assert await receive(peer) == sent
        assert not transport.is_closing()
        peer.send(b"answer")
        await until(lambda: protocol.data == b"answer")


@in_loop
async def test_write_eof_after_close_does_nothing(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.close()
        transport.write_eof()
        await protocol.lost
        transport.write_eof()
        assert protocol.calls == ["made", "lost"]


# -- after the end ----------------------------------------------------------

def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "asyncio"]


@pytest.mark.parametrize("how", ["close", "abort", "lost"])
def test_writes_to_a_dead_transport_are_dropped_and_warned_of(
    loop, caplog, how
):
    @in_loop
    async def main(loop):
        async with link(loop) as (transport, protocol, peer):
            if how == "lost":
                reset(peer)
            else:
                getattr(transport, how)()
            await protocol.lost
            with caplog.at_level(logging.WARNING, "asyncio"):
                for _ in range(4):
                    transport.write(b"dropped")
                    transport.write(b"")
                assert warnings_of(caplog) == []
                for _ in range(3):
                    transport.write(b"dropped")
                assert warnings_of(caplog) == [
                    "socket.send() raised exception."
                ] * 3
                if writelines_is_sound(transport):
                    transport.writelines([b"dropped"])
                    assert len(warnings_of(caplog)) == 4

    main(loop)


@in_loop
async def test_a_write_between_close_and_connection_lost_is_dropped(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.write(b"sent")
        transport.close()
        transport.write(b"dropped")
        assert await receive(peer) == b"sent"
        assert await protocol.lost is None


@in_loop
async def test_a_write_into_a_reset_connection_loses_it(loop):
    class Deaf(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            # The reset must be found by the write, not by a read.
            transport.pause_reading()

    async with link(loop, Deaf) as (transport, protocol, peer):
        reset(peer)
        await quiet()
        transport.write(b"x")
        error = await protocol.lost
        assert isinstance(error, (BrokenPipeError, ConnectionResetError))
        assert protocol.calls == ["made", "lost"]
        transport.write(b"ignored")


# -- flow control -----------------------------------------------------------

@in_loop
async def test_buffer_limits_have_defaults_that_belong_together(loop):
    async with link(loop) as (transport, protocol, peer):
        limits = transport.get_write_buffer_limits
        assert limits() == (16384, 65536)
        for arguments, expected in [
            ({"high": 100}, (25, 100)), ({"low": 100}, (100, 400)),
            ({"high": 7, "low": 7}, (7, 7)), ({"high": 0}, (0, 0)),
            ({"high": 1}, (0, 1)), ({}, (16384, 65536)),
            ({"high": None, "low": None}, (16384, 65536)),
        ]:
            assert transport.set_write_buffer_limits(**arguments) is None
            assert limits() == expected
        transport.set_write_buffer_limits(50, 20)
        assert limits() == (20, 50)


@pytest.mark.parametrize(
    "high, low", [(1, 2), (-1, None), (-1, -2), (5, -1), (None, -1)]
)
@in_loop
async def test_limits_in_the_wrong_order_are_refused(loop, high, low):
    async with link(loop) as (transport, protocol, peer):
        transport.set_write_buffer_limits(high=50, low=20)
        with pytest.raises(
            ValueError, match=r"^high \(.*\) must be >= low \(.*\) must be >="
        ):
            transport.set_write_buffer_limits(high=high, low=low)
        assert transport.get_write_buffer_limits() == (20, 50)


@families
@in_loop
async def test_a_full_buffer_pauses_once_and_resumes_once(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        transport.write(bytes(4 << 20))
        # The protocol knows before write() returns.
        assert protocol.calls == ["made", "pause"]
        before = transport.get_write_buffer_size()
        assert before > 65536
        transport.write(bytes(1 << 20))
        assert transport.get_write_buffer_size() == before + (1 << 20)
        assert protocol.calls == ["made", "pause"]
        await receive(peer, 5 << 20)
        await until(lambda: "resume" in protocol.calls)
        assert protocol.calls == ["made", "pause", "resume"]
        assert transport.get_write_buffer_size() == 0


@in_loop
async def test_the_buffer_size_is_what_waits_above_the_kernel(loop):
    async with link(loop) as (transport, protocol, peer):
        assert transport.get_write_buffer_size() == 0
        transport.write(b"x" * 1000)
        # The kernel has taken it.
        assert transport.get_write_buffer_size() == 0
        await fill(transport)
        size = transport.get_write_buffer_size()
        transport.write(b"x" * 1000)
        assert transport.get_write_buffer_size() == size + 1000
        transport.abort()
        assert transport.get_write_buffer_size() == 0


@in_loop
async def test_resume_comes_at_the_low_mark(loop):
    sizes = []

    class Watch(Recorder):
        def resume_writing(self):
            super().resume_writing()
            sizes.append(self.transport.get_write_buffer_size())

    async with link(loop, Watch, "unix") as (transport, protocol, peer):
        small_buffers(transport.get_extra_info("socket"), peer)
        transport.set_write_buffer_limits(high=1 << 20, low=1 << 18)
        transport.write(bytes(2 << 20))
        assert protocol.calls == ["made", "pause"]
        await receive(peer, 2 << 20)
        await until(lambda: "resume" in protocol.calls)
        assert len(sizes) == 1 and sizes[0] <= 1 << 18


@in_loop
async def test_new_limits_below_what_waits_pause_at_once(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.set_write_buffer_limits(high=1 << 30)
        transport.write(bytes(4 << 20))
        assert protocol.calls == ["made"]
        transport.set_write_buffer_limits(high=0)
        assert protocol.calls == ["made", "pause"]
        await receive(peer, 4 << 20)
        await until(lambda: "resume" in protocol.calls)


@in_loop
async def test_a_limit_of_zero_pauses_for_any_byte_that_waits(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.set_write_buffer_limits(high=0)
        transport.write(b"goes out at once")
        await settle()
        assert "pause" not in protocol.calls
        assert await receive(peer, 16) == b"goes out at once"
        written = await fill(transport)
        assert protocol.calls == ["made", "pause"]
        await receive(peer, written)
        await until(lambda: protocol.calls == ["made", "pause", "resume"])


@in_loop
async def test_a_write_in_resume_writing_keeps_its_place(loop):
    class Chain(Recorder):
        written = 0

        def resume_writing(self):
            super().resume_writing()
            self.push()

        def push(self):
            # Each round fills the buffer again, five times over.
            while self.calls[-1] != "pause" and self.written < 20 << 20:
                piece = bytes([self.written >> 20 & 255]) * (1 << 20)
                self.transport.write(piece)
                self.written += len(piece)

    async with link(loop, Chain) as (transport, protocol, peer):
        protocol.push()
        got = await receive(peer, 20 << 20)
        assert got == b"".join(bytes([i]) * (1 << 20) for i in range(20))
        assert protocol.calls.count("pause") >= 2
        await until(
            lambda: protocol.calls.count("pause")
            == protocol.calls.count("resume")
        )


@in_loop
async def test_a_paused_protocol_is_not_resumed_by_the_end(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.write(bytes(4 << 20))
        transport.abort()
        await protocol.lost
        assert protocol.calls == ["made", "pause", "lost"]


@in_loop
async def test_a_peer_that_never_reads_costs_what_was_written_only(loop):
    class Polite(Recorder):
        written = 0

        def push(self):
            while "pause" not in self.calls:
                self.transport.write(bytes(10_000))
                self.written += 10_000

    async with link(loop, Polite, "unix") as (transport, protocol, peer):
        small_buffers(transport.get_extra_info("socket"), peer)
        protocol.push()
        await quiet()
        assert 65536 < transport.get_write_buffer_size() <= 65536 + 10_000
        assert protocol.calls == ["made", "pause"]
        assert await receive(peer, protocol.written) == bytes(protocol.written)


@in_loop
async def test_drain_holds_a_writer_whose_peer_does_not_read(loop):
    ours, peer = pair("unix")
    small_buffers(ours, peer)
    reader, writer = await asyncio.open_connection(sock=ours)
    written = 0

    async def pour():
        nonlocal written
        while True:
            writer.write(bytes(1000))
            written += 1000
            await writer.drain()

    task = asyncio.create_task(pour())
    await quiet()
    stopped_at = written
    await quiet()
    assert written == stopped_at
    assert writer.transport.get_write_buffer_size() <= 70_000
    # Reading lets it go on.
    await receive(peer, stopped_at)
    await until(lambda: written > stopped_at)
    task.cancel()
    await asyncio.wait([task])
    writer.transport.abort()
    peer.close()
    await settle()
