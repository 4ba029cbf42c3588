"""create_datagram_endpoint, and what its transports tell of themselves."""

import asyncio
import os
import re
import socket
import weakref
from asyncio import trsock

import pytest

from support.dgram import LOCAL, Recorder, endpoint, receive, udp, unix_pair
from support.loops import PY312
from support.net import in_loop, is_open, settle, until


@in_loop
async def test_its_class_is_asyncios(loop):
    async with endpoint(loop) as (transport, protocol):
        assert isinstance(transport, asyncio.BaseTransport)
        if PY312:
            assert isinstance(transport, asyncio.DatagramTransport)
        assert not isinstance(transport, asyncio.SubprocessTransport)
        assert weakref.ref(transport)() is transport
        transport.note = "kept"
        assert transport.note == "kept"


@pytest.mark.native_only(reason="asyncio's class is another on 3.11")
@in_loop
async def test_its_class_is_asyncios_on_every_version(loop):
    async with endpoint(loop) as (transport, protocol):
        assert isinstance(transport, asyncio.DatagramTransport)
        assert isinstance(transport, asyncio.Transport)
        assert type(transport).__name__ == "DatagramTransport"
        with pytest.raises(TypeError):
            type(transport)()


@in_loop
async def test_connection_made_comes_first_and_once(loop):
    async with endpoint(loop) as (transport, protocol):
        assert protocol.calls == ["made"]
        assert protocol.transport is transport
        assert transport.get_protocol() is protocol


@in_loop
async def test_extra_info(loop):
    async with endpoint(loop) as (transport, protocol):
        info = transport.get_extra_info
        sock = info("socket")
        assert type(sock) is trsock.TransportSocket
        assert info("socket") is sock
        assert sock.type == socket.SOCK_DGRAM
        assert sock.family == socket.AF_INET
        assert info("sockname") == sock.getsockname()
        assert info("sockname")[0] == "127.0.0.1"
        assert info("peername") is None
        assert info("peername", "default") is None
        assert info("sslcontext") is None
        assert info("sslcontext", "default") == "default"


@in_loop
async def test_extra_info_outlives_the_transport(loop):
    async with endpoint(loop) as (transport, protocol):
        name = transport.get_extra_info("sockname")
        transport.close()
        await protocol.lost
        await settle()
        assert transport.get_extra_info("sockname") == name
        assert transport.get_extra_info("peername") is None
        sock = transport.get_extra_info("socket")
        assert sock.fileno() == -1
        assert sock.type == socket.SOCK_DGRAM


@in_loop
async def test_the_name_is_that_of_the_beginning(loop):
    """A port that the first datagram gives is not in it, as in asyncio."""
    async with endpoint(loop, family=socket.AF_INET) as (transport, protocol):
        assert transport.get_extra_info("sockname") == ("0.0.0.0", 0)
        with udp() as peer:
            transport.sendto(b"x", peer.getsockname())
            await receive(peer, 1)
        assert transport.get_extra_info("sockname") == ("0.0.0.0", 0)
        assert transport.get_extra_info("socket").getsockname()[1] != 0


@in_loop
async def test_a_connected_endpoint(loop):
    with udp() as peer, udp() as stranger:
        async with endpoint(
            loop, remote_addr=peer.getsockname()
        ) as (transport, protocol):
            name = transport.get_extra_info("sockname")
            assert transport.get_extra_info("peername") == peer.getsockname()
            transport.sendto(b"one")
            transport.sendto(b"two", None)
            transport.sendto(b"three", peer.getsockname())
            assert await receive(peer, 3) == [b"one", b"two", b"three"]
            stranger.sendto(b"not for you", name)
            peer.sendto(b"back", name)
            await until(lambda: protocol.received)
            assert protocol.received == [(b"back", peer.getsockname())]


@in_loop
async def test_a_connected_endpoint_sends_to_its_peer_only(loop):
    with udp() as peer, udp() as other:
        async with endpoint(
            loop, remote_addr=peer.getsockname()
        ) as (transport, protocol):
            with pytest.raises(ValueError) as caught:
                transport.sendto(b"x", other.getsockname())
            assert str(caught.value) == (
                f"Invalid address: must be None or {peer.getsockname()}"
            )
            assert not transport.is_closing()

            class Equal:
                def __eq__(self, other):
                    return other == peer.getsockname()

            class Odd:
                def __eq__(self, other):
                    raise ZeroDivisionError

            transport.sendto(b"equal", Equal())
            with pytest.raises(ZeroDivisionError):
                transport.sendto(b"x", Odd())
            assert await receive(peer, 1) == [b"equal"]


@in_loop
async def test_a_connected_socket_that_was_passed_takes_any_address(loop):
    """asyncio does not look at it, then; it sends to the peer."""
    with udp() as peer:
        ours = udp()
        ours.connect(peer.getsockname())
        async with endpoint(loop, sock=ours) as (transport, protocol):
            transport.sendto(b"one", ("127.0.0.1", 9))
            transport.sendto(b"two")
            assert await receive(peer, 2) == [b"one", b"two"]


@in_loop
async def test_local_and_remote_address(loop):
    with udp() as peer:
        async with endpoint(
            loop, local_addr=LOCAL, remote_addr=peer.getsockname()
        ) as (transport, protocol):
            assert transport.get_extra_info("sockname")[0] == "127.0.0.1"
            assert transport.get_extra_info("peername") == peer.getsockname()


@in_loop
async def test_host_names(loop):
    with udp() as peer:
        async with endpoint(
            loop, local_addr=("localhost", 0),
            remote_addr=("localhost", peer.getsockname()[1]),
            family=socket.AF_INET,
        ) as (transport, protocol):
            transport.sendto(b"by name")
            assert await receive(peer, 1) == [b"by name"]


@in_loop
async def test_a_port_in_use(loop):
    with udp() as taken:
        with pytest.raises(OSError):
            await loop.create_datagram_endpoint(
                lambda: Recorder(loop), local_addr=taken.getsockname()
            )


@pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="needs SO_REUSEPORT"
)
@in_loop
async def test_reuse_port(loop):
    async with endpoint(
        loop, local_addr=LOCAL, reuse_port=True
    ) as (one, protocol):
        async with endpoint(
            loop, local_addr=one.get_extra_info("sockname"), reuse_port=True
        ) as (two, protocol):
            assert two.get_extra_info("sockname") == (
                one.get_extra_info("sockname")
            )


@in_loop
async def test_broadcast_is_allowed_and_leaves_the_socket_unconnected(loop):
    """Otherwise the answers of others would not come in."""
    with udp() as peer, udp() as other:
        async with endpoint(
            loop, remote_addr=peer.getsockname(), allow_broadcast=True
        ) as (transport, protocol):
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
            assert transport.get_extra_info("peername") is None
            transport.sendto(b"one")
            transport.sendto(b"two", peer.getsockname())
            assert await receive(peer, 2) == [b"one", b"two"]
            with pytest.raises(ValueError, match="must be None or"):
                transport.sendto(b"x", other.getsockname())
            other.sendto(b"answer", ("127.0.0.1", sock.getsockname()[1]))
            await until(lambda: protocol.received)
            assert protocol.received == [(b"answer", other.getsockname())]


@pytest.mark.parametrize("kwargs", [
    {}, {"local_addr": "127.0.0.1"}, {"remote_addr": ("127.0.0.1", 1, 2)},
    {"reuse_address": True},
    {"local_addr": 3, "family": socket.AF_UNIX},
], ids=str)
@in_loop
async def test_arguments_that_are_refused(loop, kwargs):
    with pytest.raises((TypeError, ValueError)):
        await loop.create_datagram_endpoint(lambda: Recorder(loop), **kwargs)


@in_loop
async def test_sockets_that_are_refused(loop):
    with socket.socket() as stream, udp() as sock:
        with pytest.raises(ValueError, match="was expected, got"):
            await loop.create_datagram_endpoint(
                lambda: Recorder(loop), sock=stream
            )
        with pytest.raises(ValueError, match="can not be used when sock"):
            await loop.create_datagram_endpoint(
                lambda: Recorder(loop), sock=sock, reuse_port=True
            )


@in_loop
async def test_a_cancelled_creation_leaves_nothing(loop):
    """At each of its steps; the descriptors are counted by the suite."""
    with udp() as peer:
        for steps in range(8):
            task = loop.create_task(loop.create_datagram_endpoint(
                lambda: Recorder(loop), local_addr=LOCAL,
                remote_addr=peer.getsockname(),
            ))
            for _ in range(steps):
                await asyncio.sleep(0)
            done = task.done()
            task.cancel()
            try:
                transport, protocol = await task
            except asyncio.CancelledError:
                assert not done
            else:
                transport.close()
            await settle()


@in_loop
async def test_two_transports_on_one_socket_are_refused(loop):
    async with endpoint(loop) as (transport, protocol):
        sock = transport._sock
        if not PY312 and type(loop).__module__.startswith("asyncio."):
            return  # 3.11 does not look
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.create_datagram_endpoint(
                lambda: Recorder(loop), sock=sock
            )
        with udp() as peer:
            peer.sendto(b"still ours", transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)


@in_loop
async def test_the_descriptor_is_the_transports(loop):
    async with endpoint(loop) as (transport, protocol):
        fd = transport.get_extra_info("socket").fileno()
        for method in (loop.add_reader, loop.add_writer):
            with pytest.raises(RuntimeError, match="is used by transport"):
                method(fd, print)


@pytest.mark.needs_is_reading
@in_loop
async def test_repr(loop):
    async with endpoint(loop) as (transport, protocol):
        fd = transport.get_extra_info("socket").fileno()
        await settle()
        assert re.fullmatch(
            rf"<_?\w*DatagramTransport fd={fd} read=polling "
            r"write=<idle, bufsize=0>>", repr(transport)
        )
        transport.pause_reading()
        assert "read=idle" in repr(transport)
        transport.close()
        assert f" closing fd={fd} read=idle" in repr(transport)
        await protocol.lost
        await settle()
        assert re.fullmatch(
            rf"<_?\w*DatagramTransport closed fd={fd}>", repr(transport)
        )


@in_loop
async def test_unix_endpoints(loop, tmp_path):
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(theirs)
        peer.setblocking(False)
        async with endpoint(
            loop, local_addr=ours, family=socket.AF_UNIX
        ) as (transport, protocol):
            assert transport.get_extra_info("sockname") == ours
            assert transport.get_extra_info("peername") is None
            for address in (theirs, theirs.encode(), theirs):
                transport.sendto(b"x", address)
            assert await receive(peer, 3) == [b"x"] * 3
            peer.sendto(b"back", ours)
            await until(lambda: protocol.received)
            assert protocol.received == [(b"back", theirs)]
            transport.sendto(b"x", str(tmp_path / "nobody"))
            await settle()
            [error] = protocol.errors
            assert isinstance(error, FileNotFoundError)
        # A second endpoint takes over the file that the first one left.
        async with endpoint(
            loop, local_addr=ours, remote_addr=theirs, family=socket.AF_UNIX
        ) as (transport, protocol):
            assert transport.get_extra_info("peername") == theirs
            transport.sendto(b"connected")
            assert await receive(peer, 1) == [b"connected"]


@in_loop
async def test_a_unix_sender_without_a_name(loop, tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        async with endpoint(
            loop, local_addr=path, family=socket.AF_UNIX
        ) as (transport, protocol):
            peer.sendto(b"who?", path)
            await until(lambda: protocol.received)
            assert protocol.received == [(b"who?", None)]


@in_loop
async def test_abstract_unix_names(loop):
    one, two = unix_pair()
    two.connect(one.getsockname())
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            assert transport.get_extra_info("peername") == two.getsockname()
            transport.sendto(b"there")
            assert await receive(two, 1) == [b"there"]
            two.send(b"back")
            await until(lambda: protocol.received)
            assert protocol.received == [(b"back", two.getsockname())]


@in_loop
async def test_large_unix_datagrams(loop):
    one, two = unix_pair()
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            for size in (65536, 100_000, 150_000, 70_000):
                data = os.urandom(size)
                two.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                two.send(data)
                await until(lambda: protocol.received)
                assert protocol.received == [(data, two.getsockname())]
                protocol.received.clear()


@pytest.mark.native_only(
    reason="asyncio takes the empty name of the peer for no peer, and fails"
)
@in_loop
async def test_a_pair_of_unnamed_unix_sockets(loop):
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    two.setblocking(False)
    async with endpoint(loop, sock=one) as (transport, protocol):
        with two:
            transport.sendto(b"one")
            transport.sendto(b"two", None)
            assert await receive(two, 2) == [b"one", b"two"]
            two.send(b"back")
            await until(lambda: protocol.received)
            assert protocol.received == [(b"back", None)]


@pytest.mark.skipif(
    not hasattr(socket, "AF_NETLINK"), reason="netlink is Linux's"
)
@in_loop
async def test_a_family_that_only_the_socket_module_knows(loop):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
    sock.bind((0, 0))
    async with endpoint(loop, sock=sock) as (transport, protocol):
        # RTM_GETLINK of all interfaces: the kernel answers.
        message = (
            (20).to_bytes(4, "little") + (18).to_bytes(2, "little")
            + (0x301).to_bytes(2, "little") + bytes(12)
        )
        transport.sendto(message, (0, 0))
        await until(lambda: protocol.received)
        data, address = protocol.received[0]
        assert address == (0, 0) and len(data) > 16


@in_loop
async def test_the_descriptor_closes_with_the_loss(loop):
    async with endpoint(loop) as (transport, protocol):
        fd = transport.get_extra_info("socket").fileno()
        transport.close()
        assert is_open(fd)
        await protocol.lost
        await settle()
        assert not is_open(fd)
