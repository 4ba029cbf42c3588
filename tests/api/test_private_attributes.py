"""The private attributes of asyncio's loop that libraries touch."""

import asyncio
import concurrent.futures
import signal
import socket
import threading

import pytest

from support.loops import run_turns


def test_closed_tells_whether_the_loop_is(loop):
    assert loop._closed is False
    loop.close()
    assert loop._closed is True


def test_stopping_tells_and_takes_a_request_to_stop(loop):
    assert loop._stopping is False
    loop.stop()
    assert loop._stopping is True
    loop._stopping = False
    assert loop._stopping is False
    ran = []
    # Were the request still there, the run would end before the timer.
    loop.call_later(0.005, lambda: (ran.append(1), loop.stop()))
    loop.run_forever()
    assert ran == [1]


def test_stopping_set_in_a_callback_ends_the_run(loop):
    def stop():
        loop._stopping = True

    loop.call_soon(stop)
    loop.run_forever()
    assert not loop.is_running()


def test_thread_id_is_there_while_the_loop_runs(loop):
    assert loop._thread_id is None
    seen = []
    loop.call_soon(lambda: seen.append(loop._thread_id))
    run_turns(loop)
    assert seen == [threading.get_ident()]
    assert loop._thread_id is None


def test_thread_id_is_that_of_the_running_thread(loop):
    thread = threading.Thread(target=loop.run_forever)
    started = threading.Event()
    loop.call_soon(started.set)
    thread.start()
    started.wait()
    assert loop._thread_id == thread.ident
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_debug_follows_set_debug(loop):
    loop.set_debug(True)
    assert loop._debug is True
    loop.set_debug(False)
    assert loop._debug is False


def test_ready_shows_what_waits_to_run(loop):
    assert len(loop._ready) == 0 and not loop._ready
    loop.call_soon(print)
    loop.call_soon(print)
    assert len(loop._ready) == 2 and loop._ready
    loop.close()


def test_a_terminal_library_may_ask_whether_nothing_waits(loop):
    """`getattr(loop, "_ready", [])` decides to repaint now or later."""
    seen = []

    def repaint():
        seen.append(len(loop._ready))

    loop.call_soon(repaint)
    run_turns(loop)
    # Only the callback that stops this run stood behind it.
    assert seen == [1]


def test_scheduled_shows_the_timers(loop):
    assert len(loop._scheduled) == 0 and not loop._scheduled
    timers = [loop.call_later(10 + n, print) for n in range(3)]
    assert len(loop._scheduled) == 3
    assert set(loop._scheduled) == set(timers)
    for timer in timers:
        timer.cancel()
    run_turns(loop)
    assert [t for t in loop._scheduled if not t.cancelled()] == []


def test_the_timers_callbacks_can_be_looked_at(loop):
    """Shutdown code cancels timers that it recognizes."""
    loop.call_later(10, print, 1)
    handle, = loop._scheduled
    assert handle._callback is print
    assert not handle.cancelled() and handle.when() > loop.time()
    handle.cancel()


def test_signal_handlers_holds_handles_by_signal(loop):
    assert len(loop._signal_handlers) == 0
    loop.add_signal_handler(signal.SIGUSR1, print, 1)
    handle = loop._signal_handlers.get(signal.SIGUSR1)
    assert (handle._callback, tuple(handle._args)) == (print, (1,))
    loop.remove_signal_handler(signal.SIGUSR1)
    assert loop._signal_handlers.get(signal.SIGUSR1) is None


def test_default_executor_is_made_when_it_is_needed(loop):
    assert loop._default_executor is None
    loop.run_until_complete(loop.run_in_executor(None, int))
    assert isinstance(
        loop._default_executor, concurrent.futures.ThreadPoolExecutor
    )
    loop.run_until_complete(loop.shutdown_default_executor())


def test_ensure_fd_no_transport_lets_a_free_descriptor_pass(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert loop._ensure_fd_no_transport(ours) is None
        assert loop._ensure_fd_no_transport(ours.fileno()) is None


def test_ensure_fd_no_transport_refuses_a_transports(loop):
    async def main():
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await loop.create_connection(
                asyncio.Protocol, sock=ours
            )
            fd = transport.get_extra_info("socket").fileno()
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop._ensure_fd_no_transport(fd)
            transport.close()
            await asyncio.sleep(0)
        return "refused"

    assert loop.run_until_complete(main()) == "refused"


def test_slow_callback_duration_can_be_read_and_written(loop):
    before = loop.slow_callback_duration
    loop.slow_callback_duration = before * 10
    assert loop.slow_callback_duration == pytest.approx(before * 10)
    loop.slow_callback_duration = 1
    assert loop.slow_callback_duration == 1


def test_timer_handle_cancelled_takes_a_handle(loop):
    handle = asyncio.TimerHandle(loop.time() + 10, print, (), loop)
    assert loop._timer_handle_cancelled(handle) is None


def test_asyncgens_is_a_set_of_the_generators_in_use(loop):
    async def numbers():
        yield 1

    async def main():
        generator = numbers()
        await generator.__anext__()
        known = set(loop._asyncgens)
        await generator.aclose()
        return known == {generator}

    assert loop.run_until_complete(main())


def test_should_close_may_be_set_by_a_notebook_kernel(loop):
    loop._should_close = True
    assert loop._should_close is True


def test_the_private_names_that_are_not_there_say_so(loop):
    with pytest.raises(AttributeError):
        loop._no_such_thing
