"""The TLS keywords of connections and servers do what they say.

TLS itself is tested elsewhere; here it has to be reached by each way.
"""

import asyncio
import os
import socket
import ssl

import pytest

from support.loops import collect_errors
from support.net import (
    Recorder, in_loop, link, only_told_in_debug_mode, pair, quiet, settle,
    until,
)
from support.tls import NAME, client_context, server_context


class Shout(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())


async def talk(transport, protocol, text=b"hello"):
    """Ask the server of `Shout`s, and close."""
    assert isinstance(transport, asyncio.Transport)
    assert transport.get_extra_info("ssl_object").version()
    assert transport.get_extra_info("sslcontext")
    assert transport.get_extra_info("peercert")
    assert transport.get_extra_info("cipher")
    assert transport.get_extra_info("socket").fileno() > 2
    transport.write(text)
    await until(lambda: len(protocol.data) == len(text))
    assert protocol.data == text.upper()
    transport.close()
    assert await protocol.lost is None
    await quiet()


async def finish(server):
    server.close()
    await server.wait_closed()


@in_loop
async def test_over_tcp(loop):
    server = await loop.create_server(
        Shout, "127.0.0.1", 0, ssl=server_context(),
        ssl_handshake_timeout=20, ssl_shutdown_timeout=5,
    )
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), *server.sockets[0].getsockname(),
        ssl=client_context(), server_hostname=NAME,
        ssl_handshake_timeout=20, ssl_shutdown_timeout=5,
    )
    await talk(transport, protocol)
    await finish(server)


@in_loop
async def test_the_host_is_the_name_that_is_checked(loop):
    server = await loop.create_server(
        Shout, "127.0.0.1", 0, ssl=server_context()
    )
    address = server.sockets[0].getsockname()

    async def resolve(*args, **options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

    loop.getaddrinfo = resolve
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), NAME, 443, ssl=client_context()
    )
    await talk(transport, protocol)
    # The handshake's error is the caller's; the server says nothing.
    errors = collect_errors(loop)
    with pytest.raises(ssl.SSLCertVerificationError):
        await loop.create_connection(
            lambda: Recorder(loop), "other.name", 443, ssl=client_context()
        )
    await quiet()
    assert only_told_in_debug_mode(loop, errors)
    await finish(server)


@in_loop
async def test_over_a_unix_socket(loop, tmp_path):
    path = str(tmp_path / "s")
    server = await loop.create_unix_server(
        Shout, path, ssl=server_context()
    )
    transport, protocol = await loop.create_unix_connection(
        lambda: Recorder(loop), path, ssl=client_context(),
        server_hostname=NAME,
    )
    await talk(transport, protocol, os.urandom(100).hex().encode())
    await finish(server)


@in_loop
async def test_over_sockets_of_the_callers(loop):
    ours, theirs = pair()
    accepted, connected = await asyncio.gather(
        loop.connect_accepted_socket(
            Shout, theirs, ssl=server_context(), ssl_handshake_timeout=20
        ),
        loop.create_connection(
            lambda: Recorder(loop), sock=ours, ssl=client_context(),
            server_hostname=NAME,
        ),
    )
    await talk(*connected)


@in_loop
async def test_ssl_true_takes_the_default_context(loop):
    server = await loop.create_server(
        Shout, "127.0.0.1", 0, ssl=server_context()
    )
    # Nobody but this test trusts the certificate.
    errors = collect_errors(loop)
    with pytest.raises(ssl.SSLCertVerificationError):
        await loop.create_connection(
            lambda: Recorder(loop), *server.sockets[0].getsockname(),
            ssl=True, server_hostname=NAME,
        )
    await quiet()
    assert only_told_in_debug_mode(loop, errors)
    await finish(server)


@in_loop
async def test_a_handshake_that_never_comes_is_given_up(loop):
    ours, silent = pair()
    with pytest.raises(ConnectionAbortedError, match="SSL handshake is takin"):
        await loop.create_connection(
            lambda: Recorder(loop), sock=ours, ssl=client_context(),
            server_hostname=NAME, ssl_handshake_timeout=0.05,
        )
    await settle()
    assert ours.fileno() == -1
    silent.close()


@pytest.mark.parametrize("timeout", [0, -1])
@in_loop
async def test_timeouts_must_be_positive(loop, timeout):
    ours, peer = pair()
    with pytest.raises(ValueError, match="should be a positive number"):
        await loop.create_connection(
            lambda: Recorder(loop), sock=ours, ssl=client_context(),
            server_hostname=NAME, ssl_handshake_timeout=timeout,
        )
    ours.close()
    peer.close()


@in_loop
async def test_a_ssl_socket_is_refused(loop):
    ours, peer = pair()
    wrapped = client_context().wrap_socket(
        ours, do_handshake_on_connect=False, server_hostname=NAME
    )
    for method, options in [
        (loop.create_connection, {}), (loop.create_server, {}),
        (loop.connect_accepted_socket, {}),
    ]:
        arguments = {"sock": wrapped, **options}
        with pytest.raises(
            TypeError, match="^Socket cannot be of type SSLSocket$"
        ):
            await method(lambda: Recorder(loop), **arguments)
    wrapped.close()
    peer.close()


@in_loop
async def test_a_connection_is_raised_to_tls(loop):
    """start_tls on both ends, as mail and databases do."""
    one, two = pair()
    plain, first = await loop.create_connection(
        lambda: Recorder(loop), sock=one
    )
    other, second = await loop.create_connection(
        lambda: Recorder(loop), sock=two
    )
    plain.write(b"STARTTLS")
    await until(lambda: second.data == b"STARTTLS")
    shout = Shout()
    raised, accepted = await asyncio.gather(
        loop.start_tls(
            plain, first, client_context(), server_hostname=NAME,
            ssl_handshake_timeout=20,
        ),
        loop.start_tls(
            other, shout, server_context(), server_side=True,
            ssl_handshake_timeout=20,
        ),
    )
    assert raised is not plain and raised._start_tls_compatible is True
    # No connection_made: it is the same connection to the protocols.
    assert first.calls == ["made"]
    shout.transport = accepted
    first.data.clear()
    await talk(raised, first)
    assert second.calls == ["made", "data"]


@in_loop
async def test_start_tls_refuses_other_transports(loop):
    async with link(loop) as (transport, protocol, peer):
        with pytest.raises(TypeError, match="sslcontext is expected to be an"):
            await loop.start_tls(transport, protocol, None)
    reader, writer = os.pipe()
    pipe, protocol = await loop.connect_write_pipe(
        lambda: Recorder(loop), os.fdopen(writer, "wb", 0)
    )
    with pytest.raises(TypeError, match="is not supported by start_tls"):
        await loop.start_tls(
            pipe, protocol, client_context(), server_hostname=NAME
        )
    pipe.close()
    await protocol.lost
    os.close(reader)


@in_loop
async def test_streams_over_tls(loop):
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=server_context()
    )
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=client_context(),
        server_hostname=NAME,
    )
    writer.write(b"line\n")
    assert await reader.read() == b"LINE\n"
    writer.close()
    await writer.wait_closed()
    await quiet()
    await finish(server)
