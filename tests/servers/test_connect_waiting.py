"""Connecting to addresses that neither answer nor refuse at once.

A listener whose backlog is full drops what knocks; the kernel knocks again
after a second. So these tests wait where a local connection is there at once.
"""

import asyncio
import os
import socket

import pytest

from support.leakcheck import open_fds
from support.loops import run_turns
from support.net import Recorder, in_loop, receive, refused_address, until


class Silent:
    """An address that is silent until `answer` or `refuse` is called."""

    def __init__(self, family=socket.AF_INET, host="127.0.0.1"):
        self.sock = socket.socket(family)
        self.sock.bind((host, 0))
        self.sock.listen(0)
        self.address = self.sock.getsockname()
        self.fillers = []
        for _ in range(3):
            filler = socket.socket(family)
            filler.setblocking(False)
            filler.connect_ex(self.address)
            self.fillers.append(filler)

    @property
    def info(self):
        return (self.sock.family, socket.SOCK_STREAM, 6, "", self.address)

    def answer(self):
        """Make room; whoever knocks again is let in."""
        for filler in self.fillers:
            filler.close()
        self.sock.settimeout(10)
        while True:
            peer, _ = self.sock.accept()
            if peer.recv(1):
                return peer
            peer.close()

    def close(self):
        for sock in (self.sock, *self.fillers):
            sock.close()


@pytest.fixture
def silent():
    made = []

    def make():
        made.append(Silent())
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def listener():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(50)
        sock.setblocking(False)
        yield sock


def info(address):
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)


def resolve_to(loop, *infos):
    async def resolve(*args, **options):
        return list(infos)

    loop.getaddrinfo = resolve


@in_loop
async def test_an_answer_that_comes_late_is_taken(loop, silent):
    late = silent()

    class Greeter(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"!")

    task = loop.create_task(
        loop.create_connection(lambda: Greeter(loop), *late.address)
    )
    await asyncio.sleep(0.02)
    assert not task.done()
    peer = await asyncio.to_thread(late.answer)
    transport, protocol = await task
    with peer:
        peer.setblocking(False)
        peer.send(b"here")
        await until(lambda: protocol.data == b"here")
        transport.write(b"there")
        assert await receive(peer, 5) == b"there"
        assert transport.get_extra_info("peername") == late.address
        transport.close()
        assert await protocol.lost is None
    await loop.shutdown_default_executor()


@in_loop
async def test_a_refusal_that_comes_late_is_told(loop, silent):
    late = silent()
    task = loop.create_task(
        loop.create_connection(asyncio.Protocol, *late.address)
    )
    await asyncio.sleep(0.02)
    late.close()
    with pytest.raises(ConnectionRefusedError) as caught:
        await task
    assert str(caught.value) == (
        f"[Errno 111] Connect call failed {late.address!r}"
    )


@in_loop
async def test_a_late_refusal_starts_the_next_address(loop, silent, listener):
    late = silent()
    resolve_to(loop, late.info, info(listener.getsockname()))
    task = loop.create_task(
        loop.create_connection(lambda: Recorder(loop), "some.name", 80)
    )
    await asyncio.sleep(0.02)
    assert not task.done()
    late.close()
    transport, protocol = await task
    assert transport.get_extra_info("peername") == listener.getsockname()
    transport.abort()
    await protocol.lost


@in_loop
async def test_losers_are_closed_before_the_winner_is_given_out(
    loop, silent, listener
):
    one, two = silent(), silent()
    resolve_to(loop, one.info, two.info, info(listener.getsockname()))
    before = open_fds()
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), "some.name", 80, happy_eyeballs_delay=0.01
    )
    assert len(set(open_fds()) - set(before)) == 1
    transport.abort()
    await protocol.lost


@in_loop
async def test_each_address_has_its_delay(loop, silent, listener):
    resolve_to(
        loop, silent().info, silent().info, info(listener.getsockname())
    )
    started = loop.time()
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), "some.name", 80, happy_eyeballs_delay=0.1
    )
    assert 0.2 <= loop.time() - started < 0.9
    transport.abort()
    await protocol.lost


@in_loop
async def test_a_refusal_does_not_wait_for_the_delay(loop, silent, listener):
    """After the one that is silent comes its delay; after those that refuse
    none."""
    resolve_to(
        loop, silent().info, info(refused_address()),
        info(refused_address()), info(listener.getsockname()),
    )
    started = loop.time()
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), "some.name", 80, happy_eyeballs_delay=0.2
    )
    assert 0.2 <= loop.time() - started < 0.39
    transport.abort()
    await protocol.lost


@in_loop
async def test_without_a_delay_the_first_address_is_waited_for(
    loop, silent, listener
):
    resolve_to(loop, silent().info, info(listener.getsockname()))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            loop.create_connection(asyncio.Protocol, "some.name", 80), 0.05
        )
    with pytest.raises(BlockingIOError):
        listener.accept()


# -- cancelled --------------------------------------------------------------

def waiting(loop, silent, options, count=3):
    resolve_to(loop, *[silent().info for _ in range(count)])
    return loop.create_connection(
        asyncio.Protocol, "some.name", 80, **options
    )


@pytest.mark.parametrize("turns", range(0, 12))
@pytest.mark.parametrize("options", [
    {}, {"happy_eyeballs_delay": 0}, {"happy_eyeballs_delay": 30},
    {"local_addr": ("127.0.0.1", 0)},
])
def test_a_cancelled_connect_leaves_no_descriptor(
    loop, silent, options, turns
):
    run_turns(loop)  # opens what a loop keeps
    coro = waiting(loop, silent, options)
    before = open_fds()
    task = loop.create_task(coro)
    run_turns(loop, turns)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert open_fds().keys() == before.keys()
    run_turns(loop, 5)
    assert not loop._scheduled or all(
        handle.cancelled() for handle in loop._scheduled
    )


def test_a_loop_that_closes_under_a_connect_leaves_no_descriptor(
    loop, silent
):
    coro = waiting(loop, silent, {})
    before = open_fds()
    task = loop.create_task(coro)
    task._log_destroy_pending = False
    run_turns(loop, 12)
    assert len(open_fds()) > len(before)
    loop.close()
    coro.close()
    del task
    # The loop's own descriptors went as well.
    assert not open_fds().keys() - before.keys()


@in_loop
async def test_connects_side_by_side_do_not_disturb_each_other(
    loop, silent, listener
):
    """Some are cancelled while they wait, and their numbers used again."""
    address = silent().address
    for _ in range(5):
        tasks = [
            loop.create_task(loop.create_connection(asyncio.Protocol, *address))
            for _ in range(5)
        ]
        await asyncio.sleep(0.005)
        for task in tasks:
            task.cancel()
        pairs = [
            await loop.create_connection(
                lambda: Recorder(loop), *listener.getsockname()
            )
            for _ in range(5)
        ]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in done} == {asyncio.CancelledError}
        for transport, protocol in pairs:
            peer, _ = listener.accept()
            with peer:
                peer.send(b"x")
            await until(lambda p=protocol: p.data == b"x")
            await protocol.lost
            transport.close()


@pytest.mark.native_only(reason="asyncio never hears of it and waits for ever")
@in_loop
async def test_a_descriptor_closed_under_a_connect_is_an_error(
    loop, silent, listener
):
    """Before the kernel was told to watch it; then the next is tried."""
    one = silent()

    def close_it():
        (new,) = open_fds().keys() - before.keys()
        os.close(new)

    before = open_fds()
    task = loop.create_task(
        loop.create_connection(asyncio.Protocol, *one.address)
    )
    loop.call_soon(close_it)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await task
    resolve_to(loop, one.info, info(listener.getsockname()))
    task = loop.create_task(
        loop.create_connection(lambda: Recorder(loop), "some.name", 80)
    )
    loop.call_soon(close_it)
    transport, protocol = await task
    transport.abort()
    await protocol.lost
