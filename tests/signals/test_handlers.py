"""add_signal_handler and remove_signal_handler."""

import os
import signal
import threading

import pytest

from support.loops import collect_errors, run_turns, run_until

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture(autouse=True)
def restored():
    """The process's handlers are the same after the test."""
    before = {sig: signal.getsignal(sig) for sig in (USR1, USR2)}
    yield
    for sig, handler in before.items():
        assert signal.getsignal(sig) == handler
        signal.signal(sig, handler)


def send(sig=USR1):
    os.kill(os.getpid(), sig)


def test_a_handler_is_called_with_its_arguments(loop):
    got = []
    loop.add_signal_handler(USR1, lambda *args: (got.append(args),
                                                 loop.stop()), 1, 2)
    loop.call_soon(send)
    loop.run_forever()
    assert loop.remove_signal_handler(USR1) is True
    assert got == [(1, 2)]


def test_a_handler_runs_in_the_loop_and_not_in_the_signal(loop):
    trace = []
    loop.add_signal_handler(USR1, lambda: (trace.append("handler"),
                                           loop.stop()))

    def callback():
        send()
        trace.append("callback goes on")

    loop.call_soon(callback)
    loop.run_forever()
    loop.remove_signal_handler(USR1)
    assert trace == ["callback goes on", "handler"]


def test_a_signal_between_runs_is_handled_in_the_next(loop):
    got = []
    loop.add_signal_handler(USR1, got.append, 1)
    send()
    run_until(loop, lambda: bool(got))
    loop.remove_signal_handler(USR1)
    assert got == [1]


def test_each_signal_has_its_own_handler(loop):
    got = []
    loop.add_signal_handler(USR1, got.append, "one")
    loop.add_signal_handler(USR2, got.append, "two")
    loop.call_soon(send, USR2)
    run_until(loop, lambda: got == ["two"])
    loop.call_soon(send, USR1)
    run_until(loop, lambda: got == ["two", "one"])
    loop.remove_signal_handler(USR1)
    loop.remove_signal_handler(USR2)
    assert got == ["two", "one"]


def test_setting_again_replaces_the_handler(loop):
    got = []
    loop.add_signal_handler(USR1, got.append, "old")
    loop.add_signal_handler(USR1, got.append, "new")
    loop.call_soon(send)
    run_until(loop, lambda: bool(got))
    assert loop.remove_signal_handler(USR1) is True
    assert got == ["new"]


def test_removing_says_whether_there_was_one(loop):
    assert loop.remove_signal_handler(USR1) is False
    loop.add_signal_handler(USR1, print)
    assert loop.remove_signal_handler(USR1) is True
    assert loop.remove_signal_handler(USR1) is False


def test_removing_restores_the_default_action(loop):
    loop.add_signal_handler(USR1, print)
    assert signal.getsignal(USR1) not in (signal.SIG_DFL, None)
    loop.remove_signal_handler(USR1)
    assert signal.getsignal(USR1) == signal.SIG_DFL


def test_removing_that_of_sigint_restores_pythons_own(loop):
    loop.add_signal_handler(signal.SIGINT, print)
    loop.remove_signal_handler(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_closing_the_loop_removes_its_handlers(loop):
    loop.add_signal_handler(USR1, print)
    loop.close()
    assert signal.getsignal(USR1) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("wrong", ["1", None, 1.5], ids=repr)
@pytest.mark.parametrize("method", ["add", "remove"])
def test_a_signal_must_be_a_number(loop, method, wrong):
    arguments = (wrong, print) if method == "add" else (wrong,)
    with pytest.raises(TypeError, match="sig must be an int, not"):
        getattr(loop, f"{method}_signal_handler")(*arguments)


@pytest.mark.parametrize("wrong", [0, -1, 100_000, 2**40])
@pytest.mark.parametrize("method", ["add", "remove"])
def test_a_signal_must_exist(loop, method, wrong):
    arguments = (wrong, print) if method == "add" else (wrong,)
    with pytest.raises(ValueError, match="invalid signal number"):
        getattr(loop, f"{method}_signal_handler")(*arguments)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP])
def test_what_cannot_be_caught_is_refused(loop, sig):
    with pytest.raises(RuntimeError, match="cannot be caught"):
        loop.add_signal_handler(sig, print)
    assert len(loop._signal_handlers) == 0


async def coroutine_function():
    pass


def test_coroutines_are_refused_as_handlers(loop):
    with pytest.raises(
        TypeError, match="coroutines cannot be used with add_signal_handler"
    ):
        loop.add_signal_handler(USR1, coroutine_function)
    coroutine = coroutine_function()
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(USR1, coroutine)
    coroutine.close()


def test_a_closed_loop_takes_no_handler(loop):
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.add_signal_handler(USR1, print)


def test_another_thread_cannot_set_a_handler(new_loop):
    raised = []

    def work():
        loop = new_loop()
        try:
            loop.add_signal_handler(USR1, print)
        except RuntimeError as error:
            raised.append(str(error))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(raised) == 1 and "main thread" in raised[0]


def test_a_handler_that_raises_is_reported(loop):
    errors = collect_errors(loop)
    loop.add_signal_handler(USR1, lambda: 1 / 0)
    loop.call_soon(send)
    run_until(loop, lambda: bool(errors))
    loop.remove_signal_handler(USR1)
    assert isinstance(errors[0]["exception"], ZeroDivisionError)


def test_a_handler_may_remove_itself(loop):
    got = []

    def handler():
        got.append(loop.remove_signal_handler(USR1))

    loop.add_signal_handler(USR1, handler)
    loop.call_soon(send)
    run_until(loop, lambda: bool(got))
    assert got == [True]


def test_the_handlers_table_is_that_of_asyncio(loop):
    loop.add_signal_handler(USR1, print, 1)
    assert list(loop._signal_handlers) == [USR1]
    handle = loop._signal_handlers.get(USR1)
    assert handle._callback is print and tuple(handle._args) == (1,)
    assert loop._signal_handlers.get(USR2) is None
    loop.remove_signal_handler(USR1)
    assert len(loop._signal_handlers) == 0


def test_an_idle_loop_wakes_for_a_signal(loop):
    """It comes from outside while nothing else would end the poll."""
    got = []
    loop.add_signal_handler(USR1, lambda: (got.append(1), loop.stop()))
    timer = threading.Timer(0.05, send)
    loop.call_soon(timer.start)
    loop.run_forever()
    timer.join()
    loop.remove_signal_handler(USR1)
    assert got == [1]


def test_a_signal_during_many_callbacks_is_handled_soon(loop):
    turns = []

    def spin():
        turns.append(1)
        assert len(turns) < 1_000_000
        loop.call_soon(spin)

    loop.add_signal_handler(USR1, loop.stop)
    loop.call_soon(spin)
    loop.call_soon(send)
    loop.run_forever()
    loop.remove_signal_handler(USR1)
    assert turns


def test_a_burst_of_signals_is_handled_at_least_once(loop):
    got = []
    loop.add_signal_handler(USR1, got.append, 1)

    def burst():
        # More than these fill asyncio's wake-up socket.
        for _ in range(100):
            send()

    loop.call_soon(burst)
    run_until(loop, lambda: bool(got))
    run_turns(loop, 5)
    loop.remove_signal_handler(USR1)
    assert 1 <= len(got) <= 100


def test_the_handler_is_released_when_removed(loop):
    import weakref

    class Token:
        pass

    token = Token()
    dead = weakref.ref(token)
    loop.add_signal_handler(USR1, print, token)
    del token
    assert dead() is not None
    loop.remove_signal_handler(USR1)
    assert dead() is None
