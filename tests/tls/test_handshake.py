"""Handshakes: those that succeed, and every way to fail."""

import asyncio
import logging
import os
import socket
import ssl

import pytest

from support.loops import collect_errors
from support.net import (
    Recorder, in_loop, only_told_in_debug_mode, pair, quiet, settle, until,
)
from support.tls import (
    NAME, Peer, client_context, known_client_context, server_context,
    tls_link, tls_pair, trusting_server_context,
)

SELF_SIGNED = 18
HOSTNAME_MISMATCH = 62


class Logged(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def log():
    """What asyncio's logger is told, at level INFO and above."""
    handler = Logged()
    handler.setLevel(logging.INFO)
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield handler.records
    logger.removeHandler(handler)


async def connect(loop, sock, context, name=NAME, **options):
    return await loop.create_connection(
        lambda: Recorder(loop), sock=sock, ssl=context, server_hostname=name,
        **options
    )


async def refuse(loop, client, server, name=NAME):
    """Both ends on this loop: what the client's is refused with."""
    one, two = pair()
    one.setblocking(False)
    results = await asyncio.gather(
        connect(loop, one, client, name),
        loop.connect_accepted_socket(
            lambda: Recorder(loop), two, ssl=server
        ),
        return_exceptions=True,
    )
    await quiet()
    for result in results:
        if isinstance(result, tuple):
            result[0].abort()
            await result[1].lost
    return results


@in_loop
async def test_an_unknown_certificate_is_refused_with_its_code(loop):
    client = ssl.create_default_context()
    error, _ = await refuse(loop, client, server_context())
    assert type(error) is ssl.SSLCertVerificationError
    assert error.verify_code == SELF_SIGNED
    assert "self" in error.verify_message
    assert error.reason == "CERTIFICATE_VERIFY_FAILED"
    assert error.library == "SSL"
    assert error.errno == 1


@in_loop
async def test_a_wrong_name_is_refused_with_its_code(loop):
    error, _ = await refuse(
        loop, client_context(), server_context(), "other.name"
    )
    assert type(error) is ssl.SSLCertVerificationError
    assert error.verify_code == HOSTNAME_MISMATCH
    assert "other.name" in error.verify_message


@in_loop
async def test_no_common_version_is_refused_on_both_ends(loop):
    client, server = client_context(), server_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    one, two = pair()
    one.setblocking(False)
    peer = Peer(two, client, False)
    task = asyncio.ensure_future(
        loop.connect_accepted_socket(
            lambda: Recorder(loop), one, ssl=server
        )
    )
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await peer.handshake()
    with pytest.raises(ssl.SSLError) as caught:
        await task
    assert caught.value.reason in (
        "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"
    )
    peer.close()
    await settle()


@in_loop
async def test_an_alert_of_the_server_is_the_clients_error(loop):
    one, two = pair()
    one.setblocking(False)
    server = server_context()
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    peer = Peer(two, server, True)
    task = asyncio.ensure_future(connect(loop, one, client))
    with pytest.raises(ssl.SSLError):
        await peer.handshake()
    with pytest.raises(ssl.SSLError) as caught:
        await task
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    peer.close()
    await settle()


@in_loop
async def test_plain_http_to_a_tls_port(loop, log):
    server = await loop.create_server(
        lambda: Recorder(loop), "127.0.0.1", 0, ssl=server_context()
    )
    errors = collect_errors(loop)
    with socket.create_connection(server.sockets[0].getsockname()) as plain:
        plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        plain.setblocking(False)
        end = loop.time() + 20
        while loop.time() < end:
            await asyncio.sleep(0.002)
            try:
                got = plain.recv(1000)
            except BlockingIOError:
                continue
            except ConnectionError:
                got = b""
            break
    assert got == b""
    await quiet()
    assert only_told_in_debug_mode(loop, errors)
    assert [r for r in log if r.levelno > logging.INFO] == []
    server.close()
    await server.wait_closed()


@in_loop
async def test_an_http_request_is_named_as_such(loop):
    one, two = pair()
    one.setblocking(False)
    task = asyncio.ensure_future(
        loop.connect_accepted_socket(
            lambda: Recorder(loop), one, ssl=server_context()
        )
    )
    two.send(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        await task
    assert caught.value.reason == "HTTP_REQUEST"
    two.close()
    await settle()


@in_loop
async def test_an_end_within_the_handshake_is_a_reset(loop):
    one, two = pair()
    one.setblocking(False)
    task = asyncio.ensure_future(connect(loop, one, client_context()))
    await quiet()
    two.close()
    with pytest.raises(ConnectionResetError):
        await task
    await settle()


@pytest.mark.parametrize("server_side", [False, True])
@in_loop
async def test_a_peer_that_stalls_is_given_up(loop, server_side):
    one, two = pair()
    one.setblocking(False)
    protocol = Recorder(loop)
    if server_side:
        connecting = loop.connect_accepted_socket(
            lambda: protocol, one, ssl=server_context(),
            ssl_handshake_timeout=0.05,
        )
    else:
        connecting = loop.create_connection(
            lambda: protocol, sock=one, ssl=client_context(),
            server_hostname=NAME, ssl_handshake_timeout=0.05,
        )
    with pytest.raises(
        ConnectionAbortedError,
        match=r"^SSL handshake is taking longer than 0\.05 seconds: "
              r"aborting the connection$",
    ):
        await connecting
    await settle()
    assert one.fileno() == -1
    # It was never a connection to the protocol.
    assert protocol.calls == []
    two.close()


@in_loop
async def test_a_server_gives_up_clients_that_say_nothing(loop):
    server = await loop.create_server(
        lambda: Recorder(loop), "127.0.0.1", 0, ssl=server_context(),
        ssl_handshake_timeout=0.05,
    )
    errors = collect_errors(loop)
    socks = [
        socket.create_connection(server.sockets[0].getsockname())
        for _ in range(5)
    ]
    for sock in socks:
        sock.setblocking(False)

    def all_closed():
        for sock in socks:
            try:
                if sock.recv(1):
                    return False
            except BlockingIOError:
                return False
            except ConnectionError:
                pass
        return True

    await until(all_closed)
    for sock in socks:
        sock.close()
    await settle()
    assert only_told_in_debug_mode(loop, errors)
    server.close()
    await server.wait_closed()


@in_loop
async def test_a_cancelled_connect_closes_the_socket(loop):
    one, two = pair()
    one.setblocking(False)
    task = asyncio.ensure_future(connect(loop, one, client_context()))
    await quiet()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await quiet()
    assert one.fileno() == -1
    two.close()


@pytest.mark.native_only(
    reason="asyncio forgets the close() and goes on with the handshake"
)
@in_loop
async def test_a_connect_that_is_cancelled_at_once_closes_the_socket(loop):
    one, two = pair()
    one.setblocking(False)
    protocol = Recorder(loop)
    task = asyncio.ensure_future(
        loop.create_connection(
            lambda: protocol, sock=one, ssl=client_context(),
            server_hostname=NAME,
        )
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert one.fileno() == -1
    assert protocol.calls == []
    two.close()


@in_loop
async def test_a_client_shows_its_certificate(loop):
    server = trusting_server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    async with tls_pair(
        loop, server=server, client=known_client_context()
    ) as (server, client):
        client.transport.write(b"data")
        await until(lambda: server.data == b"data")
        info = server.transport.get_extra_info
        assert info("peercert")["subject"] == ((("commonName", NAME),),)
        assert info("ssl_object").getpeercert(True)


@in_loop
async def test_a_client_without_certificate_is_refused(loop):
    server = trusting_server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    one, two = pair()
    one.setblocking(False)
    task = asyncio.ensure_future(
        loop.connect_accepted_socket(lambda: Recorder(loop), one, ssl=server)
    )
    peer = Peer(two, client_context())
    await peer.handshake()  # TLS 1.3: done before the server has looked
    with pytest.raises(ssl.SSLError) as caught:
        await task
    assert caught.value.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    peer.close()
    await settle()


@in_loop
async def test_a_certificate_may_be_asked_for_later(loop):
    """Post-handshake authentication of TLS 1.3."""
    client = known_client_context()
    client.post_handshake_auth = True
    server = trusting_server_context()
    server.post_handshake_auth = True
    server.verify_mode = ssl.CERT_REQUIRED
    async with tls_pair(loop, server=server, client=client) as (here, there):
        there.transport.write(b"before")
        await until(lambda: here.data == b"before")
        obj = here.transport.get_extra_info("ssl_object")
        assert not obj.getpeercert()
        obj.verify_client_post_handshake()
        here.transport.write(b"who are you")
        await until(lambda: there.data == b"who are you")
        there.transport.write(b"me")
        await until(lambda: here.data == b"beforeme")
        assert obj.getpeercert()["subject"] == ((("commonName", NAME),),)


@in_loop
async def test_the_name_chooses_the_context(loop):
    seen = []
    other = server_context()
    other.set_alpn_protocols(["other"])

    def choose(obj, name, context):
        seen.append((type(obj), name))
        obj.context = other

    server = server_context()
    server.sni_callback = choose
    client = client_context()
    client.set_alpn_protocols(["other", "more"])
    async with tls_pair(loop, server=server, client=client) as (here, there):
        there.transport.write(b"data")
        await until(lambda: here.data == b"data")
        info = here.transport.get_extra_info
        assert seen == [(ssl.SSLObject, NAME)]
        assert info("ssl_object").context is other
        # As the user gave it.
        assert info("sslcontext") is server


@in_loop
async def test_a_name_may_be_refused(loop):
    def refuse(obj, name, context):
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    server = server_context()
    server.sni_callback = refuse
    one, two = pair()
    one.setblocking(False)
    task = asyncio.ensure_future(
        loop.connect_accepted_socket(lambda: Recorder(loop), one, ssl=server)
    )
    peer = Peer(two, client_context())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await peer.handshake()
    with pytest.raises(ssl.SSLError) as caught:
        await task
    assert caught.value.reason == "CALLBACK_FAILED"
    peer.close()
    await settle()


@in_loop
async def test_protocols_are_negotiated(loop):
    server, client = server_context(), client_context()
    server.set_alpn_protocols(["h2", "http/1.1"])
    client.set_alpn_protocols(["http/1.1"])
    async with tls_pair(loop, server=server, client=client) as protocols:
        for protocol in protocols:
            obj = protocol.transport.get_extra_info("ssl_object")
            assert obj.selected_alpn_protocol() == "http/1.1"


@in_loop
async def test_a_session_is_used_again(loop):
    server, client = server_context(), client_context()
    for context in (server, client):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    wraps = []

    class Remembering(ssl.SSLContext):
        session = None

        def wrap_bio(self, *args, **options):
            obj = super().wrap_bio(
                *args, **options, session=Remembering.session
            )
            wraps.append(obj)
            return obj

    again = Remembering(ssl.PROTOCOL_TLS_CLIENT)
    again.maximum_version = ssl.TLSVersion.TLSv1_2
    again.check_hostname = False
    again.verify_mode = ssl.CERT_NONE
    for expected in (False, True):
        async with tls_pair(loop, server=server, client=again) as (here, there):
            obj = there.transport.get_extra_info("ssl_object")
            assert obj is wraps[-1]
            assert obj.session_reused is expected
            Remembering.session = obj.session
    Remembering.session = None


@in_loop
async def test_keys_are_logged(loop, tmp_path):
    path = tmp_path / "keys"
    client = client_context()
    client.keylog_filename = os.fspath(path)
    async with tls_pair(loop, client=client) as (server, there):
        there.transport.write(b"data")
        await until(lambda: server.data == b"data")
    assert "CLIENT_TRAFFIC_SECRET_0" in path.read_text()


@in_loop
async def test_the_contexts_class_of_objects_is_used(loop):
    class Mine(ssl.SSLObject):
        pass

    client = client_context()
    client.sslobject_class = Mine
    async with tls_pair(loop, client=client) as (server, there):
        assert type(there.transport.get_extra_info("ssl_object")) is Mine
        there.transport.write(b"data")
        await until(lambda: server.data == b"data")


@in_loop
async def test_a_context_that_makes_wrappers_of_objects(loop):
    """Nothing is known of such an object but its methods."""

    class Wrapper:
        def __init__(self, inner):
            self.__dict__["inner"] = inner

        def __getattr__(self, name):
            if name == "_sslobj":
                raise AttributeError(name)
            return getattr(self.inner, name)

    class Context(ssl.SSLContext):
        def wrap_bio(self, *args, **options):
            return Wrapper(super().wrap_bio(*args, **options))

    client = Context(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    async with tls_pair(loop, client=client) as (server, there):
        assert type(there.transport.get_extra_info("ssl_object")) is Wrapper
        there.transport.write(b"data" * 10_000)
        await until(lambda: len(server.data) == 40_000)


@in_loop
async def test_an_exception_of_connection_made_ends_the_connection(loop):
    class Bad(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError("on purpose")

    told = collect_errors(loop)
    one, two = pair()
    one.setblocking(False)
    protocol = Bad(loop)
    peer = Peer(two, server_context(), True)
    task = asyncio.ensure_future(
        loop.create_connection(
            lambda: protocol, sock=one, ssl=client_context(),
            server_hostname=NAME,
        )
    )
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        await peer.handshake()
        await peer.receive(1)
    with pytest.raises(ZeroDivisionError):
        await task
    assert type(await protocol.lost) is ZeroDivisionError
    assert protocol.calls == ["made", "lost"]
    assert len(told) == 1
    peer.close()
    await settle()


@in_loop
async def test_a_server_needs_a_context(loop):
    one, two = pair()
    with pytest.raises(
        ValueError, match="Server side SSL needs a valid SSLContext"
    ):
        await loop.connect_accepted_socket(
            lambda: Recorder(loop), one, ssl=True
        )
    one.close()
    two.close()


@pytest.mark.parametrize("name", [".leading.dot"])
@in_loop
async def test_unusable_names_raise_at_once(loop, name):
    one, two = pair()
    context = client_context()
    with pytest.raises(ValueError):
        await connect(loop, one, context, name)
    one.close()
    two.close()


@in_loop
async def test_the_callbacks_have_the_context_of_the_connection(loop):
    import contextvars

    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    class Looks(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())

        def data_received(self, data):
            super().data_received(data)
            seen.append(variable.get())

        def connection_lost(self, error):
            super().connection_lost(error)
            seen.append(variable.get())

    variable.set(7)
    async with tls_link(loop, Looks) as (transport, protocol, peer):
        variable.set(8)
        peer.send(b"data")
        await until(lambda: protocol.data == b"data")
        transport.abort()
        await protocol.lost
    # asyncio calls connection_lost in the context of abort().
    assert seen[:2] == [7, 7]


@pytest.mark.native_only(reason="asyncio answers all that have come at once")
@in_loop
async def test_a_storm_of_handshakes_lets_other_callbacks_run(loop):
    count = 80
    server = await loop.create_server(
        lambda: Recorder(loop), "127.0.0.1", 0, ssl=server_context(),
        backlog=count,
    )
    peers = []
    for _ in range(count):
        sock = socket.create_connection(server.sockets[0].getsockname())
        sock.setblocking(False)
        peers.append(Peer(sock, client_context()))
    await quiet()  # they are accepted
    for peer in peers:
        with pytest.raises(ssl.SSLWantReadError):
            peer.object.do_handshake()
        peer.flush()
    # What one turn does is bounded, however many have come.
    answered = []
    while sum(answered) < count:
        answered.append(sum(not peer.wire and peer.take() for peer in peers))
        await asyncio.sleep(0)
    assert max(answered) < count / 2
    for peer in peers:
        await peer.handshake()
        peer.close()
    await quiet()
    server.close()
    await server.wait_closed()


@in_loop
async def test_handshakes_of_a_storm_may_be_given_up(loop):
    """Clients that leave while their turn has not come."""
    count = 40
    errors = collect_errors(loop)
    server = await loop.create_server(
        lambda: Recorder(loop), "127.0.0.1", 0, ssl=server_context(),
        backlog=count,
    )
    peers = []
    for number in range(count):
        sock = socket.create_connection(server.sockets[0].getsockname())
        peer = Peer(sock, client_context())
        with pytest.raises(ssl.SSLWantReadError):
            peer.object.do_handshake()
        peer.flush()
        peers.append(peer)
        if number % 2:
            peer.close()
    await quiet()
    for peer in peers[::2]:
        peer.sock.setblocking(False)
        await peer.handshake()
        peer.close()
    await quiet()
    assert only_told_in_debug_mode(loop, errors)
    server.close()
    await server.wait_closed()
