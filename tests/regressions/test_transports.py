"""Symptoms of transports and servers that users of other loops reported.

Each test is named by its symptom; all of them were real bugs somewhere.
"""

import asyncio
import collections
import contextlib
import contextvars
import gc
import os
import socket
import ssl
import threading

import pytest

from support.loops import PY314, collect_errors
from support.net import (
    Recorder, fill, in_loop, is_borrowed, is_open, link, pair, quiet,
    receive, reset, settle, until,
)


@in_loop
async def test_nothing_raises_on_a_transport_that_is_gone(loop):
    """write() raised RuntimeError; servers that answer late crashed."""
    for how in ("close", "abort", "reset"):
        async with link(loop) as (transport, protocol, peer):
            if how == "reset":
                reset(peer)
            else:
                getattr(transport, how)()
            await protocol.lost
            await settle()
            transport.write(b"x")
            transport.write_eof()
            transport.pause_reading()
            transport.resume_reading()
            transport.get_extra_info("peername")
            transport.get_extra_info("socket").fileno()
            transport.get_write_buffer_size()
            transport.get_write_buffer_limits()
            transport.set_write_buffer_limits(high=10)
            transport.is_closing()
            transport.is_reading()
            transport.can_write_eof()
            transport.set_protocol(asyncio.Protocol())
            transport.close()
            repr(transport)
            await settle()
            assert protocol.calls.count("lost") == 1
            transport.set_protocol(None)


@in_loop
async def test_writes_from_flow_control_callbacks_do_not_tear_the_queue(loop):
    """A write within resume_writing met an empty queue."""
    class Busy(Recorder):
        rounds = 0

        def pause_writing(self):
            super().pause_writing()
            self.transport.write(b"p")

        def resume_writing(self):
            super().resume_writing()
            self.rounds += 1
            if self.rounds < 5:
                self.transport.write(b"r" * (2 << 20))

        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"d")

    async with link(loop, Busy) as (transport, protocol, peer):
        transport.write(b"r" * (2 << 20))
        counts = collections.Counter()
        while protocol.rounds < 5:
            if counts["turns"] < 50:
                peer.send(b"x")
            counts["turns"] += 1
            with contextlib.suppress(BlockingIOError):
                counts.update(peer.recv(1 << 20))
            await asyncio.sleep(0)
        # To close with something unread is to reset the connection.
        await until(lambda: len(protocol.data) == min(counts["turns"], 50))
        transport.close()
        counts.update(await receive(peer))
        assert counts[ord("r")] == 10 << 20
        # One for each pause, and each is told of once.
        assert counts[ord("p")] == protocol.calls.count("pause") == 5
        assert counts[ord("d")] <= 50


@pytest.mark.parametrize("how", ["close", "abort"])
@in_loop
async def test_a_protocol_that_ends_it_in_resume_writing_is_told_once(
    loop, how
):
    class Leaves(Recorder):
        def resume_writing(self):
            super().resume_writing()
            getattr(self.transport, how)()

    async with link(loop, Leaves) as (transport, protocol, peer):
        errors = collect_errors(loop)
        transport.write(bytes(4 << 20))
        await receive(peer, 4 << 20)
        await protocol.lost
        await settle()
        # asyncio called connection_lost twice up to 3.14 (gh-156512).
        if PY314 or not is_borrowed(transport):
            assert errors == []
            assert protocol.calls == ["made", "pause", "resume", "lost"]
        errors.clear()


@in_loop
async def test_the_first_reason_is_the_one_that_is_told(loop):
    """A later abort, or error, replaced the error that ended it."""
    async with link(loop) as (transport, protocol, peer):
        reason = ConnectionError("the first")
        transport._force_close(reason)
        transport.abort()
        transport.close()
        transport._force_close(ConnectionError("the second"))
        assert await protocol.lost is reason


@in_loop
async def test_a_pipes_descriptor_is_closed_once(loop):
    """The file object and the loop closed the same number, in turn."""
    for _ in range(20):
        reader, writer = os.pipe()
        file = os.fdopen(reader, "rb", 0)
        transport, protocol = await loop.connect_read_pipe(
            lambda: Recorder(loop), file
        )
        os.close(writer)
        await protocol.lost
        await settle()
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
        assert reader in others
        protocol.transport = None
        del transport, file
        gc.collect()
        await settle()
        assert all(is_open(fd) for fd in others)
        for fd in others:
            os.close(fd)


@in_loop
async def test_a_closed_connection_does_not_wait_in_close_wait(loop):
    """Peers that went left sockets behind until the process ended."""
    protocols = []

    def factory():
        protocols.append(Recorder(loop))
        return protocols[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0, backlog=200)
    address = server.sockets[0].getsockname()
    before = len(os.listdir("/proc/self/fd"))
    for count in (100, 200, 300, 400, 500):
        peers = [socket.create_connection(address) for _ in range(100)]
        for peer in peers:
            peer.close()
        await until(
            lambda: len(protocols) == count
            and all(protocol.lost.done() for protocol in protocols)
        )
    await settle()
    assert len(protocols) == 500
    assert len(os.listdir("/proc/self/fd")) == before
    server.close()


@in_loop
async def test_half_open_peers_cost_no_processor(loop):
    """The end of a half-open connection was reported again and again."""
    import time

    class Stay(Recorder):
        keep_open = True

    async with (
        link(loop, Stay) as (_, one, first),
        link(loop, Stay, "unix") as (_, two, second),
    ):
        first.shutdown(socket.SHUT_WR)
        second.shutdown(socket.SHUT_WR)
        await until(lambda: "eof" in one.calls and "eof" in two.calls)
        started = time.process_time()
        await asyncio.sleep(0.3)
        assert time.process_time() - started < 0.15
        assert one.calls == two.calls == ["made", "eof"]


@in_loop
async def test_paused_peers_that_left_cost_no_processor(loop):
    """The kernel reports a hang-up whether one asks for it or not."""
    import time

    async with (
        link(loop) as (one, _, first),
        link(loop, family="unix") as (two, _, second),
    ):
        one.pause_reading()
        two.pause_reading()
        first.close()
        second.close()
        await settle()
        started = time.process_time()
        await asyncio.sleep(0.3)
        assert time.process_time() - started < 0.15


@in_loop
async def test_garbage_is_collected_in_callbacks(loop):
    class Collects(Recorder):
        def note(self, name):
            super().note(name)
            gc.collect()

    for end in ("close", "abort", "reset", "eof"):
        async with link(loop, Collects) as (transport, protocol, peer):
            peer.send(b"x")
            await until(lambda: bool(protocol.data))
            transport.write(bytes(1 << 20))
            if end == "reset":
                reset(peer)
            elif end == "eof":
                peer.shutdown(socket.SHUT_WR)
                await receive(peer)
            else:
                getattr(transport, end)()
                await receive(peer)
            await protocol.lost


@in_loop
async def test_the_last_reference_may_go_in_a_callback(loop):
    class Drops(Recorder):
        def data_received(self, data):
            self.data += data
            self.transport.close()
            self.transport = None
            gc.collect()

    for _ in range(5):
        ours, peer = pair()
        transport, protocol = await loop.create_connection(
            lambda: Drops(loop), sock=ours
        )
        del transport
        peer.send(b"x")
        await protocol.lost
        peer.close()


@in_loop
async def test_data_and_end_that_come_together_are_told_apart(loop):
    """The end overtook the data, or was lost with it."""
    for size in (1, 100, 65536, 262144, 262145):
        async with link(loop, family="unix") as (transport, protocol, peer):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            sent = os.urandom(size)
            left = memoryview(sent)
            while left:
                try:
                    left = left[peer.send(left):]
                except BlockingIOError:
                    await asyncio.sleep(0)
            peer.close()
            await protocol.lost
            assert protocol.data == sent
            assert protocol.calls == ["made", "data", "eof", "lost"]


@in_loop
async def test_a_socket_object_asked_for_does_not_close_the_connection(loop):
    """The object's finalizer closed the descriptor under the transport."""
    async with link(loop) as (transport, protocol, peer):
        for _ in range(3):
            sock = transport.get_extra_info("socket")
            assert sock.fileno() > 2
            del sock
            gc.collect()
        transport.write(b"alive")
        assert await receive(peer, 5) == b"alive"


@in_loop
async def test_two_servers_clients_do_not_end_each_others_wait(loop):
    class Quiet(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)

    made = []
    one = await loop.create_server(Quiet, "127.0.0.1", 0)
    two = await loop.create_server(Quiet, "127.0.0.1", 0)
    peer = socket.create_connection(one.sockets[0].getsockname())
    await until(lambda: bool(made))
    two.close()
    await asyncio.wait_for(two.wait_closed(), 5)
    one.close()
    made[0].abort()
    await asyncio.wait_for(one.wait_closed(), 5)
    peer.close()


@in_loop
async def test_an_abort_from_another_callback_of_the_same_turn(loop):
    """Data was delivered to a connection closed a moment before."""
    async with (
        link(loop) as (one, first, peer1),
        link(loop) as (two, second, peer2),
    ):
        closed = []

        def ender(other):
            def data_received(data):
                if closed:
                    late.append(data)
                else:
                    closed.append(other)
                    other.abort()
            return data_received

        late = []
        first.data_received = ender(two)
        second.data_received = ender(one)
        one.set_protocol(first)
        two.set_protocol(second)
        peer1.send(b"x")
        peer2.send(b"x")
        await until(lambda: first.lost.done() or second.lost.done())
        await quiet()
        assert len(closed) == 1 and late == []


@in_loop
async def test_a_full_write_queue_does_not_hold_back_reading(loop):
    async with link(loop) as (transport, protocol, peer):
        await fill(transport)
        peer.send(b"heard")
        await until(lambda: protocol.data == b"heard")


@in_loop
async def test_transports_of_a_busy_process_survive_a_cancelled_connect(loop):
    """The loser's descriptor was closed twice, the second time another's."""
    victims = [await loop.create_connection(
        lambda: Recorder(loop), sock=pair_kept(kept)
    ) for kept in [[] for _ in range(3)]]
    for turns in range(8):
        ours, peer = pair()
        task = asyncio.create_task(
            loop.create_connection(lambda: Recorder(loop), sock=ours)
        )
        await settle(turns)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()[0].abort()
        ours.close()
        peer.close()
        kept = []
        victims.append(await loop.create_connection(
            lambda: Recorder(loop), sock=pair_kept(kept)
        ))
        victims[-1][1].kept = kept
        del ours, task
        gc.collect()
    for transport, protocol in victims:
        assert "lost" not in protocol.calls
        assert is_open(transport.get_extra_info("socket").fileno())
        transport.abort()
        await protocol.lost
    for kept in KEPT:
        kept.close()
    KEPT.clear()


KEPT = []


def pair_kept(kept):
    ours, peer = pair()
    kept.append(peer)
    KEPT.append(peer)
    return ours


@in_loop
async def test_a_cancelled_drain_leaves_the_writer_usable(loop):
    ours, peer = pair()
    reader, writer = await asyncio.open_connection(sock=ours)
    size = 8 << 20
    writer.write(bytes(size))
    task = asyncio.create_task(writer.drain())
    await settle()
    task.cancel()
    await asyncio.wait([task])
    writer.write(b"end")
    assert (await receive(peer, size + 3))[-3:] == b"end"
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    peer.close()


@in_loop
async def test_a_context_variable_does_not_leak_between_connections(loop):
    var = contextvars.ContextVar("var", default=None)
    seen = []

    class Marks(Recorder):
        def data_received(self, data):
            super().data_received(data)
            seen.append(var.get())
            var.set(bytes(data))

    made = []

    def factory():
        made.append(Marks(loop))
        return made[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    peers = [socket.create_connection(address) for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.send(b"%d" % number)
    await until(lambda: len(seen) == 3)
    assert seen == [None] * 3 and var.get() is None
    for peer in peers:
        peer.close()
    for protocol in made:
        await protocol.lost
    server.close()


@in_loop
async def test_a_server_given_to_another_thread_is_not_touched_there(loop):
    """A transport collected on another thread closed its handle there."""
    ours, peer = pair()
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), sock=ours
    )
    transport.close()
    await protocol.lost
    await settle()
    held = [transport]
    protocol.transport = None
    del transport

    def drop():
        held.clear()
        gc.collect()

    thread = threading.Thread(target=drop)
    thread.start()
    thread.join()
    assert await asyncio.sleep(0.001, "fine") == "fine"
    peer.close()


@in_loop
async def test_asyncios_own_tls_runs_on_the_transport(loop):
    """Servers put its protocol on a transport by hand."""
    from asyncio import sslproto
    from support.tls import NAME, client_context, server_context

    one, two = pair()
    done = loop.create_future()

    class Secret(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(data.upper())

    async def raise_by_hand():
        app = Secret(loop)
        tls = sslproto.SSLProtocol(
            loop, app, server_context(), done, server_side=True
        )
        transport, plain = await loop.create_connection(
            lambda: Recorder(loop), sock=two
        )
        transport.set_protocol(tls)
        tls.connection_made(transport)
        await done
        return app

    app, (transport, protocol) = await asyncio.gather(
        raise_by_hand(),
        loop.create_connection(
            lambda: Recorder(loop), sock=one, ssl=client_context(),
            server_hostname=NAME,
        ),
    )
    transport.write(b"secret")
    await until(lambda: protocol.data == b"SECRET")
    transport.close()
    await protocol.lost
    await app.lost
    assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)


@pytest.mark.parametrize("name", ["fileno", "setsockopt", "getsockopt",
                                  "getsockname", "getpeername", "shutdown",
                                  "dup", "getblocking", "family", "type"])
@in_loop
async def test_the_socket_of_a_transport_is_no_lesser_one(loop, name):
    """Clients call shutdown and setsockopt on it, and found them missing."""
    if name == "getblocking":
        name = "gettimeout"
    async with link(loop) as (transport, protocol, peer):
        assert hasattr(transport.get_extra_info("socket"), name)
