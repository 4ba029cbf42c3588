"""Cancelled at each step of its way, nothing is left open.

Every operation is started, run for n turns of the loop, cancelled, and run
to its end: for n = 0, 1, 2 ... until it is done before its cancellation.
"""

import asyncio
import contextlib
import gc
import os
import socket
import warnings
from asyncio import base_events

import pytest

from support.leakcheck import open_fds
from support.loops import collect_errors, run_turns
from support.net import (
    Recorder, is_borrowed, only_told_in_debug_mode, pair, refused_address,
)

# More turns than any of them takes.
MOST = 40


async def close(*things):
    """Close what an operation gave back, whatever it was."""
    for thing in things:
        if isinstance(thing, asyncio.StreamWriter):
            thing.transport.abort()
        elif isinstance(thing, asyncio.AbstractServer):
            thing.close()
        elif isinstance(thing, asyncio.BaseTransport):
            getattr(thing, "abort", thing.close)()
    for _ in range(6):
        await asyncio.sleep(0)


class World:
    """A listener, and everything that an operation was given."""

    def __init__(self, loop, tmp_path):
        self.loop = loop
        self.stack = contextlib.ExitStack()
        self.path = str(tmp_path / "s")
        self.tcp = self.stack.enter_context(socket.socket())
        self.tcp.bind(("127.0.0.1", 0))
        self.tcp.listen(100)
        self.unix = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        self.unix.bind(self.path)
        self.unix.listen(100)
        for sock in (self.tcp, self.unix):
            sock.setblocking(False)

    def drain(self):
        """Take in and close who has connected."""
        for sock in (self.tcp, self.unix):
            while True:
                try:
                    accepted, _ = sock.accept()
                except BlockingIOError:
                    break
                accepted.close()

    def protocol(self):
        return Recorder(self.loop)

    def socket_pair(self):
        ours, peer = pair()
        # Known to nobody but the operation, as a rule.
        self.stack.callback(ours.close)
        self.stack.callback(peer.close)
        return ours

    def pipe(self, mode):
        reader, writer = os.pipe()
        mine, given = (writer, reader) if mode == "rb" else (reader, writer)
        self.stack.callback(os.close, mine)
        file = os.fdopen(given, mode, 0)
        self.stack.callback(file.close)
        return file

    def many(self):
        """Makes the resolver give addresses, all but the last refused."""
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (refused_address(), refused_address(),
                            self.tcp.getsockname())
        ]

        async def resolve(*args, **options):
            await asyncio.sleep(0)
            return found

        self.loop.getaddrinfo = resolve
        return "some.name", 80


OPERATIONS = {
    "create_connection": lambda w: w.loop.create_connection(
        w.protocol, *w.tcp.getsockname()
    ),
    "create_connection, refused": lambda w: w.loop.create_connection(
        w.protocol, *refused_address()
    ),
    "create_connection, resolved": lambda w: w.loop.create_connection(
        w.protocol, *w.many()
    ),
    "create_connection, happy eyeballs": lambda w: w.loop.create_connection(
        w.protocol, *w.many(), happy_eyeballs_delay=0
    ),
    "create_connection, local": lambda w: w.loop.create_connection(
        w.protocol, *w.tcp.getsockname(), local_addr=("127.0.0.1", 0)
    ),
    "create_connection, sock": lambda w: w.loop.create_connection(
        w.protocol, sock=w.socket_pair()
    ),
    "connect_accepted_socket": lambda w: w.loop.connect_accepted_socket(
        w.protocol, w.socket_pair()
    ),
    "create_unix_connection": lambda w: w.loop.create_unix_connection(
        w.protocol, w.path
    ),
    "create_unix_connection, none": lambda w: w.loop.create_unix_connection(
        w.protocol, w.path + "x"
    ),
    "create_server": lambda w: w.loop.create_server(
        w.protocol, ["127.0.0.1", "127.0.0.2"], 0
    ),
    "create_unix_server": lambda w: w.loop.create_unix_server(
        w.protocol, w.path + "y"
    ),
    "connect_read_pipe": lambda w: w.loop.connect_read_pipe(
        w.protocol, w.pipe("rb")
    ),
    "connect_write_pipe": lambda w: w.loop.connect_write_pipe(
        w.protocol, w.pipe("wb")
    ),
    "open_connection": lambda w: asyncio.open_connection(
        *w.tcp.getsockname()
    ),
    "open_unix_connection": lambda w: asyncio.open_unix_connection(w.path),
    "start_server": lambda w: asyncio.start_server(
        print, "127.0.0.1", 0
    ),
    "start_unix_server": lambda w: asyncio.start_unix_server(
        print, w.path + "z"
    ),
}


async def called(operation, world):
    """The coroutine is made inside, as some look for the running loop."""
    return await OPERATIONS[operation](world)


def cancelled_after(loop, world, operation, turns):
    """Whether the operation was done before it was cancelled."""
    task = loop.create_task(called(operation, world))
    run_turns(loop, turns)
    done = task.done()
    task.cancel()
    run_turns(loop, 8)
    assert task.done(), f"not done 8 turns after its cancellation at {turns}"
    if not task.cancelled() and task.exception() is None:
        result = task.result()
        result = result if isinstance(result, tuple) else (result,)
        loop.run_until_complete(close(*result))
    return done


@pytest.fixture
def lost_servers(loop, monkeypatch):
    """Closes the servers that nobody got.

    asyncio's create_server leaves one listening when it is cancelled in its
    last step; ours may not, so that there is nothing to close.
    """
    made = []

    def make(*args, server=base_events.Server):
        made.append(server(*args))
        return made[-1]

    if is_borrowed(loop.create_server):
        monkeypatch.setattr(base_events, "Server", make)
    return made


def drop_the_winner(loop):
    """asyncio's race, cancelled when it is won, forgets the socket."""
    if is_borrowed(loop.create_connection):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_cancellation_at_any_step_leaves_no_descriptor(
    loop, tmp_path, operation, lost_servers
):
    errors = collect_errors(loop)
    # What the loop opens once, it opens now.
    loop.run_until_complete(asyncio.sleep(0.001))
    for turns in range(MOST):
        before = open_fds()
        world = World(loop, tmp_path)
        with world.stack:
            done = cancelled_after(loop, world, operation, turns)
            world.drain()
            for server in lost_servers:
                server.close()
        for name in ("s", "sy", "sz"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(tmp_path / name)
        run_turns(loop, 4)
        if "happy eyeballs" in operation:
            drop_the_winner(loop)
        assert open_fds() == before, f"after {turns} turns"
        if done:
            break
    else:
        raise AssertionError(f"not done after {MOST} turns")
    assert errors == []
    # The first round was cancelled before it began, and another within.
    assert turns >= 1


def test_a_cancelled_connect_gives_its_number_back_once(loop):
    """The socket's number may be another's by the time it is collected."""
    for turns in range(6):
        ours, peer = pair()
        fd = ours.fileno()
        task = loop.create_task(
            loop.create_connection(lambda: Recorder(loop), sock=ours)
        )
        run_turns(loop, turns)
        task.cancel()
        run_turns(loop, 6)
        if not task.cancelled():
            transport, protocol = task.result()
            transport.abort()
            run_turns(loop, 4)
        if ours.fileno() == -1:
            # Ours no more: whoever gets the number keeps it.
            others = [os.dup(peer.fileno()) for _ in range(4)]
            assert fd in others
            del task
            gc.collect()
            run_turns(loop, 2)
            for other in others:
                os.close(other)
        else:
            # Cancelled before it began: still the caller's.
            assert ours.fileno() == fd and turns == 0
            ours.close()
        peer.close()


@pytest.mark.parametrize("turns", range(6))
def test_a_cancelled_accept_disturbs_nobody(loop, turns):
    """Cancel every task there is while connections come in."""
    made = []

    def factory():
        made.append(Recorder(loop))
        return made[-1]

    errors = collect_errors(loop)
    with warnings.catch_warnings():
        # asyncio accepts in tasks: cancelled, they leave their sockets to
        # the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        cancel_all(loop, factory, made, turns)
        assert only_told_in_debug_mode(loop, errors)
        errors.clear()
        gc.collect()
    assert errors == []


def cancel_all(loop, factory, made, turns):
    server = loop.run_until_complete(
        loop.create_server(factory, "127.0.0.1", 0)
    )
    address = server.sockets[0].getsockname()
    peers = [socket.create_connection(address) for _ in range(5)]
    run_turns(loop, turns)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    run_turns(loop, 6)
    late = socket.create_connection(address)
    run_turns(loop, 6)
    assert made and made[-1].calls == ["made"]
    for peer in [*peers, late]:
        peer.close()
    loop.run_until_complete(asyncio.wait_for(asyncio.gather(*(
        protocol.lost for protocol in made if protocol.transport
    )), 10))
    server.close()
    run_turns(loop, 4)


@pytest.mark.parametrize("turns", range(8))
def test_a_protocol_that_was_made_hears_of_the_cancellation(loop, turns):
    """In whichever turn it comes; ours makes it sooner than asyncio."""
    heard = []

    class Told(asyncio.Protocol):
        def connection_made(self, transport):
            heard.append("made")

        def connection_lost(self, exc):
            heard.append(exc)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = loop.create_task(
            loop.create_connection(Told, *listener.getsockname())
        )
        run_turns(loop, turns)
        if task.done():
            loop.run_until_complete(close(task.result()[0]))
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(task)
            run_turns(loop, 3)
    assert heard in ([], ["made", None])


@pytest.mark.native_only(reason="asyncio's way to connection_made is longer")
def test_an_address_is_connected_in_two_turns(loop):
    made = []

    class Told(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = loop.create_task(
            loop.create_connection(Told, *listener.getsockname())
        )
        run_turns(loop, 2)
        assert made
        loop.run_until_complete(task)
        loop.run_until_complete(close(*made))
