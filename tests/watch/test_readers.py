"""add_reader, add_writer and their removal."""

import os
import socket

import pytest

from support.loops import run_turns


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def quiet_turns(loop, count=5):
    """Turns enough for what is readable to be seen."""
    run_turns(loop, count)


@pytest.mark.parametrize("as_object", [False, True], ids=["fd", "object"])
def test_a_reader_is_called_when_there_is_data(loop, pair, as_object):
    ours, theirs = pair
    got = []

    def read(*args):
        got.append((args, ours.recv(10)))
        loop.stop()

    thing = ours if as_object else ours.fileno()
    loop.add_reader(thing, read, 1, 2)
    theirs.send(b"data")
    loop.run_forever()
    assert loop.remove_reader(thing) is True
    assert got == [((1, 2), b"data")]


@pytest.mark.parametrize("as_object", [False, True], ids=["fd", "object"])
def test_a_writer_is_called_when_there_is_room(loop, pair, as_object):
    ours, _ = pair
    got = []

    def write(*args):
        got.append(args)
        loop.stop()

    thing = ours if as_object else ours.fileno()
    loop.add_writer(thing, write, "x")
    loop.run_forever()
    assert loop.remove_writer(thing) is True
    assert got == [("x",)]


def test_a_writer_waits_until_there_is_room(loop, pair):
    ours, theirs = pair
    try:
        while True:
            ours.send(b"x" * 65536)
    except BlockingIOError:
        pass
    called = []
    loop.add_writer(ours, lambda: (called.append(1), loop.stop()))
    quiet_turns(loop)
    assert called == []
    try:
        while theirs.recv(1 << 20):
            pass
    except BlockingIOError:
        pass
    loop.run_forever()
    loop.remove_writer(ours)
    assert called == [1]


def test_a_reader_is_called_again_while_data_is_left(loop, pair):
    ours, theirs = pair
    got = []

    def read():
        got.append(ours.recv(1))
        if len(got) == 5:
            loop.stop()

    loop.add_reader(ours, read)
    theirs.send(b"abcde")
    loop.run_forever()
    loop.remove_reader(ours)
    assert b"".join(got) == b"abcde"


def test_a_reader_is_not_called_without_data(loop, pair):
    ours, _ = pair
    called = []
    loop.add_reader(ours, called.append, 1)
    quiet_turns(loop)
    loop.remove_reader(ours)
    assert called == []


def test_removing_says_whether_there_was_one(loop, pair):
    ours, _ = pair
    assert loop.remove_reader(ours) is False
    assert loop.remove_writer(ours) is False
    loop.add_reader(ours, print)
    assert loop.remove_writer(ours) is False
    assert loop.remove_reader(ours) is True
    assert loop.remove_reader(ours) is False
    loop.add_writer(ours, print)
    assert loop.remove_reader(ours) is False
    assert loop.remove_writer(ours) is True
    assert loop.remove_writer(ours) is False


def test_a_removed_reader_is_not_called(loop, pair):
    ours, theirs = pair
    called = []
    loop.add_reader(ours, called.append, 1)
    theirs.send(b"x")
    loop.remove_reader(ours)
    quiet_turns(loop)
    assert called == []


def test_adding_again_replaces_the_callback(loop, pair):
    ours, theirs = pair
    called = []
    loop.add_reader(ours, called.append, "old")
    loop.add_reader(ours, lambda: (called.append("new"), loop.stop()))
    theirs.send(b"x")
    loop.run_forever()
    assert called == ["new"]
    assert loop.remove_reader(ours) is True
    assert loop.remove_reader(ours) is False


def test_a_reader_that_was_replaced_after_its_event_does_not_run(loop, pair):
    ours, theirs = pair
    called = []

    def first():
        called.append("first")
        loop.add_reader(ours, second)

    def second():
        called.append("second")
        loop.stop()

    loop.add_reader(ours, first)
    theirs.send(b"x")
    loop.run_forever()
    loop.remove_reader(ours)
    assert called == ["first", "second"]


def test_one_descriptor_has_a_reader_and_a_writer(loop, pair):
    ours, theirs = pair
    called = []

    def read():
        called.append("read")
        loop.remove_reader(ours)

    def write():
        called.append("write")
        loop.remove_writer(ours)

    loop.add_reader(ours, read)
    loop.add_writer(ours, write)
    theirs.send(b"x")
    while len(called) < 2:
        run_turns(loop)
    assert sorted(called) == ["read", "write"]


def test_removing_the_reader_leaves_the_writer(loop, pair):
    ours, theirs = pair
    called = []
    loop.add_reader(ours, called.append, "read")
    loop.add_writer(ours, lambda: (called.append("write"), loop.stop()))
    theirs.send(b"x")
    loop.remove_reader(ours)
    loop.run_forever()
    assert loop.remove_writer(ours) is True
    assert called == ["write"]


def test_removing_the_writer_leaves_the_reader(loop, pair):
    ours, theirs = pair
    called = []
    loop.add_writer(ours, called.append, "write")
    loop.add_reader(ours, lambda: (called.append("read"), loop.stop()))
    theirs.send(b"x")
    loop.remove_writer(ours)
    loop.run_forever()
    assert loop.remove_reader(ours) is True
    assert called == ["read"]


def test_a_callback_may_remove_itself(loop, pair):
    ours, theirs = pair
    called = []

    def read():
        called.append(loop.remove_reader(ours))

    loop.add_reader(ours, read)
    theirs.send(b"x")
    while not called:
        run_turns(loop)
    quiet_turns(loop)
    assert called == [True]


def test_a_reader_may_remove_the_writer_of_the_same_event(loop, pair):
    ours, theirs = pair
    called = []

    def read():
        called.append("read")
        loop.remove_reader(ours)
        loop.remove_writer(ours)

    loop.add_reader(ours, read)
    loop.add_writer(ours, called.append, "write")
    theirs.send(b"x")
    while "read" not in called:
        run_turns(loop)
    count = len(called)
    quiet_turns(loop)
    assert len(called) == count


def test_a_reader_may_remove_another_that_is_ready_too(loop):
    pairs = [socket.socketpair() for _ in range(2)]
    called = []

    def read(number):
        called.append(number)
        for end, _ in pairs:
            loop.remove_reader(end)

    for number, (end, peer) in enumerate(pairs):
        loop.add_reader(end, read, number)
        peer.send(b"x")
    while not called:
        run_turns(loop)
    quiet_turns(loop)
    for pair in pairs:
        for end in pair:
            end.close()
    assert len(called) == 1


def test_two_loops_watch_the_same_descriptor(new_loop, pair):
    ours, theirs = pair
    theirs.send(b"x")
    for loop in (new_loop(), new_loop()):
        loop.add_reader(ours, loop.stop)
        loop.run_forever()
    assert ours.recv(2) == b"x"


def test_hundreds_of_readers_are_all_called(loop):
    pairs = [socket.socketpair() for _ in range(200)]
    called = []

    def read(number):
        called.append(number)
        loop.remove_reader(pairs[number][0])
        if len(called) == len(pairs):
            loop.stop()

    for number, (end, _) in enumerate(pairs):
        loop.add_reader(end, read, number)
    for _, peer in pairs:
        peer.send(b"x")
    loop.run_forever()
    for pair in pairs:
        for end in pair:
            end.close()
    assert sorted(called) == list(range(200))


def test_pipes_can_be_watched(loop):
    reader, writer = os.pipe()
    got = []

    def read():
        got.append(os.read(reader, 10))
        loop.stop()

    try:
        loop.add_reader(reader, read)
        loop.add_writer(writer, lambda: (os.write(writer, b"pipe"),
                                         loop.remove_writer(writer)))
        loop.run_forever()
        loop.remove_reader(reader)
    finally:
        os.close(reader)
        os.close(writer)
    assert got == [b"pipe"]


def test_a_descriptor_at_epolls_own_kind_can_be_watched(loop):
    """A poller is itself pollable; libraries hand theirs over."""
    import select

    if not hasattr(select, "epoll"):
        pytest.skip("epoll is Linux's")
    ours, theirs = socket.socketpair()
    with ours, theirs, select.epoll() as poller:
        poller.register(ours, select.EPOLLIN)
        loop.add_reader(poller, loop.stop)
        theirs.send(b"x")
        loop.run_forever()
        assert loop.remove_reader(poller) is True


def test_a_reader_keeps_its_arguments_alive_until_removed(loop, pair):
    import weakref

    class Token:
        pass

    ours, _ = pair
    token = Token()
    dead = weakref.ref(token)
    loop.add_reader(ours, print, token)
    del token
    run_turns(loop)
    assert dead() is not None
    loop.remove_reader(ours)
    run_turns(loop)
    assert dead() is None
