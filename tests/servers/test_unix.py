"""Unix sockets: create_unix_connection and create_unix_server."""

import asyncio
import logging
import os
import pathlib
import re
import socket
import ssl
import stat

import asyncloop
import pytest

from support.loops import PY313
from support.net import (
    Recorder, in_loop, is_open, receive, settle, until,
)

SHORT = 90


@pytest.fixture
def path(tmp_path):
    """Short enough for an address of this kind."""
    name = str(tmp_path / "s")
    assert len(name) < SHORT
    return name


async def serve(loop, *args, **options):
    clients = []

    def factory():
        clients.append(Recorder(loop))
        return clients[-1]

    server = await loop.create_unix_server(factory, *args, **options)
    return server, clients


async def talk(loop, server, clients, *args, **options):
    """A client of the loop's gets through; both are closed then."""
    transport, protocol = await loop.create_unix_connection(
        lambda: Recorder(loop), *args, **options
    )
    await until(lambda: clients and clients[-1].calls == ["made"])
    transport.write(b"question")
    await until(lambda: clients[-1].data == b"question")
    clients[-1].transport.write(b"answer")
    await until(lambda: protocol.data == b"answer")
    transport.close()
    assert await protocol.lost is None
    assert await clients[-1].lost is None
    await settle()
    return transport


async def finish(server):
    server.close()
    await server.wait_closed()


KINDS = {
    "str": str, "bytes": os.fsencode, "Path": pathlib.Path,
}


@pytest.mark.parametrize("kind_of_path", KINDS)
@in_loop
async def test_paths_of_every_kind(loop, path, kind_of_path):
    convert = KINDS[kind_of_path]
    server, clients = await serve(loop, convert(path))
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    [sock] = server.sockets
    assert sock.family == socket.AF_UNIX
    assert sock.getsockname() == path
    transport = await talk(loop, server, clients, convert(path))
    assert transport.get_extra_info("peername") == path
    assert transport.get_extra_info("sockname") == ""
    info = clients[0].transport.get_extra_info
    assert info("sockname") == path and info("peername") == ""
    await finish(server)


@pytest.mark.parametrize("as_bytes", [False, True])
@in_loop
async def test_abstract_names(loop, as_bytes):
    if not os.path.exists("/proc/self/ns"):
        pytest.skip("abstract names are Linux's")
    name = "\0asyncloop-test-%d" % os.getpid()
    name = name.encode() if as_bytes else name
    server, clients = await serve(loop, name)
    assert server.sockets[0].getsockname() == b"\0" + os.fsencode(name[1:])
    transport = await talk(loop, server, clients, name)
    assert transport.get_extra_info("peername") == os.fsencode(name)
    with pytest.raises(OSError) as caught:
        await loop.create_unix_server(asyncio.Protocol, name)
    assert caught.value.errno == 98
    assert str(caught.value) == (
        f"[Errno 98] Address {name!r} is already in use"
    )
    await finish(server)


@in_loop
async def test_the_peers_bound_name_is_the_peername(loop, path):
    server, clients = await serve(loop, path)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.bind(path + "c")
        peer.connect(path)
        await until(lambda: clients and clients[0].calls == ["made"])
        info = clients[0].transport.get_extra_info
        assert info("peername") == path + "c"
    await clients[0].lost
    await finish(server)


@in_loop
async def test_a_stale_socket_is_replaced(loop, path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    server, clients = await serve(loop, path)
    await talk(loop, server, clients, path)
    await finish(server)


@in_loop
async def test_a_file_in_the_way_is_left_alone(loop, path):
    pathlib.Path(path).write_text("mine")
    with pytest.raises(OSError) as caught:
        await loop.create_unix_server(asyncio.Protocol, path)
    assert caught.value.errno == 98
    assert str(caught.value) == (
        f"[Errno 98] Address {path!r} is already in use"
    )
    assert pathlib.Path(path).read_text() == "mine"


@in_loop
async def test_a_folder_that_is_not_there(loop, path):
    with pytest.raises(FileNotFoundError):
        await loop.create_unix_server(asyncio.Protocol, path + "/x/y")
    with pytest.raises(FileNotFoundError):
        await loop.create_unix_connection(asyncio.Protocol, path)
    with pytest.raises(OSError, match="path too long"):
        await loop.create_unix_server(asyncio.Protocol, "/" + "x" * 200)
    with pytest.raises(OSError, match="path too long"):
        await loop.create_unix_connection(asyncio.Protocol, "/" + "x" * 200)


@in_loop
async def test_nobody_listens(loop, path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(asyncio.Protocol, path)


@in_loop
async def test_the_socket_is_removed_with_the_server_from_313_on(loop, path):
    server, clients = await serve(loop, path)
    await finish(server)
    assert os.path.exists(path) is not PY313


@in_loop
async def test_cleanup_socket_says_whether_it_is_removed(loop, path):
    if not (PY313 or isinstance(loop, asyncloop.Loop)):  # asyncio is older
        with pytest.raises(TypeError, match="cleanup_socket"):
            await loop.create_unix_server(
                asyncio.Protocol, path, cleanup_socket=True
            )
        return
    for wanted in (True, False):
        server, _ = await serve(loop, path, cleanup_socket=wanted)
        await finish(server)
        assert os.path.exists(path) is not wanted
    # Also for a socket of the caller's.
    os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    server, _ = await serve(loop, sock=sock, cleanup_socket=True)
    await finish(server)
    assert not os.path.exists(path)


@in_loop
async def test_another_servers_socket_is_not_removed(loop, path):
    server, _ = await serve(loop, path)
    os.unlink(path)
    second, clients = await serve(loop, path)
    await finish(server)
    assert os.path.exists(path)
    await talk(loop, second, clients, path)
    await finish(second)
    # And one that is gone already is no error.
    server, _ = await serve(loop, path)
    os.unlink(path)
    await finish(server)


def test_a_path_that_cannot_be_looked_at_is_logged(loop, path, caplog):
    pathlib.Path(path).write_text("no folder")

    @in_loop
    async def main(loop):
        with pytest.raises(NotADirectoryError):
            with caplog.at_level(logging.ERROR, "asyncio"):
                await loop.create_unix_server(asyncio.Protocol, path + "/s")

    main(loop)
    assert "Unable to check or remove stale UNIX socket" in caplog.text


@in_loop
async def test_sockets_of_the_callers(loop, path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    server, clients = await serve(loop, sock=sock, backlog=5)
    assert sock.gettimeout() == 0
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    await talk(loop, server, clients, sock=client)
    await finish(server)
    assert sock.fileno() == client.fileno() == -1


@in_loop
async def test_start_serving_false(loop, path):
    server, clients = await serve(loop, path, start_serving=False)
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_unix_connection(asyncio.Protocol, path)
    await server.start_serving()
    await talk(loop, server, clients, path)
    await finish(server)


@in_loop
async def test_many_clients(loop, path):
    server, clients = await serve(loop, path, backlog=100)
    peers = []
    for number in range(80):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path)
        peer.setblocking(False)
        peer.send(b"%d" % number)
        peers.append(peer)
    await until(lambda: len(clients) == 80)
    await until(lambda: all(protocol.data for protocol in clients))
    assert [int(p.data) for p in clients] == list(range(80))
    for protocol in clients:
        protocol.transport.write(b"bye")
        protocol.transport.close()
    for peer in peers:
        assert await receive(peer) == b"bye"
        peer.close()
    await finish(server)


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
WRONG = {
    "connection, nothing": (
        "connection", {}, ValueError, "no path and sock were specified",
    ),
    "connection, name": (
        "connection", {"path": "x", "server_hostname": "a"}, ValueError,
        "server_hostname is only meaningful with ssl",
    ),
    "connection, no name": (
        "connection", {"path": "x", "ssl": CONTEXT}, ValueError,
        "you have to pass server_hostname when using ssl",
    ),
    "connection, handshake": (
        "connection", {"path": "x", "ssl_handshake_timeout": 1}, ValueError,
        "ssl_handshake_timeout is only meaningful with ssl",
    ),
    "connection, shutdown": (
        "connection", {"path": "x", "ssl_shutdown_timeout": 1}, ValueError,
        "ssl_shutdown_timeout is only meaningful with ssl",
    ),
    "server, nothing": (
        "server", {}, ValueError,
        "path was not specified, and no sock specified",
    ),
    "server, ssl": (
        "server", {"path": "x", "ssl": True}, TypeError,
        "ssl argument must be an SSLContext or None",
    ),
    "server, handshake": (
        "server", {"path": "x", "ssl_handshake_timeout": 1}, ValueError,
        "ssl_handshake_timeout is only meaningful with ssl",
    ),
    "server, shutdown": (
        "server", {"path": "x", "ssl_shutdown_timeout": 1}, ValueError,
        "ssl_shutdown_timeout is only meaningful with ssl",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@in_loop
async def test_arguments_that_do_not_belong_together(loop, wrong):
    name, options, kind, text = WRONG[wrong]
    method = getattr(loop, f"create_unix_{name}")
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        await method(asyncio.Protocol, **options)
    assert not os.path.exists("x")


@pytest.mark.parametrize("name", ["connection", "server"])
@in_loop
async def test_sockets_of_another_kind_are_refused(loop, name):
    method = getattr(loop, f"create_unix_{name}")
    text = "^A UNIX Domain Stream Socket was expected, got <socket"
    for family, kind in [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_UNIX, socket.SOCK_DGRAM),
    ]:
        with socket.socket(family, kind) as sock:
            with pytest.raises(ValueError, match=text):
                await method(asyncio.Protocol, sock=sock)
            with pytest.raises(
                ValueError,
                match="^path and sock can not be specified at the same time$",
            ):
                await method(asyncio.Protocol, "x", sock=sock)
            assert is_open(sock.fileno())
