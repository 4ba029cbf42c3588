"""sock_connect and sock_accept."""

import asyncio
import errno
import os
import socket
import sys

import pytest

from support.loops import run_turns


def run(loop, awaitable):
    return loop.run_until_complete(asyncio.wait_for(awaitable, 30))


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# --- sock_connect -----------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"127.0.0.1"])
@pytest.mark.parametrize("textual", [False, True])
def test_connect_to_a_number_or_a_name(loop, keep, listener, host, textual):
    client = keep(socket.socket())
    port = listener.getsockname()[1]
    address = (host, str(port) if textual else port)
    assert run(loop, loop.sock_connect(client, address)) is None
    assert client.getpeername() == listener.getsockname()


@pytest.mark.parametrize("address_len", [2, 3, 4])
def test_connect_to_ipv6(loop, keep, address_len):
    try:
        listener = keep(
            socket.create_server(("::1", 0), family=socket.AF_INET6)
        )
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    client = keep(socket.socket(socket.AF_INET6))
    address = listener.getsockname()[:address_len]
    run(loop, loop.sock_connect(client, address))
    assert client.getpeername() == listener.getsockname()


def test_connect_refused_names_the_address(loop, keep):
    client = keep(socket.socket())
    address = ("127.0.0.1", closed_port())
    with pytest.raises(ConnectionRefusedError) as error:
        run(loop, loop.sock_connect(client, address))
    assert error.value.errno == errno.ECONNREFUSED
    assert str(address) in str(error.value)
    assert "Connect call failed" in str(error.value)


def test_connect_refused_names_the_whole_ipv6_address(loop, keep):
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    address = listener.getsockname()
    listener.close()
    client = keep(socket.socket(socket.AF_INET6))
    with pytest.raises(ConnectionRefusedError) as error:
        run(loop, loop.sock_connect(client, address[:2]))
    assert str(address) in str(error.value)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_connect_to_a_path(loop, keep, tmp_path, as_bytes):
    listener = keep(socket.socket(socket.AF_UNIX))
    client = keep(socket.socket(socket.AF_UNIX))
    path = str(tmp_path / "listener")
    listener.bind(path)
    listener.listen()
    address = os.fsencode(path) if as_bytes else path
    run(loop, loop.sock_connect(client, address))
    assert client.getpeername() == path


def test_connect_to_a_name_without_a_file(loop, keep):
    if sys.platform != "linux":
        pytest.skip("names without a file are Linux's")
    listener = keep(socket.socket(socket.AF_UNIX))
    client = keep(socket.socket(socket.AF_UNIX))
    listener.bind(b"\0asyncloop-connect-test")
    listener.listen()
    run(loop, loop.sock_connect(client, b"\0asyncloop-connect-test"))
    assert client.getpeername() == b"\0asyncloop-connect-test"


@pytest.mark.parametrize("length", [0, 107, 108, 300])
def test_paths_of_any_length(loop, keep, tmp_path, length):
    client = keep(socket.socket(socket.AF_UNIX))
    path = "p" * length
    try:
        client.connect(path)
    except OSError as error:
        expected = error
    client = keep(socket.socket(socket.AF_UNIX))
    with pytest.raises(type(expected)) as raised:
        run(loop, loop.sock_connect(client, path))
    assert raised.value.args == expected.args


def test_a_path_without_a_listener_is_an_error(loop, keep, tmp_path):
    client = keep(socket.socket(socket.AF_UNIX))
    with pytest.raises(FileNotFoundError):
        run(loop, loop.sock_connect(client, str(tmp_path / "none")))


def test_a_datagram_socket_is_connected(loop, udp):
    ours, theirs = udp
    run(loop, loop.sock_connect(ours, theirs.getsockname()))
    assert ours.getpeername() == theirs.getsockname()


@pytest.mark.parametrize(
    "address", [None, 5, ("127.0.0.1",), ("127.0.0.1", None, 3, 4, 5, 6)]
)
def test_a_wrong_address_is_refused(loop, keep, address):
    client = keep(socket.socket())
    with pytest.raises((TypeError, ValueError)):
        run(loop, loop.sock_connect(client, address))


def test_a_name_that_is_none_is_an_error(loop, keep):
    client = keep(socket.socket())
    with pytest.raises(socket.gaierror):
        run(loop, loop.sock_connect(client, ("name.invalid", 80)))


def test_names_are_resolved_by_the_loops_method(loop, keep, listener):
    asked = []

    async def getaddrinfo(host, port, **kwargs):
        asked.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "",
                 listener.getsockname())]

    loop.getaddrinfo = getaddrinfo
    try:
        client = keep(socket.socket())
        run(loop, loop.sock_connect(client, ("somewhere.test", 80)))
    finally:
        del loop.getaddrinfo
    assert asked == [("somewhere.test", 80)]
    assert client.getpeername() == listener.getsockname()


def test_connect_can_be_cancelled_while_it_resolves(loop, keep):
    started = []

    async def getaddrinfo(host, port, **kwargs):
        started.append(1)
        await asyncio.sleep(60)

    loop.getaddrinfo = getaddrinfo
    client = keep(socket.socket())
    task = loop.create_task(loop.sock_connect(client, ("name.test", 80)))
    run_turns(loop, 2)
    assert started == [1] and not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    del loop.getaddrinfo


# --- sock_accept ------------------------------------------------------------


def test_a_connection_that_is_there_comes_without_a_turn(
    loop, keep, listener
):
    client = socket.create_connection(listener.getsockname())
    keep(client)
    with pytest.raises(StopIteration) as stop:
        loop.sock_accept(listener).send(None)
    server, address = stop.value.value
    keep(server)
    assert address == client.getsockname() == server.getpeername()


def test_an_accepted_socket_is_as_asyncio_makes_it(loop, keep, listener):
    client = keep(socket.socket())

    async def main():
        accept = asyncio.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        await loop.sock_connect(client, listener.getsockname())
        return await accept

    server, address = run(loop, main())
    with server:
        assert type(server) is socket.socket
        assert server.gettimeout() == 0
        assert os.get_blocking(server.fileno()) is False
        assert os.get_inheritable(server.fileno()) is False
        assert server.family is socket.AF_INET
        assert server.type is socket.SOCK_STREAM
        assert server.proto == listener.proto
        assert address == client.getsockname()


def test_connections_are_accepted_in_their_order(loop, keep, listener):
    async def main():
        clients = [keep(socket.socket()) for _ in range(10)]
        for client in clients:
            await loop.sock_connect(client, listener.getsockname())
        accepted = []
        for _ in clients:
            server, address = await loop.sock_accept(listener)
            keep(server)
            accepted.append(address)
        assert accepted == [client.getsockname() for client in clients]

    run(loop, main())


def test_the_peer_of_a_unix_socket_may_have_no_name(loop, keep, tmp_path):
    listener = keep(socket.socket(socket.AF_UNIX))
    listener.bind(str(tmp_path / "listener"))
    listener.listen()
    client = keep(socket.socket(socket.AF_UNIX))

    async def main():
        await loop.sock_connect(client, str(tmp_path / "listener"))
        return await loop.sock_accept(listener)

    server, address = run(loop, main())
    keep(server)
    assert address == ""


def test_accept_needs_a_listener(loop, keep):
    with pytest.raises(OSError) as error:
        run(loop, loop.sock_accept(keep(socket.socket())))
    assert error.value.errno == errno.EINVAL


def test_a_cancelled_accept_takes_no_connection(loop, keep, listener):
    client = keep(socket.socket())

    async def main():
        accept = asyncio.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        accept.cancel()
        await loop.sock_connect(client, listener.getsockname())
        with pytest.raises(asyncio.CancelledError):
            await accept
        return await loop.sock_accept(listener)

    server, address = run(loop, main())
    keep(server)
    assert address == client.getsockname()


@pytest.mark.native_only(
    reason="asyncio loses the connection in releases before its gh-153761"
)
def test_a_cancel_that_is_queued_before_the_event_comes_first(
    loop, keep, listener
):
    client = keep(socket.socket())

    async def main():
        accept = asyncio.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0.01)
        client.setblocking(True)
        client.connect(listener.getsockname())
        loop.call_soon(accept.cancel)
        with pytest.raises(asyncio.CancelledError):
            await accept
        return await loop.sock_accept(listener)

    server, address = run(loop, main())
    keep(server)
    assert address == client.getsockname()


@pytest.mark.native_only(
    reason="asyncio leaves an accepted socket that nobody takes to the "
    "collector, with a ResourceWarning"
)
def test_a_connection_that_nobody_takes_is_closed(loop, keep, listener):
    client = keep(socket.socket())
    task = loop.create_task(loop.sock_accept(listener))

    async def main():
        await asyncio.sleep(0)
        client.setblocking(True)
        client.connect(listener.getsockname())
        client.setblocking(False)
        # Taken in the poll of this sleep; then the task is cancelled, before
        # its step.
        while not task._fut_waiter.done():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await loop.sock_recv(client, 1)

    assert run(loop, main()) == b""


def test_blocking_listeners_accept_as_well(loop, keep):
    loop.set_debug(False)  # which would refuse them
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    with listener, client:
        server, _ = run(loop, loop.sock_accept(listener))
        with server:
            assert server.gettimeout() == 0
