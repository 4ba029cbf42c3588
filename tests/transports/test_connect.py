"""create_connection: every keyword, and what it refuses."""

import asyncio
import re
import socket
import ssl

import pytest

from support.loops import PY312, PY314
from support.net import (
    Recorder, in_loop, is_borrowed, is_open, pair, receive, refused_address,
    settle, tcp_pair, until,
)


@pytest.fixture
def listener():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(50)
        sock.settimeout(10)
        yield sock


@pytest.fixture
def listener6():
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        sock.listen(50)
        sock.settimeout(10)
        yield sock


async def check(loop, listener, *args, **options):
    """Connect, exchange a word each way, close; the transport."""
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), *args, **options
    )
    peer, _ = listener.accept()
    with peer:
        peer.setblocking(False)
        transport.write(b"question")
        assert await receive(peer, 8) == b"question"
        peer.send(b"answer")
        await until(lambda: protocol.data == b"answer")
        transport.close()
        assert await protocol.lost is None
    await settle()
    return transport


async def connect(loop, *args, **options):
    return await loop.create_connection(asyncio.Protocol, *args, **options)


# -- addresses --------------------------------------------------------------

@in_loop
async def test_a_literal_address(loop, listener):
    transport = await check(loop, listener, *listener.getsockname())
    peername = transport.get_extra_info("peername")
    assert peername == listener.getsockname()


@in_loop
async def test_a_literal_address_asks_no_resolver(loop, listener):
    async def fail(*args, **options):
        raise AssertionError("asked for", args)

    loop.getaddrinfo = fail
    await check(loop, listener, *listener.getsockname())
    host, port = listener.getsockname()
    await check(loop, listener, host, str(port))
    await check(loop, listener, host, port, family=socket.AF_INET)
    await check(loop, listener, host, port, proto=socket.IPPROTO_TCP)


@in_loop
async def test_a_literal_ipv6_address(loop, listener6):
    transport = await check(loop, listener6, *listener6.getsockname()[:2])
    assert transport.get_extra_info("peername") == listener6.getsockname()


@in_loop
async def test_a_name_is_resolved_by_the_loops_own_method(loop, listener):
    """Tests and DNS pinning replace loop.getaddrinfo."""
    host, port = listener.getsockname()
    asked = []

    async def resolve(host, port, **options):
        asked.append((host, port, options))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "",
                 listener.getsockname())]

    loop.getaddrinfo = resolve
    await check(loop, listener, "some.name", 80)
    assert asked == [("some.name", 80, {
        "family": 0, "type": socket.SOCK_STREAM, "proto": 0, "flags": 0,
    })]
    asked.clear()
    await check(loop, listener, "some.name", "http", family=socket.AF_INET,
                proto=socket.IPPROTO_TCP, flags=socket.AI_ADDRCONFIG)
    assert asked == [("some.name", "http", {
        "family": socket.AF_INET, "type": socket.SOCK_STREAM,
        "proto": socket.IPPROTO_TCP, "flags": socket.AI_ADDRCONFIG,
    })]


@in_loop
async def test_localhost_is_resolved(loop, listener):
    port = listener.getsockname()[1]
    await check(loop, listener, "localhost", port, family=socket.AF_INET)
    await loop.shutdown_default_executor()


@in_loop
async def test_no_host_means_this_machine(loop, listener):
    port = listener.getsockname()[1]
    await check(loop, listener, None, port, family=socket.AF_INET)
    await check(loop, listener, port=port, family=socket.AF_INET)
    await loop.shutdown_default_executor()


@in_loop
async def test_a_port_may_be_the_name_of_a_service(loop):
    """Refused or not, the number is that of the service."""
    try:
        port = socket.getservbyname("discard", "tcp")
    except OSError:
        pytest.skip("this machine knows no services by name")
    tried = []

    async def note(sock, address):
        tried.append(address)
        raise ConnectionRefusedError

    loop.sock_connect = note
    try:
        await connect(loop, "127.0.0.1", "discard", family=socket.AF_INET)
    except ConnectionRefusedError as error:
        # A loop that connects without its own sock_connect names it here.
        assert tried == [("127.0.0.1", port)] or str(port) in str(error)
    await loop.shutdown_default_executor()


@in_loop
async def test_the_first_address_that_answers_is_taken(loop, listener):
    async def resolve(*args, **options):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (refused_address(), refused_address(),
                            listener.getsockname(), refused_address())
        ]

    loop.getaddrinfo = resolve
    transport = await check(loop, listener, "some.name", 80)
    assert transport.get_extra_info("peername") == listener.getsockname()


@in_loop
async def test_a_resolver_that_finds_nothing(loop):
    async def resolve(*args, **options):
        return []

    loop.getaddrinfo = resolve
    with pytest.raises(
        OSError, match=re.escape("getaddrinfo() returned empty list")
    ):
        await connect(loop, "some.name", 80)


@in_loop
async def test_a_resolvers_error_is_the_callers(loop):
    async def resolve(*args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    loop.getaddrinfo = resolve
    with pytest.raises(socket.gaierror, match="no such name"):
        await connect(loop, "some.name", 80)


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40])
@in_loop
async def test_a_port_out_of_range(loop, port):
    with pytest.raises(OverflowError):
        await connect(loop, "127.0.0.1", port)


# -- refused ----------------------------------------------------------------

@in_loop
async def test_a_refusal_is_the_kernels_error_with_the_address(loop):
    address = refused_address()
    with pytest.raises(ConnectionRefusedError) as caught:
        await connect(loop, *address)
    error = caught.value
    assert error.errno == 111
    assert str(error) == f"[Errno 111] Connect call failed {address!r}"


def addresses(*given):
    async def resolve(*args, **options):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in given
        ]

    return resolve


@in_loop
async def test_several_refusals_are_told_together(loop):
    one, two = refused_address(), refused_address()
    loop.getaddrinfo = addresses(one, two)
    with pytest.raises(OSError) as caught:
        await connect(loop, "some.name", 80)
    assert type(caught.value) is OSError
    assert str(caught.value) == (
        f"Multiple exceptions: [Errno 111] Connect call failed {one!r}, "
        f"[Errno 111] Connect call failed {two!r}"
    )


@in_loop
async def test_equal_refusals_are_told_once(loop):
    address = refused_address()
    loop.getaddrinfo = addresses(address, address)
    with pytest.raises(ConnectionRefusedError) as caught:
        await connect(loop, "some.name", 80)
    assert str(caught.value).count(str(address[1])) == 1


@in_loop
async def test_all_errors_gives_each_of_them(loop):
    one, two = refused_address(), refused_address()
    loop.getaddrinfo = addresses(one, two)
    if not PY312 and is_borrowed(loop.create_connection):
        with pytest.raises(TypeError, match="all_errors"):
            await connect(loop, "some.name", 80, all_errors=True)
        return
    with pytest.raises(ExceptionGroup) as caught:
        await connect(loop, "some.name", 80, all_errors=True)
    assert caught.value.message == "create_connection failed"
    assert [type(e) for e in caught.value.exceptions] == [
        ConnectionRefusedError] * 2
    for error, address in zip(caught.value.exceptions, (one, two)):
        assert str(address) in str(error)
    loop.getaddrinfo = addresses(one)
    with pytest.raises(ExceptionGroup) as caught:
        await connect(loop, "some.name", 80, all_errors=True)
    assert len(caught.value.exceptions) == 1


# -- local_addr -------------------------------------------------------------

@in_loop
async def test_the_local_address_can_be_chosen(loop, listener):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local = probe.getsockname()
    transport = await check(
        loop, listener, *listener.getsockname(), local_addr=local
    )
    assert transport.get_extra_info("sockname") == local
    transport = await check(
        loop, listener, *listener.getsockname(), local_addr=("127.0.0.2", 0)
    )
    assert transport.get_extra_info("sockname")[0] == "127.0.0.2"


@in_loop
async def test_a_local_address_that_is_taken(loop, listener):
    taken = listener.getsockname()
    with pytest.raises(OSError) as caught:
        await connect(loop, *taken, local_addr=taken)
    assert caught.value.errno == 98
    text = str(caught.value)
    assert f"error while attempting to bind on address {taken!r}" in text
    assert "address already in use" in text


@in_loop
async def test_a_local_address_of_another_family(loop, listener):
    with pytest.raises(OSError) as caught:
        await connect(
            loop, *listener.getsockname(), local_addr=("::1", 0)
        )
    assert "no matching local address with family=" in str(caught.value)


# -- happy eyeballs ---------------------------------------------------------

@pytest.mark.parametrize("delay", [0, 0.01, 0.25])
@in_loop
async def test_happy_eyeballs_takes_the_one_that_answers(
    loop, listener, delay
):
    loop.getaddrinfo = addresses(
        refused_address(), listener.getsockname(), refused_address()
    )
    transport = await check(
        loop, listener, "some.name", 80, happy_eyeballs_delay=delay
    )
    assert transport.get_extra_info("peername") == listener.getsockname()


def unanswering():
    """An address that neither answers nor refuses: its backlog is full."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        try:
            filler.connect(sock.getsockname())
        except BlockingIOError:
            pass
        fillers.append(filler)
    return sock, fillers


@in_loop
async def test_happy_eyeballs_does_not_wait_for_one_that_is_silent(
    loop, listener
):
    sock, fillers = unanswering()
    loop.getaddrinfo = addresses(sock.getsockname(), listener.getsockname())
    started = loop.time()
    transport = await check(
        loop, listener, "some.name", 80, happy_eyeballs_delay=0.05
    )
    assert 0.05 <= loop.time() - started < 0.9
    assert transport.get_extra_info("peername") == listener.getsockname()
    for filler in [sock, *fillers]:
        filler.close()


@in_loop
async def test_happy_eyeballs_tells_all_refusals(loop):
    one, two = refused_address(), refused_address()
    loop.getaddrinfo = addresses(one, two)
    with pytest.raises(OSError, match="^Multiple exceptions: ") as caught:
        await connect(loop, "some.name", 80, happy_eyeballs_delay=0.01)
    assert str(one) in str(caught.value) and str(two) in str(caught.value)


@pytest.mark.parametrize("options, expected", [
    ({}, "6a 6b 6c 4a 4b"),
    ({"interleave": 0}, "6a 6b 6c 4a 4b"),
    ({"interleave": 1}, "6a 4a 6b 4b 6c"),
    ({"interleave": 2}, "6a 6b 4a 6c 4b"),
    ({"interleave": 3}, "6a 6b 6c 4a 4b"),
    ({"happy_eyeballs_delay": 0.001}, "6a 4a 6b 4b 6c"),
    ({"happy_eyeballs_delay": 0.001, "interleave": 2}, "6a 6b 4a 6c 4b"),
])
@in_loop
async def test_families_are_interleaved(loop, options, expected):
    """Seen in the order of the refusals."""
    where = {
        "6a": "::1", "6b": "::1", "6c": "::1", "4a": "127.0.0.1",
        "4b": "127.0.0.2",
    }
    ports = {name: refused_address()[1] for name in where}

    async def resolve(*args, **given):
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "",
             (where[name], ports[name], 0, 0))
            if name[0] == "6" else
            (socket.AF_INET, socket.SOCK_STREAM, 6, "",
             (where[name], ports[name]))
            for name in ("6a", "6b", "6c", "4a", "4b")
        ]

    loop.getaddrinfo = resolve
    with pytest.raises(OSError) as caught:
        await connect(loop, "some.name", 80, **options)
    names = {str(port): name for name, port in ports.items()}
    found = re.findall(r"\('[^']*', (\d+)", str(caught.value))
    assert " ".join(names[port] for port in found) == expected


# -- sock -------------------------------------------------------------------

@in_loop
async def test_a_connected_socket_is_taken_over(loop):
    for family in ("tcp", "unix"):
        ours, peer = pair(family)
        transport, protocol = await loop.create_connection(
            lambda: Recorder(loop), sock=ours
        )
        transport.write(b"x")
        assert await receive(peer, 1) == b"x"
        transport.close()
        await protocol.lost
        peer.close()


@in_loop
async def test_a_socket_of_another_kind_is_refused(loop):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(
            ValueError, match="^A Stream Socket was expected, got <socket"
        ):
            await connect(loop, sock=sock)
        # It is the caller's still.
        assert is_open(sock.fileno())


@in_loop
async def test_an_unconnected_socket_fails_when_it_is_used(loop):
    sock = socket.socket()
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), sock=sock
    )
    assert transport.get_extra_info("peername") is None
    assert await protocol.lost is None or protocol.error.errno == 107


@in_loop
async def test_a_socket_that_a_transport_owns_is_refused_by_readers(loop):
    ours, peer = tcp_pair()
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), sock=ours
    )
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(ours.fileno(), int)
    with pytest.raises(RuntimeError, match="is used by transport"):
        await loop.sock_recv(ours, 1)
    transport.close()
    await protocol.lost
    peer.close()


# -- arguments --------------------------------------------------------------

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
WRONG = {
    "nothing": (
        {}, "host and port was not specified and no sock specified",
    ),
    "server_hostname": (
        {"host": "a", "port": 1, "server_hostname": "a"},
        "server_hostname is only meaningful with ssl",
    ),
    "handshake": (
        {"host": "a", "port": 1, "ssl_handshake_timeout": 1},
        "ssl_handshake_timeout is only meaningful with ssl",
    ),
    "shutdown": (
        {"host": "a", "port": 1, "ssl_shutdown_timeout": 1},
        "ssl_shutdown_timeout is only meaningful with ssl",
    ),
    "ssl without a name": (
        {"host": None, "port": 1, "ssl": CONTEXT},
        "You must set server_hostname when using ssl without a host",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@in_loop
async def test_arguments_that_do_not_belong_together(loop, wrong):
    options, text = WRONG[wrong]
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        await connect(loop, **options)


@in_loop
async def test_an_address_and_a_socket_together_are_refused(loop):
    with socket.socket() as sock:
        for options in ({"host": "127.0.0.1"}, {"port": 80}):
            with pytest.raises(
                ValueError,
                match="^host/port and sock can not be specified at the same",
            ):
                await connect(loop, sock=sock, **options)
        assert is_open(sock.fileno())


@in_loop
async def test_unknown_keywords_are_refused(loop):
    with pytest.raises(TypeError, match="reuse_port"):
        await connect(loop, "127.0.0.1", 1, reuse_port=True)
    with pytest.raises(TypeError):
        await loop.create_connection()
    with pytest.raises(TypeError):
        await loop.create_connection(asyncio.Protocol, "127.0.0.1", 1, None)


@in_loop
async def test_a_factory_that_raises_leaves_no_connection(loop, listener):
    def fail():
        raise ZeroDivisionError

    ours, peer = pair()
    with pytest.raises(ZeroDivisionError):
        await loop.create_connection(fail, sock=ours)
    # asyncio left the socket open up to 3.14 (gh-153133).
    if PY314 or not is_borrowed(loop.create_connection):
        assert ours.fileno() == -1
        with pytest.raises(ZeroDivisionError):
            await loop.create_connection(fail, *listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b""
    ours.close()
    peer.close()


@in_loop
async def test_debug_mode_connects_as_well(loop, listener, caplog):
    loop.set_debug(True)
    try:
        with caplog.at_level("DEBUG", "asyncio"):
            await check(loop, listener, *listener.getsockname())
        assert "connected to 127.0.0.1:" in caplog.text
    finally:
        loop.set_debug(False)
