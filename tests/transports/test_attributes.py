"""What a transport is and tells: types, names, extra info, odd uses."""

import asyncio
import copy
import pickle
import re
import socket
import weakref
from asyncio import constants, transports, trsock

import pytest

from support.net import (
    FAMILIES, BufferedRecorder, Recorder, fill, in_loop, link, pair,
    receive, reset, settle, until,
)

families = pytest.mark.parametrize("family", FAMILIES)


@families
@in_loop
async def test_its_class_is_asyncios(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        for base in (
            asyncio.Transport, asyncio.ReadTransport, asyncio.WriteTransport,
            asyncio.BaseTransport, transports._FlowControlMixin,
        ):
            assert isinstance(transport, base)
            assert issubclass(type(transport), base)
        for base in (asyncio.DatagramTransport, asyncio.SubprocessTransport):
            assert not isinstance(transport, base)


@in_loop
async def test_extra_info_of_a_tcp_connection(loop):
    async with link(loop) as (transport, protocol, peer):
        info = transport.get_extra_info
        assert info("peername") == peer.getsockname()
        assert info("sockname") == peer.getpeername()
        assert info("socket").family == socket.AF_INET
        for name in ("pipe", "sslcontext", "ssl_object", "peercert", "x"):
            assert info(name) is None
            assert info(name, "default") == "default"
        assert info("peername", "default") == peer.getsockname()


@in_loop
async def test_extra_info_of_a_unix_connection(loop):
    async with link(loop, family="unix") as (transport, protocol, peer):
        info = transport.get_extra_info
        assert info("peername") == ""
        assert info("sockname") == ""
        assert info("socket").family == socket.AF_UNIX
        assert info("sockname", "default") == ""


@in_loop
async def test_extra_info_of_an_ipv6_connection(loop):
    with socket.socket(socket.AF_INET6) as listener:
        try:
            listener.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        listener.listen()
        transport, protocol = await loop.create_connection(
            lambda: Recorder(loop), *listener.getsockname()[:2]
        )
        peer, _ = listener.accept()
        with peer:
            info = transport.get_extra_info
            assert info("peername") == listener.getsockname()
            assert info("sockname") == peer.getpeername()
            assert len(info("peername")) == 4
        await protocol.lost


@families
@in_loop
async def test_the_socket_is_a_transport_socket(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        sock = transport.get_extra_info("socket")
        assert type(sock) is trsock.TransportSocket
        assert transport.get_extra_info("socket") is sock
        assert sock.fileno() > 2
        assert sock.type == socket.SOCK_STREAM
        assert isinstance(sock.family, socket.AddressFamily)
        assert sock.getsockname() == peer.getpeername()
        assert sock.getpeername() == peer.getsockname()
        assert sock.gettimeout() == 0
        sock.setblocking(False)
        sock.settimeout(0)
        with pytest.raises(ValueError, match="cannot be blocking"):
            sock.setblocking(True)
        with pytest.raises(ValueError, match="only 0 timeout"):
            sock.settimeout(1)
        assert not hasattr(sock, "close")
        assert not hasattr(sock, "recv")
        with pytest.raises(TypeError):
            pickle.dumps(sock)
        assert "TransportSocket fd=" in repr(sock)


@in_loop
async def test_options_set_on_the_socket_are_those_of_the_connection(loop):
    async with link(loop) as (transport, protocol, peer):
        sock = transport.get_extra_info("socket")
        for option in (socket.SO_KEEPALIVE, socket.SO_OOBINLINE):
            for value in (1, 0):
                sock.setsockopt(socket.SOL_SOCKET, option, value)
                assert sock.getsockopt(socket.SOL_SOCKET, option) == value
        with sock.dup() as again:
            assert again.getsockname() == sock.getsockname()
            assert not again.get_inheritable()
        sock.shutdown(socket.SHUT_WR)
        assert await receive(peer) == b""


@in_loop
async def test_delayed_sending_is_off(loop):
    ours, peer = pair()
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), sock=ours
    )
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    transport.close()
    await protocol.lost
    peer.close()


@families
@in_loop
async def test_the_socket_that_was_passed_is_the_transports(loop, family):
    ours, peer = pair(family)
    fd = ours.fileno()
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), sock=ours
    )
    assert ours.fileno() == fd
    assert transport.get_extra_info("socket").fileno() == fd
    assert ours.gettimeout() == 0
    transport.close()
    await protocol.lost
    await settle()
    # It can not close a number that is another's by now.
    assert ours.fileno() == -1
    peer.close()


@in_loop
async def test_extra_info_outlives_the_connection(loop):
    async with link(loop) as (transport, protocol, peer):
        before = {
            name: transport.get_extra_info(name)
            for name in ("peername", "sockname", "socket")
        }
        transport.close()
        await protocol.lost
        await settle()
        for name, value in before.items():
            assert transport.get_extra_info(name) == value
        assert before["socket"].fileno() == -1


@in_loop
async def test_names_asked_for_after_the_end_are_there(loop):
    """A server logs its client's address when it has gone."""
    async with link(loop) as (transport, protocol, peer):
        address = peer.getsockname()
        peer.close()
        await protocol.lost
        await settle()
        assert transport.get_extra_info("peername") == address
        assert transport.get_extra_info("socket").fileno() == -1


@in_loop
async def test_names_are_there_when_the_kernel_has_forgotten_them(loop):
    seen = []

    class Log(Recorder):
        def connection_lost(self, error):
            seen.append(self.transport.get_extra_info("peername"))
            seen.append(self.transport.get_extra_info("sockname"))
            super().connection_lost(error)

    async with link(loop, Log) as (transport, protocol, peer):
        expected = [peer.getsockname(), peer.getpeername()]
        reset(peer)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert seen == expected


@families
@in_loop
async def test_private_attributes_that_others_read(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        assert transport._loop is loop
        assert transport._start_tls_compatible is True
        mode = constants._SendfileMode.TRY_NATIVE
        assert transport._sendfile_compatible is mode
        sock = transport.get_extra_info("socket")
        assert transport._sock_fd == sock.fileno()
        assert callable(transport._force_close)
        transport.close()
        await protocol.lost


@in_loop
async def test_a_descriptor_of_a_transport_is_taken(loop):
    async with link(loop) as (transport, protocol, peer):
        sock = transport.get_extra_info("socket")
        for function in (
            lambda: loop.add_reader(sock, int),
            lambda: loop.add_writer(sock.fileno(), int),
            lambda: loop.remove_reader(sock),
            lambda: loop.remove_writer(sock.fileno()),
            lambda: loop._ensure_fd_no_transport(sock.fileno()),
        ):
            with pytest.raises(RuntimeError, match="is used by transport"):
                function()
        transport.close()
        assert loop.remove_reader(sock) is False


@in_loop
async def test_attributes_of_any_name_can_be_set(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.anything = 5
        transport._mark = peer
        assert transport.anything == 5 and transport._mark is peer
        del transport.anything, transport._mark
        assert not hasattr(transport, "anything")


@in_loop
async def test_methods_can_be_replaced_on_the_instance(loop):
    async with link(loop) as (transport, protocol, peer):
        written = []
        transport.write = written.append
        transport.write(b"caught")
        assert written == [b"caught"]
        del transport.write
        transport.write(b"sent")
        assert await receive(peer, 4) == b"sent"


@in_loop
async def test_it_can_be_referred_to_weakly_hashed_and_compared(loop):
    async with link(loop) as (one, _, _), link(loop) as (two, _, _):
        assert weakref.ref(one)() is one
        assert len(weakref.WeakSet([one, two, one])) == 2
        assert {one: 1, two: 2}[one] == 1
        assert one == one and one != two


@in_loop
async def test_it_cannot_be_copied_into_a_second_owner(loop):
    async with link(loop) as (transport, protocol, peer):
        with pytest.raises(TypeError):
            pickle.dumps(transport)
        with pytest.raises(TypeError):
            copy.deepcopy(transport)


@families
@in_loop
async def test_repr_tells_the_state(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        await settle()
        fd = transport.get_extra_info("socket").fileno()
        name = type(transport).__name__

        def seen():
            return re.sub(r"bufsize=[1-9]\d*", "bufsize=N", repr(transport))

        idle = f"<{name} fd={fd} read=%s write=<idle, bufsize=0>>"
        assert seen() == idle % "polling"
        transport.pause_reading()
        assert seen() == idle % "idle"
        transport.resume_reading()
        assert seen() == idle % "polling"
        await fill(transport)
        assert seen() == (
            f"<{name} fd={fd} read=polling write=<polling, bufsize=N>>"
        )
        transport.close()
        assert seen() == (
            f"<{name} closing fd={fd} read=idle write=<polling, bufsize=N>>"
        )
        transport.abort()
        assert seen() == (
            f"<{name} closing fd={fd} read=idle write=<idle, bufsize=0>>"
        )
        await protocol.lost
        await settle()
        assert seen() == f"<{name} closed fd={fd}>"


# -- the protocol -----------------------------------------------------------

@families
@in_loop
async def test_the_protocol_can_be_replaced_in_mid_stream(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        assert transport.get_protocol() is protocol
        peer.send(b"for the first")
        await until(lambda: len(protocol.data) == 13)
        second = Recorder(loop)
        assert transport.set_protocol(second) is None
        assert transport.get_protocol() is second
        peer.send(b"for the second")
        peer.close()
        await second.lost
        assert protocol.data == b"for the first"
        assert second.data == b"for the second"
        # Nobody tells the new one that there is a connection.
        assert second.calls == ["data", "eof", "lost"]
        assert protocol.calls == ["made", "data"]


@in_loop
async def test_the_protocol_can_be_replaced_within_data_received(loop):
    second = Recorder(loop)

    class First(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.set_protocol(second)

    async with link(loop, First) as (transport, protocol, peer):
        peer.send(b"one")
        await until(lambda: protocol.data == b"one")
        peer.send(b"two")
        await until(lambda: second.data == b"two")
        transport.close()
        await second.lost
        assert protocol.calls == ["made", "data"]


@families
@in_loop
async def test_plain_and_buffered_protocols_take_turns(loop, family):
    async with link(loop, family=family) as (transport, protocol, peer):
        everything = bytearray()
        for turn in range(6):
            made = (BufferedRecorder if turn % 2 else Recorder)(loop)
            transport.set_protocol(made)
            sent = bytes([turn]) * 2500
            peer.send(sent)
            await until(lambda: len(made.data) == 2500)
            everything += made.data
        assert everything == b"".join(
            bytes([turn]) * 2500 for turn in range(6)
        )
        peer.close()
        await made.lost
        assert made.calls == ["data", "eof", "lost"]


@in_loop
async def test_methods_of_the_protocol_may_change_under_the_transport(loop):
    async with link(loop) as (transport, protocol, peer):
        seen = []
        original = protocol.data_received
        protocol.data_received = seen.append
        transport.set_protocol(protocol)
        peer.send(b"one")
        await until(lambda: seen == [b"one"])
        protocol.data_received = original
        transport.set_protocol(protocol)
        peer.send(b"two")
        await until(lambda: protocol.data == b"two")


@in_loop
async def test_pause_writing_goes_to_the_protocol_of_the_moment(loop):
    async with link(loop) as (transport, protocol, peer):
        transport.write(bytes(4 << 20))
        assert protocol.calls == ["made", "pause"]
        second = Recorder(loop)
        transport.set_protocol(second)
        await receive(peer, 4 << 20)
        await until(lambda: second.calls == ["resume"])
        assert protocol.calls == ["made", "pause"]


def test_a_replaced_protocol_is_let_go(loop):
    @in_loop
    async def main(loop):
        ours, peer = pair()
        transport, protocol = await loop.create_connection(
            lambda: Recorder(loop), sock=ours
        )
        peer.send(b"x")
        await until(lambda: protocol.data == b"x")
        second = Recorder(loop)
        transport.set_protocol(second)
        dead = weakref.ref(protocol)
        protocol.transport = None
        del protocol
        await settle()
        assert dead() is None
        transport.close()
        await second.lost
        peer.close()

    main(loop)
