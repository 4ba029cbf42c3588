"""What is replaced by programs and has to be honoured, and other rules of
create_connection and create_unix_connection."""

import asyncio
import contextlib
import contextvars
import gc
import socket
import sys

import pytest

from support import loops
from support.net import Recorder, in_loop, refused_address, settle, until


@pytest.fixture
def listener():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(50)
        sock.settimeout(10)
        yield sock


def resolve_to(loop, *addresses):
    async def resolve(*args, **options):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in addresses
        ]

    loop.getaddrinfo = resolve


async def finish(transport, protocol):
    transport.abort()
    await protocol.lost


# -- replaced ---------------------------------------------------------------

@in_loop
async def test_a_sock_connect_on_the_loop_is_used(loop, listener):
    seen = []
    original = loop.sock_connect

    async def note(sock, address):
        seen.append(address)
        await original(sock, address)

    loop.sock_connect = note
    pair = await loop.create_connection(
        lambda: Recorder(loop), *listener.getsockname()
    )
    assert seen == [listener.getsockname()]
    await finish(*pair)
    del loop.sock_connect


def test_a_sock_connect_of_a_subclass_is_used(kind, listener):
    class Own(loops.loop_class(kind)):
        seen = ()

        async def sock_connect(self, sock, address):
            self.seen += (address,)
            await super().sock_connect(sock, address)

    async def main(loop):
        for options in ({}, {"happy_eyeballs_delay": 0.1}):
            pair = await loop.create_connection(
                lambda: Recorder(loop), *listener.getsockname(), **options
            )
            await finish(*pair)
        resolve_to(loop, refused_address(), listener.getsockname())
        pair = await loop.create_connection(
            lambda: Recorder(loop), "some.name", 80
        )
        await finish(*pair)

    with contextlib.closing(Own()) as loop:
        loop.run_until_complete(main(loop))
        assert len(loop.seen) == 4


@in_loop
async def test_errors_of_a_sock_connect_of_ones_own_are_put_together(loop):
    async def fail(sock, address):
        raise OSError(f"not {address[1]}")

    loop.sock_connect = fail
    resolve_to(loop, ("127.0.0.1", 1), ("127.0.0.1", 2))
    for options in ({}, {"happy_eyeballs_delay": 0}):
        with pytest.raises(
            OSError, match="^Multiple exceptions: not 1, not 2$"
        ):
            await loop.create_connection(
                asyncio.Protocol, "some.name", 80, **options
            )
    del loop.sock_connect


@in_loop
async def test_a_class_in_place_of_the_socket_class_is_used(
    loop, listener, monkeypatch
):
    """Proxies and the guards of test suites do this."""
    made = []

    class Guard(socket.socket):
        def __init__(self, *args, **options):
            made.append(self)
            super().__init__(*args, **options)

        def connect(self, address):
            raise ConnectionRefusedError("guarded")

    address = listener.getsockname()
    monkeypatch.setattr(socket, "socket", Guard)
    with pytest.raises(ConnectionRefusedError, match="guarded"):
        await loop.create_connection(asyncio.Protocol, *address)
    with pytest.raises(ConnectionRefusedError, match="guarded"):
        await loop.create_unix_connection(asyncio.Protocol, "/nowhere")
    monkeypatch.undo()
    assert len(made) == 2 and all(sock.fileno() == -1 for sock in made)


@in_loop
async def test_an_address_that_is_not_numeric_is_resolved_again(
    loop, listener
):
    """A resolver of the user's may give names back."""
    host, port = listener.getsockname()
    asked = []

    async def resolve(name, port, **options):
        asked.append(name)
        known = {"one": "two"}.get(name, host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known, port))]

    loop.getaddrinfo = resolve
    pair = await loop.create_connection(lambda: Recorder(loop), "one", port)
    assert asked == ["one", "two"]
    await finish(*pair)


# -- the call ---------------------------------------------------------------

@in_loop
async def test_the_factory_runs_in_the_callers_task(loop, listener):
    variable = contextvars.ContextVar("variable")
    seen = []

    class Noting(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())

    def factory():
        seen.append(asyncio.current_task())
        variable.set("of the factory")
        return Noting(loop)

    variable.set("of the caller")
    pair = await loop.create_connection(factory, *listener.getsockname())
    before = sys.version_info >= (3, 15)
    assert seen == [
        asyncio.current_task(),
        "of the caller" if before else "of the factory",
    ]
    assert variable.get() == "of the factory"
    await finish(*pair)


@in_loop
async def test_connection_made_is_called_before_the_pair_is_returned(
    loop, listener
):
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), *listener.getsockname()
    )
    assert protocol.calls == ["made"] and protocol.transport is transport
    assert transport.is_reading()
    await finish(transport, protocol)


@in_loop
async def test_a_connection_made_that_raises_is_reported(loop, listener):
    class Bad(Recorder):
        def connection_made(self, transport):
            raise ZeroDivisionError

    reports = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    transport, protocol = await loop.create_connection(
        lambda: Bad(loop), *listener.getsockname()
    )
    assert [type(r["exception"]) for r in reports] == [ZeroDivisionError]
    await finish(transport, protocol)


@pytest.mark.native_only(reason="asyncio drops the transport unclosed")
@in_loop
async def test_what_no_transport_can_serve_is_refused(loop, listener):
    with pytest.raises(AttributeError):
        await loop.create_connection(object, *listener.getsockname())
    peer, _ = listener.accept()
    with peer:
        assert peer.recv(1) == b""


@in_loop
async def test_refusals_in_a_row_let_others_run(loop):
    address = refused_address()
    ticks = 0
    running = True

    def tick():
        nonlocal ticks
        ticks += 1
        if running:
            loop.call_soon(tick)

    tick()
    for _ in range(50):
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(asyncio.Protocol, *address)
    assert ticks >= 50
    running = False


@in_loop
async def test_any_address_leads_to_this_machine(loop, listener):
    """The peer is then not what was asked for."""
    port = listener.getsockname()[1]
    pair = await loop.create_connection(
        lambda: Recorder(loop), "0.0.0.0", port
    )
    assert pair[0].get_extra_info("peername") == ("127.0.0.1", port)
    await finish(*pair)


@in_loop
async def test_the_socket_is_known_without_asking(loop, listener):
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), *listener.getsockname()
    )
    sock = transport.get_extra_info("socket")
    assert (sock.family, sock.type, sock.proto) == (
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    assert sock.gettimeout() == 0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    local = sock.getsockname()
    await finish(transport, protocol)
    assert transport.get_extra_info("sockname") == local
    assert transport.get_extra_info("peername") == listener.getsockname()


@in_loop
async def test_many_at_once(loop, listener):
    listener.listen(200)
    pairs = await asyncio.gather(*[
        loop.create_connection(
            lambda: Recorder(loop), *listener.getsockname()
        )
        for _ in range(100)
    ])
    peers = [listener.accept()[0] for _ in pairs]
    for number, peer in enumerate(peers):
        peer.send(b"%d" % number)
        peer.close()
    await until(lambda: all(p.calls[-1] == "lost" for _, p in pairs))
    assert sorted(int(p.data) for _, p in pairs) == list(range(100))


@pytest.mark.native_only(
    reason="asyncio's connections keep their exceptions in cycles on 3.11"
)
@in_loop
async def test_errors_are_in_no_cycle(loop):
    resolve_to(loop, refused_address(), refused_address())
    gc.collect()
    gc.disable()
    try:
        for options in ({}, {"happy_eyeballs_delay": 0},
                        {"all_errors": True}):
            try:
                await loop.create_connection(
                    asyncio.Protocol, "some.name", 80, **options
                )
            except (OSError, ExceptionGroup) as error:
                caught = error
            found = [
                each for each in gc.get_referrers(caught)
                if each is not test_errors_are_in_no_cycle
                and not asyncio.iscoroutine(each)
            ]
            assert found == []
            del caught
    finally:
        gc.enable()


# -- Unix sockets -----------------------------------------------------------

@in_loop
async def test_a_path_that_is_too_long(loop):
    with pytest.raises(OSError, match="AF_UNIX path too long"):
        await loop.create_unix_connection(asyncio.Protocol, "x" * 200)


@pytest.mark.native_only(reason="asyncio gives out a connection that is none")
@in_loop
async def test_a_full_backlog_of_a_unix_socket_is_an_error(loop, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen(0)
        pairs = []
        with pytest.raises(BlockingIOError):
            for _ in range(5):
                pairs.append(
                    await loop.create_unix_connection(
                        lambda: Recorder(loop), path
                    )
                )
        assert pairs
        for pair in pairs:
            await finish(*pair)
    await settle()
