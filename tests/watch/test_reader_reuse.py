"""Descriptors that are closed, opened again, duplicated, toggled."""

import os
import socket

import pytest

from support.loops import run_turns


def socket_ends():
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def pipe_ends():
    return os.pipe()


def event_ends():
    if not hasattr(os, "eventfd"):
        pytest.skip("eventfd is Linux's")
    fd = os.eventfd(0)
    return fd, os.dup(fd)


OPENERS = {"socket": socket_ends, "pipe": pipe_ends, "eventfd": event_ends}


def wake(fd):
    os.write(fd, (1).to_bytes(8, "little"))


def wait_readable(loop, fd):
    """One wait as libraries make it: add, wait, remove."""
    loop.add_reader(fd, loop.stop)
    loop.run_forever()
    return loop.remove_reader(fd)


@pytest.mark.parametrize("what", OPENERS)
def test_a_reader_can_be_toggled_a_thousand_times(loop, what):
    reader, writer = OPENERS[what]()
    try:
        for _ in range(1000):
            wake(writer)
            assert wait_readable(loop, reader) is True
            os.read(reader, 8)
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("what", OPENERS)
def test_a_number_that_is_opened_again_is_a_new_descriptor(loop, what):
    """Closed after its removal, as it should be."""
    numbers = set()
    for _ in range(300):
        reader, writer = OPENERS[what]()
        numbers.add(reader)
        wake(writer)
        assert wait_readable(loop, reader) is True
        os.close(reader)
        os.close(writer)
    assert len(numbers) < 10


def test_one_number_changes_its_kind_from_time_to_time(loop):
    openers = [socket_ends, pipe_ends]
    if hasattr(os, "eventfd"):
        openers.append(event_ends)
    for turn in range(300):
        reader, writer = openers[turn % len(openers)]()
        called = []
        loop.add_reader(reader, called.append, 1)
        run_turns(loop, 2)
        assert called == [], "called for the descriptor of before"
        wake(writer)
        while not called:
            run_turns(loop)
        assert loop.remove_reader(reader) is True
        os.close(reader)
        os.close(writer)


def test_toggling_without_a_turn_between_leaves_the_last_state(loop):
    reader, writer = os.pipe()
    called = []
    try:
        wake(writer)
        for _ in range(100):
            loop.add_reader(reader, called.append, 1)
            loop.remove_reader(reader)
        run_turns(loop, 3)
        assert called == []
        loop.add_reader(reader, loop.stop)
        loop.run_forever()
        assert loop.remove_reader(reader) is True
    finally:
        os.close(reader)
        os.close(writer)


def test_a_number_reused_without_a_turn_between_is_watched_anew(loop):
    """Removed, closed and opened again while no poll could look."""
    first, first_writer = os.pipe()
    loop.add_reader(first, pytest.fail)
    run_turns(loop)
    loop.remove_reader(first)
    os.close(first)
    second, second_writer = os.pipe()
    assert second == first
    called = []
    try:
        loop.add_reader(second, lambda: (called.append(1), loop.stop()))
        wake(second_writer)
        loop.run_forever()
        loop.remove_reader(second)
    finally:
        for fd in (second, second_writer, first_writer):
            os.close(fd)
    assert called == [1]


def test_a_duplicate_that_lives_on_makes_no_callback(loop):
    """epoll reports a closed number while a duplicate keeps it open."""
    ours, theirs = socket.socketpair()
    with theirs, ours.dup() as kept:
        called = []
        loop.add_reader(ours, called.append, 1)
        run_turns(loop)
        loop.remove_reader(ours)
        ours.close()
        theirs.send(b"x")
        run_turns(loop, 5)
        assert called == []
        assert kept.recv(1) == b"x"


def test_a_duplicate_that_lives_on_does_not_spin_the_loop(loop):
    ours, theirs = socket.socketpair()
    with theirs, ours.dup():
        loop.add_reader(ours, lambda: None)
        run_turns(loop)
        loop.remove_reader(ours)
        ours.close()
        theirs.send(b"x")
        before = os.times()
        loop.call_later(0.3, loop.stop)
        loop.run_forever()
        after = os.times()
    used = after.user + after.system - before.user - before.system
    assert used < 0.15


def test_a_duplicate_can_be_watched_beside_the_original(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.dup() as twin:
        called = []
        loop.add_reader(ours, called.append, "original")
        loop.add_reader(twin, called.append, "twin")
        theirs.send(b"x")
        while len(set(called)) < 2:
            run_turns(loop)
        assert loop.remove_reader(ours) is True
        assert loop.remove_reader(twin) is True


def test_reader_and_writer_alternate_on_one_descriptor(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(300):
            loop.add_writer(ours, loop.stop)
            loop.run_forever()
            assert loop.remove_writer(ours) is True
            theirs.send(b"x")
            assert wait_readable(loop, ours) is True
            assert ours.recv(1) == b"x"


def test_o_nonblock_is_left_as_it_was_found(loop):
    reader, writer = os.pipe()
    try:
        for blocking in (True, False):
            os.set_blocking(reader, blocking)
            loop.add_reader(reader, print)
            assert os.get_blocking(reader) is blocking
            run_turns(loop)
            assert os.get_blocking(reader) is blocking
            loop.remove_reader(reader)
            assert os.get_blocking(reader) is blocking
            run_turns(loop)
            assert os.get_blocking(reader) is blocking
    finally:
        os.close(reader)
        os.close(writer)


def test_o_nonblock_of_a_terminal_is_left_as_it_was_found(loop):
    """A terminal's flags are shared with the shell that started us."""
    controller, terminal = os.openpty()
    try:
        loop.add_reader(terminal, print)
        loop.add_writer(terminal, loop.stop)
        loop.run_forever()
        assert os.get_blocking(terminal) is True
        loop.remove_writer(terminal)
        loop.remove_reader(terminal)
        loop.close()
        assert os.get_blocking(terminal) is True
    finally:
        os.close(controller)
        os.close(terminal)


def test_the_inheritable_flag_is_left_as_it_was_found(loop):
    reader, writer = os.pipe()
    try:
        os.set_inheritable(reader, True)
        loop.add_reader(reader, print)
        run_turns(loop)
        loop.remove_reader(reader)
        assert os.get_inheritable(reader) is True
    finally:
        os.close(reader)
        os.close(writer)
