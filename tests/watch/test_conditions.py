"""Hang-up and error conditions reach the callbacks as in asyncio."""

import os
import socket
import struct

import pytest

from support.loops import run_turns


def called(loop, *registrations):
    """Which callbacks run within some turns: (method, fd, name)."""
    seen = []
    for method, fd, name in registrations:
        getattr(loop, f"add_{method}")(fd, seen.append, name)
    run_turns(loop, 5)
    for method, fd, _ in registrations:
        getattr(loop, f"remove_{method}")(fd)
    return set(seen)


def test_the_end_of_a_pipe_wakes_its_reader(loop):
    reader, writer = os.pipe()
    os.close(writer)
    try:
        assert called(loop, ("reader", reader, "r")) == {"r"}
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_a_pipe_without_readers_wakes_its_writer(loop):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"x" * 65536):
            pass
    except BlockingIOError:
        pass
    os.close(reader)
    try:
        assert called(loop, ("writer", writer, "w")) == {"w"}
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
    finally:
        os.close(writer)


def test_a_reader_on_a_pipes_write_end_learns_of_its_breaking(loop):
    """How transports notice that the peer of a write pipe is gone."""
    reader, writer = os.pipe()
    try:
        assert called(loop, ("reader", writer, "r")) == set()
        os.close(reader)
        assert called(loop, ("reader", writer, "r")) == {"r"}
    finally:
        os.close(writer)


def test_a_peer_that_closes_wakes_the_reader(loop):
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert called(loop, ("reader", ours, "r")) == {"r"}
        assert ours.recv(1) == b""


def test_a_peer_that_closes_wakes_reader_and_writer(loop):
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert called(
            loop, ("reader", ours, "r"), ("writer", ours, "w")
        ) == {"r", "w"}


def test_a_peer_that_shuts_down_its_side_wakes_the_reader(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.shutdown(socket.SHUT_WR)
        assert called(loop, ("reader", ours, "r")) == {"r"}


def refused_connection():
    """A non-blocking connect to a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(address)
    return sock


def test_a_refused_connection_wakes_the_writer(loop):
    with refused_connection() as sock:
        loop.add_writer(sock, loop.stop)
        loop.run_forever()
        loop.remove_writer(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def test_a_refused_connection_wakes_the_reader_too(loop):
    with refused_connection() as sock:
        loop.add_reader(sock, loop.stop)
        loop.run_forever()
        loop.remove_reader(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def test_an_accepted_connection_wakes_the_listener(loop):
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        loop.add_reader(listener, loop.stop)
        loop.run_forever()
        loop.remove_reader(listener)
        accepted, _ = listener.accept()
        accepted.close()


def test_a_reset_wakes_the_reader(loop):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as ours:
            theirs, _ = listener.accept()
            # Linger 0 makes close() a reset.
            theirs.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            theirs.close()
            loop.add_reader(ours, loop.stop)
            loop.run_forever()
            loop.remove_reader(ours)
            with pytest.raises(ConnectionResetError):
                ours.recv(1)


def test_data_before_the_end_comes_first(loop):
    ours, theirs = socket.socketpair()
    got = []

    def read():
        got.append(ours.recv(10))
        if not got[-1]:
            loop.stop()

    with ours:
        theirs.send(b"last words")
        theirs.close()
        loop.add_reader(ours, read)
        loop.run_forever()
        loop.remove_reader(ours)
    assert got == [b"last words", b""]


def test_a_hang_up_does_not_spin_a_loop_that_watches_for_writing(loop):
    """The write side of a full socket whose peer only shut down."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        try:
            while True:
                ours.send(b"x" * 65536)
        except BlockingIOError:
            pass
        theirs.shutdown(socket.SHUT_WR)
        seen = []
        loop.add_writer(ours, seen.append, 1)
        before = os.times()
        loop.call_later(0.2, loop.stop)
        loop.run_forever()
        after = os.times()
        loop.remove_writer(ours)
    used = after.user + after.system - before.user - before.system
    assert seen == [] and used < 0.15
