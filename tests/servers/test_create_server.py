"""create_server: every keyword, and what it refuses."""

import asyncio
import os
import re
import select
import socket
import ssl

import asyncloop
import pytest

from support.loops import PY313
from support.net import (
    Recorder, in_loop, is_open, quiet, receive, refused_address, settle,
    until,
)


async def check(loop, server, address=None, family=socket.AF_INET):
    """A client gets through to the server, which is closed then."""
    address = address or server.sockets[0].getsockname()
    with socket.socket(family) as sock:
        sock.settimeout(10)
        sock.connect(address)
        sock.setblocking(False)
        assert await receive(sock, 5) == b"hello"
        sock.close()
        await settle()
    await until(lambda: Hello.alive == 0)
    server.close()
    await server.wait_closed()


@pytest.fixture(autouse=True)
def nobody_yet():
    Hello.alive = 0


class Hello(asyncio.Protocol):
    alive = 0

    def connection_made(self, transport):
        Hello.alive += 1
        transport.write(b"hello")

    def connection_lost(self, error):
        Hello.alive -= 1


@pytest.fixture
def ipv6():
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")


# -- hosts ------------------------------------------------------------------

@in_loop
async def test_a_host_by_address(loop):
    server = await loop.create_server(Hello, "127.0.0.1", 0)
    [sock] = server.sockets
    assert sock.getsockname()[0] == "127.0.0.1"
    assert sock.family == socket.AF_INET
    await check(loop, server)


@in_loop
async def test_a_host_by_ipv6_address(loop, ipv6):
    server = await loop.create_server(Hello, "::1", 0)
    [sock] = server.sockets
    assert sock.family == socket.AF_INET6
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    await check(loop, server, family=socket.AF_INET6)


@in_loop
async def test_several_hosts(loop):
    server = await loop.create_server(Hello, ["127.0.0.1", "127.0.0.2"], 0)
    names = {sock.getsockname()[0] for sock in server.sockets}
    assert names == {"127.0.0.1", "127.0.0.2"}
    for sock in server.sockets[:1]:
        with socket.create_connection(sock.getsockname()) as peer:
            peer.setblocking(False)
            assert await receive(peer, 5) == b"hello"
    await check(loop, server, server.sockets[1].getsockname())


@in_loop
async def test_a_host_given_twice_is_bound_once(loop):
    port = refused_address()[1]
    server = await loop.create_server(
        Hello, ("127.0.0.1", "127.0.0.1"), port
    )
    assert len(server.sockets) == 1
    await check(loop, server)


@pytest.mark.parametrize("host", [None, ""])
@in_loop
async def test_no_host_means_every_interface(loop, host):
    server = await loop.create_server(Hello, host, 0, family=socket.AF_INET)
    [sock] = server.sockets
    name, port = sock.getsockname()
    assert name == "0.0.0.0"
    await check(loop, server, ("127.0.0.1", port))
    await loop.shutdown_default_executor()


@in_loop
async def test_no_host_means_every_family(loop, ipv6):
    port = refused_address()[1]
    server = await loop.create_server(Hello, None, port)
    families = {sock.family for sock in server.sockets}
    assert families == {socket.AF_INET, socket.AF_INET6}
    assert {sock.getsockname()[1] for sock in server.sockets} == {port}
    await check(loop, server, ("127.0.0.1", port))
    await loop.shutdown_default_executor()


@in_loop
async def test_a_host_by_name(loop):
    server = await loop.create_server(
        Hello, "localhost", 0, family=socket.AF_INET
    )
    assert server.sockets[0].getsockname()[0] == "127.0.0.1"
    await check(loop, server)
    await loop.shutdown_default_executor()


@in_loop
async def test_names_are_resolved_by_the_loops_own_method(loop):
    asked = []

    async def resolve(host, port, **options):
        asked.append((host, port, options))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "",
                 ("127.0.0.1", 0))]

    loop.getaddrinfo = resolve
    server = await loop.create_server(
        Hello, "some.name", 80, flags=socket.AI_CANONNAME
    )
    assert asked == [("some.name", 80, {
        "family": socket.AF_UNSPEC, "type": socket.SOCK_STREAM, "proto": 0,
        "flags": socket.AI_CANONNAME,
    })]
    await check(loop, server)
    asked.clear()
    server = await loop.create_server(Hello, ["a", "b"], "http")
    assert [(host, port) for host, port, _ in asked] == [
        ("a", "http"), ("b", "http"),
    ]
    assert asked[0][2]["flags"] == socket.AI_PASSIVE
    await check(loop, server)


@in_loop
async def test_a_resolver_that_finds_nothing(loop):
    async def resolve(*args, **options):
        return []

    loop.getaddrinfo = resolve
    with pytest.raises(
        OSError,
        match=re.escape("getaddrinfo('some.name') returned empty list"),
    ):
        await loop.create_server(Hello, "some.name", 80)


@in_loop
async def test_a_service_by_name(loop):
    """The system's table of services may be empty, or the port barred."""
    try:
        port = socket.getservbyname("http-alt", "tcp")
    except OSError:
        pytest.skip("this machine knows no services by name")
    server = await loop.create_server(
        Hello, "127.0.0.3", "http-alt", family=socket.AF_INET
    )
    assert server.sockets[0].getsockname() == ("127.0.0.3", port)
    await check(loop, server)
    await loop.shutdown_default_executor()


# -- options of the sockets -------------------------------------------------

def option(server, name):
    [sock] = server.sockets
    return sock.getsockopt(socket.SOL_SOCKET, getattr(socket, name)) != 0


@pytest.mark.parametrize("given, expected", [
    ({}, True), ({"reuse_address": None}, True),
    ({"reuse_address": True}, True), ({"reuse_address": False}, False),
])
@in_loop
async def test_reuse_address_is_on_unless_told(loop, given, expected):
    server = await loop.create_server(Hello, "127.0.0.1", 0, **given)
    assert option(server, "SO_REUSEADDR") is expected
    await check(loop, server)


@in_loop
async def test_reuse_port_lets_two_servers_share(loop):
    one = await loop.create_server(Hello, "127.0.0.1", 0, reuse_port=True)
    assert option(one, "SO_REUSEPORT")
    port = one.sockets[0].getsockname()[1]
    two = await loop.create_server(
        Hello, "127.0.0.1", port, reuse_port=True
    )
    with pytest.raises(OSError):
        await loop.create_server(Hello, "127.0.0.1", port)
    one.close()
    await check(loop, two)
    server = await loop.create_server(Hello, "127.0.0.1", 0)
    assert not option(server, "SO_REUSEPORT")
    server.close()


@in_loop
async def test_keep_alive(loop):
    if not (PY313 or isinstance(loop, asyncloop.Loop)):  # asyncio is older
        with pytest.raises(TypeError, match="keep_alive"):
            await loop.create_server(Hello, "127.0.0.1", 0, keep_alive=True)
        return
    for given, expected in [({}, False), ({"keep_alive": True}, True),
                            ({"keep_alive": False}, False)]:
        server = await loop.create_server(Hello, "127.0.0.1", 0, **given)
        assert option(server, "SO_KEEPALIVE") is expected
        await check(loop, server)


@pytest.mark.parametrize("backlog, at_once", [(1, 2), (5, 6), (100, 10)])
@in_loop
async def test_the_backlog_bounds_who_may_wait(loop, backlog, at_once):
    """One more than it says gets in, on Linux; the others try again."""
    server = await loop.create_server(
        Hello, "127.0.0.1", 0, backlog=backlog
    )
    address = server.sockets[0].getsockname()
    waiting = [socket.socket() for _ in range(10)]
    for peer in waiting:
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.connect(address)
    # Nobody is accepted meanwhile: the loop does not run.
    _, connected, _ = select.select([], waiting, [], 0.05)
    assert len(connected) == at_once
    for peer in connected:
        assert await receive(peer, 5) == b"hello"
    for peer in waiting:
        peer.close()
    await until(lambda: Hello.alive == 0)
    server.close()


@in_loop
async def test_accepted_connections_do_not_delay_and_do_not_block(loop):
    made = []

    class Look(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            made.append(transport.get_extra_info("socket"))
            transport.write(b"hello")

    server = await loop.create_server(lambda: Look(loop), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as peer:
        peer.setblocking(False)
        assert await receive(peer, 5) == b"hello"
        [sock] = made
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert sock.gettimeout() == 0
        with sock.dup() as again:
            assert not again.getblocking()
        assert not os.get_inheritable(sock.fileno())
    await until(lambda: sock.fileno() == -1)
    server.close()


# -- errors -----------------------------------------------------------------

@in_loop
async def test_an_address_in_use(loop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = taken.getsockname()
        with pytest.raises(OSError) as caught:
            await loop.create_server(Hello, *address)
        assert caught.value.errno == 98
        text = f"error while attempting to bind on address {address!r}: "
        assert text in str(caught.value)
        assert "address already in use" in str(caught.value)


@in_loop
async def test_one_address_in_use_among_several_leaves_none_bound(loop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError):
            await loop.create_server(
                Hello, ["127.0.0.1", "127.0.0.2", "127.0.0.3"], port
            )
        server = await loop.create_server(Hello, "127.0.0.1", port)
        await check(loop, server)


@in_loop
async def test_an_address_that_is_not_of_this_machine(loop):
    """From 3.13 on such addresses are passed over, if others are left."""
    foreign = "192.0.2.1"
    with pytest.raises(OSError) as caught:
        await loop.create_server(Hello, foreign, 0)
    if PY313:
        assert str(caught.value) == (
            f"could not bind on any address out of {[(foreign, 0)]!r}"
        )
        server = await loop.create_server(Hello, [foreign, "127.0.0.1"], 0)
        assert len(server.sockets) == 1
        await check(loop, server)
    else:
        assert caught.value.errno == 99
        assert "cannot assign requested address" in str(caught.value)


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40])
@in_loop
async def test_a_port_out_of_range(loop, port):
    with pytest.raises(OverflowError):
        await loop.create_server(Hello, "127.0.0.1", port)


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
WRONG = {
    "nothing": ({}, ValueError, "Neither host/port nor sock were specified"),
    "ssl true": (
        {"host": "127.0.0.1", "port": 0, "ssl": True}, TypeError,
        "ssl argument must be an SSLContext or None",
    ),
    "ssl false": (
        {"host": "127.0.0.1", "port": 0, "ssl": False}, TypeError,
        "ssl argument must be an SSLContext or None",
    ),
    "handshake": (
        {"host": "127.0.0.1", "port": 0, "ssl_handshake_timeout": 1},
        ValueError, "ssl_handshake_timeout is only meaningful with ssl",
    ),
    "shutdown": (
        {"host": "127.0.0.1", "port": 0, "ssl_shutdown_timeout": 1},
        ValueError, "ssl_shutdown_timeout is only meaningful with ssl",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@in_loop
async def test_arguments_that_do_not_belong_together(loop, wrong):
    options, kind, text = WRONG[wrong]
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        await loop.create_server(Hello, **options)


# -- sock -------------------------------------------------------------------

@in_loop
async def test_a_socket_of_the_callers(loop):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = await loop.create_server(Hello, sock=sock)
    assert sock.gettimeout() == 0
    assert server.sockets[0].fileno() == sock.fileno()
    await check(loop, server)
    assert sock.fileno() == -1


@in_loop
async def test_a_socket_that_listens_already(loop):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    with socket.create_connection(sock.getsockname()) as early:
        early.setblocking(False)
        server = await loop.create_server(Hello, sock=sock)
        assert await receive(early, 5) == b"hello"
    await check(loop, server)


@in_loop
async def test_a_socket_and_an_address_together_are_refused(loop):
    with socket.socket() as sock:
        for options in ({"host": "127.0.0.1"}, {"port": 0}):
            with pytest.raises(
                ValueError,
                match="^host/port and sock can not be specified at the same",
            ):
                await loop.create_server(Hello, sock=sock, **options)
        assert is_open(sock.fileno())


@in_loop
async def test_a_socket_of_another_kind_is_refused(loop):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(
            ValueError, match="^A Stream Socket was expected, got <socket"
        ):
            await loop.create_server(Hello, sock=sock)
        assert is_open(sock.fileno())


@in_loop
async def test_a_unix_socket_will_do_as_well(loop, tmp_path):
    path = str(tmp_path / "s")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    server = await loop.create_server(Hello, sock=sock)
    await check(loop, server, path, socket.AF_UNIX)


@in_loop
async def test_unknown_keywords_are_refused(loop):
    with pytest.raises(TypeError, match="happy_eyeballs_delay"):
        await loop.create_server(
            Hello, "127.0.0.1", 0, happy_eyeballs_delay=1
        )
    with pytest.raises(TypeError):
        await loop.create_server()


# -- connect_accepted_socket ------------------------------------------------

@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
@in_loop
async def test_an_accepted_socket_gets_a_transport(loop, family, tmp_path):
    with socket.socket(family) as listener:
        if family == socket.AF_UNIX:
            listener.bind(str(tmp_path / "s"))
        else:
            listener.bind(("127.0.0.1", 0))
        listener.listen()
        peer = socket.socket(family)
        peer.connect(listener.getsockname())
        sock, _ = listener.accept()
    peer.setblocking(False)
    transport, protocol = await loop.connect_accepted_socket(
        lambda: Recorder(loop), sock
    )
    assert protocol.calls == ["made"]
    assert sock.gettimeout() == 0
    assert transport.get_extra_info("peername") == peer.getsockname()
    peer.send(b"in")
    await until(lambda: protocol.data == b"in")
    transport.write(b"out")
    assert await receive(peer, 3) == b"out"
    transport.close()
    await protocol.lost
    await settle()
    assert sock.fileno() == -1
    peer.close()


@in_loop
async def test_connect_accepted_socket_refuses_what_is_no_stream(loop):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(
            ValueError, match="^A Stream Socket was expected, got <socket"
        ):
            await loop.connect_accepted_socket(Hello, sock)
        assert is_open(sock.fileno())
    with socket.socket() as sock:
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout"):
            with pytest.raises(
                ValueError, match=f"^{name} is only meaningful with ssl$"
            ):
                await loop.connect_accepted_socket(Hello, sock, **{name: 1})
        assert is_open(sock.fileno())


@in_loop
async def test_connections_of_a_hand_made_server(loop):
    """An accept loop of the program's own, and 30 clients."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    listener.setblocking(False)
    peers = []
    for _ in range(30):
        peer = socket.create_connection(listener.getsockname())
        peer.setblocking(False)
        peers.append(peer)
    protocols = []
    for _ in peers:
        sock, _ = listener.accept()
        transport, protocol = await loop.connect_accepted_socket(
            lambda: Recorder(loop), sock
        )
        transport.write(b"hello")
        protocols.append(protocol)
    for peer in peers:
        assert await receive(peer, 5) == b"hello"
        peer.close()
    for protocol in protocols:
        assert await protocol.lost is None
    listener.close()
    await quiet()
    assert all(p.calls == ["made", "eof", "lost"] for p in protocols)
    assert len(protocols) == 30
