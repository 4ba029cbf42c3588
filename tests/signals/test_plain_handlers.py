"""Handlers of signal.signal, and the wake-up descriptor."""

import os
import signal
import socket
import threading

import pytest

from support.loops import run_turns, run_until

USR1 = signal.SIGUSR1


@pytest.fixture
def plain():
    """signal.signal for SIGUSR1, undone after the test."""
    before = signal.getsignal(USR1)

    def install(handler):
        signal.signal(USR1, handler)

    yield install
    signal.signal(USR1, before)


def send():
    os.kill(os.getpid(), USR1)


@pytest.mark.native_only(reason="asyncio without a wake-up descriptor of "
                                "its own restarts the poll and waits on")
def test_a_plain_handler_runs_promptly_on_an_idle_loop(loop, plain):
    """The loop sleeps for ten seconds; the handler may not wait for it."""
    ran = []

    def handler(signum, frame):
        ran.append(loop.time() - start)
        loop.call_soon_threadsafe(loop.stop)

    plain(handler)
    timer = threading.Timer(0.05, send)
    loop.call_later(10, loop.stop)
    loop.call_soon(timer.start)
    start = loop.time()
    loop.run_forever()
    timer.join()
    assert len(ran) == 1 and ran[0] < 5


def test_a_plain_handler_may_wake_the_loop_itself(loop, plain):
    """What Runner's own handler of SIGINT does."""
    plain(lambda *_: loop.call_soon_threadsafe(loop.stop))
    loop.call_soon(send)
    loop.run_forever()
    assert not loop.is_running()


def test_a_plain_handler_may_call_call_soon(loop, plain):
    ran = []

    def handler(signum, frame):
        loop.call_soon(ran.append, signum)

    plain(handler)
    loop.call_soon(send)
    run_until(loop, lambda: bool(ran))
    assert ran == [USR1]


def test_what_a_plain_handler_raises_is_no_loss_for_the_loop(loop, plain):
    """Raised within a callback it is the callback's; the loop lives on."""
    from support.loops import collect_errors

    errors = collect_errors(loop)

    def handler(signum, frame):
        raise LookupError("of the handler")

    def callback():
        send()
        for _ in range(1000):
            pass

    plain(handler)
    loop.call_soon(callback)
    try:
        run_until(loop, lambda: bool(errors))
    except LookupError:
        pass
    else:
        assert isinstance(errors[0]["exception"], LookupError)
    run_turns(loop)
    assert not loop.is_running()


def wakeup_fd():
    """The process's wake-up descriptor, left as it is."""
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    return fd


def test_there_is_no_wakeup_descriptor_after_a_run(loop):
    assert wakeup_fd() == -1
    run_turns(loop)
    assert wakeup_fd() == -1


def test_there_is_none_after_a_run_with_a_handler(loop):
    loop.add_signal_handler(USR1, print)
    run_turns(loop)
    loop.remove_signal_handler(USR1)
    assert wakeup_fd() == -1


def test_a_wakeup_descriptor_of_the_user_is_there_after_a_run(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        try:
            run_turns(loop)
            assert wakeup_fd() == theirs.fileno()
        finally:
            signal.set_wakeup_fd(-1)


def test_a_run_that_raises_restores_the_descriptor_too(loop):
    def fail():
        raise KeyboardInterrupt

    loop.call_soon(fail)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert wakeup_fd() == -1


def test_a_loop_in_another_thread_leaves_signals_alone(new_loop):
    seen = []

    def work():
        loop = new_loop()
        run_turns(loop, 3)
        loop.close()

    thread = threading.Thread(target=work)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        try:
            thread.start()
            thread.join()
            seen.append(wakeup_fd() == theirs.fileno())
        finally:
            signal.set_wakeup_fd(-1)
    assert seen == [True]


def test_the_handler_of_one_loop_survives_another(new_loop):
    """A second loop is made, run and closed: the first still hears."""
    got = []
    first = new_loop()
    first.add_signal_handler(USR1, got.append, 1)
    second = new_loop()
    run_turns(second)
    second.close()
    first.call_soon(send)
    run_until(first, lambda: bool(got))
    first.remove_signal_handler(USR1)
    assert got == [1]


@pytest.mark.native_only(reason="asyncio's loops share one wake-up "
                                "descriptor and take it from one another")
def test_two_loops_hear_their_own_signals_in_turn(new_loop):
    usr2 = signal.SIGUSR2
    got = []
    one, two = new_loop(), new_loop()
    one.add_signal_handler(USR1, got.append, "one")
    two.add_signal_handler(usr2, got.append, "two")
    for _ in range(3):
        got.clear()
        one.call_soon(send)
        run_until(one, lambda: got == ["one"])
        two.call_soon(os.kill, os.getpid(), usr2)
        run_until(two, lambda: got == ["one", "two"])
    two.remove_signal_handler(usr2)
    one.call_soon(send)
    run_until(one, lambda: got == ["one", "two", "one"])
    one.remove_signal_handler(USR1)
    assert got == ["one", "two", "one"]


@pytest.mark.native_only(reason="asyncio's second loop turns the wake-up "
                                "descriptor off for the first")
def test_closing_a_loop_with_handlers_leaves_those_of_another(new_loop):
    got = []
    one, two = new_loop(), new_loop()
    one.add_signal_handler(USR1, got.append, "one")
    two.add_signal_handler(signal.SIGUSR2, got.append, "two")
    two.close()
    one.call_soon(send)
    run_until(one, lambda: bool(got))
    one.remove_signal_handler(USR1)
    assert got == ["one"]
