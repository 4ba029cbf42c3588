"""Flow control: datagrams that wait to be sent, and reading that is paused.

Unix sockets, because there a receiver that does not read stops the sender.
"""

import asyncio
import socket

import pytest

from support.dgram import (
    Recorder, endpoint, fill, miscounts, receive, udp, unix_pair,
)
from support.loops import PY313
from support.net import in_loop, quiet, settle, until

#: What is counted for each datagram besides its data.
HEADER = 8 if PY313 else 0


@in_loop
async def test_what_waits_is_sent_when_there_is_room(loop):
    one, two = unix_pair()
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            count = await fill(transport)
            assert transport.get_write_buffer_size() == 8 + HEADER
            for i in range(count, count + 500):
                transport.sendto(b"%08d" % i)
            assert transport.get_write_buffer_size() == 501 * (8 + HEADER)
            assert await receive(two, count + 500) == [
                b"%08d" % i for i in range(count + 500)
            ]
            await until(lambda: "polling, " not in repr(transport))
            if not miscounts(transport):
                assert transport.get_write_buffer_size() == 0
            assert protocol.calls == ["made"]


@in_loop
async def test_writing_is_paused_and_resumed(loop):
    one, two = unix_pair()
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            if miscounts(transport):
                return
            count = await fill(transport)
            transport.set_write_buffer_limits(high=100, low=50)
            assert transport.get_write_buffer_limits() == (50, 100)
            while protocol.calls == ["made"]:
                transport.sendto(b"%08d" % count)
                count += 1
            assert transport.get_write_buffer_size() > 100
            assert transport.get_write_buffer_size() <= 100 + 8 + HEADER
            assert protocol.calls == ["made", "pause"]
            await receive(two, count)
            await until(lambda: protocol.calls[-1] == "resume")
            assert protocol.calls == ["made", "pause", "resume"]
            assert transport.get_write_buffer_size() <= 50


@in_loop
async def test_pausing_comes_after_an_attempt_to_send(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            transport.set_write_buffer_limits(0)
            for i in range(20):
                transport.sendto(b"%d" % i, peer.getsockname())
                assert transport.get_write_buffer_size() == 0
            for i in range(20):
                transport.sendto(b"%d" % i, peer.getsockname())
            await settle()
            assert protocol.calls == ["made"]


@in_loop
async def test_a_loop_that_looks_at_the_size_is_stopped_by_it(loop):
    """Within one callback, too."""
    one, two = unix_pair()
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            count = 0
            while transport.get_write_buffer_size() < 1000:
                transport.sendto(b"%08d" % count)
                count += 1
                assert count < 10000
            assert await receive(two, count) == [
                b"%08d" % i for i in range(count)
            ]


@in_loop
async def test_close_sends_what_waits_first(loop):
    one, two = unix_pair()
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            count = await fill(transport)
            transport.close()
            assert transport.is_closing()
            await quiet()
            assert protocol.calls == ["made"]
            transport.sendto(b"%08d" % count)
            assert await receive(two, count + 1) == [
                b"%08d" % i for i in range(count + 1)
            ]
            assert await protocol.lost is None
            assert protocol.calls == ["made", "lost"]


@in_loop
async def test_abort_drops_what_waits(loop):
    one, two = unix_pair()
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            count = await fill(transport)
            transport.abort()
            assert await protocol.lost is None
            assert protocol.calls == ["made", "lost"]
            got = await receive(two, count - 1)
            assert got == [b"%08d" % i for i in range(count - 1)]


@in_loop
async def test_the_other_end_goes_while_datagrams_wait(loop):
    one, two = unix_pair()
    async with endpoint(loop, sock=one) as (transport, protocol):
        count = await fill(transport)
        for i in range(3):
            transport.sendto(b"more")
        two.close()
        await until(lambda: len(protocol.errors) >= 3)
        assert all(isinstance(error, OSError) for error in protocol.errors)
        assert count > 1 and not transport.is_closing()


@in_loop
async def test_a_name_that_is_looked_up_keeps_its_place(loop, tmp_path):
    """Of a kind that goes another way than the others."""

    class Text(str):
        pass

    path = str(tmp_path / "slow")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(path)
        peer.setblocking(False)
        async with endpoint(
            loop, local_addr=str(tmp_path / "ours"), family=socket.AF_UNIX
        ) as (transport, protocol):
            count = 0
            while transport.get_write_buffer_size() == 0:
                transport.sendto(b"%08d" % count, path)
                count += 1
            for i in range(count, count + 9):
                transport.sendto(b"%08d" % i, Text(path) if i % 3 else path)
            assert await receive(peer, count + 9) == [
                b"%08d" % i for i in range(count + 9)
            ]


@pytest.mark.needs_is_reading
@in_loop
async def test_paused_reading_delivers_nothing(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            address = transport.get_extra_info("sockname")
            assert transport.is_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            transport.pause_reading()
            peer.sendto(b"one", address)
            await quiet()
            assert protocol.received == []
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            await until(lambda: protocol.received)
            assert protocol.data == [b"one"]


@pytest.mark.needs_is_reading
@in_loop
async def test_a_receiver_that_pauses_gets_the_rest_later(loop):
    class Pause(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            assert self.transport.is_reading()
            self.transport.pause_reading()

    async with endpoint(loop, Pause) as (transport, protocol):
        with udp() as peer:
            address = transport.get_extra_info("sockname")
            for i in range(10):
                peer.sendto(b"%d" % i, address)
            for count in range(1, 10):
                await until(lambda: len(protocol.received) == count)
                await quiet()
                assert len(protocol.received) == count
                if count == 5:
                    peer.sendto(b"10", address)
                transport.resume_reading()
            transport.resume_reading()
            await until(lambda: len(protocol.received) == 10)
            transport.resume_reading()
            await until(lambda: len(protocol.received) == 11)
            assert protocol.received == [
                (b"%d" % i, peer.getsockname()) for i in range(11)
            ]


@pytest.mark.needs_is_reading
@in_loop
async def test_a_receiver_that_pauses_for_good_is_closed(loop):
    class Pause(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            self.transport.pause_reading()

    async with endpoint(loop, Pause) as (transport, protocol):
        with udp() as peer:
            for i in range(10):
                peer.sendto(b"x", transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)
            transport.close()
            transport.resume_reading()
            await protocol.lost
            assert protocol.calls == ["made", "datagram", "lost"]


@pytest.mark.needs_is_reading
@in_loop
async def test_a_receiver_that_pauses_and_resumes_at_once(loop):
    class Blink(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            self.transport.pause_reading()
            self.transport.resume_reading()

    async with endpoint(loop, Blink) as (transport, protocol):
        with udp() as peer:
            for i in range(50):
                peer.sendto(b"%d" % i, transport.get_extra_info("sockname"))
            await until(lambda: len(protocol.received) == 50)
            assert protocol.data == [b"%d" % i for i in range(50)]


@pytest.mark.parametrize("limits", [(-1, None), (None, -1), (1, 2)])
@in_loop
async def test_limits_that_make_no_sense(loop, limits):
    async with endpoint(loop) as (transport, protocol):
        before = transport.get_write_buffer_limits()
        with pytest.raises(ValueError, match="must be >="):
            transport.set_write_buffer_limits(*limits)
        assert transport.get_write_buffer_limits() == before


@in_loop
async def test_many_loops_of_tasks_take_turns(loop):
    """A sender that never waits does not keep the others from running."""
    done = []

    async def other():
        for _ in range(20):
            await asyncio.sleep(0)
        done.append(True)

    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            task = loop.create_task(other())
            while not done:
                transport.sendto(bytes(1000), peer.getsockname())
                await asyncio.sleep(0)
            await task
