"""What well-known libraries ask of a loop, in their own terms."""

import asyncio
import contextvars
import inspect
import signal
import socket
import threading
import time

import pytest

from support.loops import PY312, run_turns


def test_the_root_task_has_asyncios_own_done_callback(loop):
    """anyio finds the root task by the identity of this function."""
    async def main():
        return [callback for callback, _ in asyncio.current_task()._callbacks]

    callbacks = loop.run_until_complete(main())
    assert callbacks == [asyncio.base_events._run_until_complete_cb]


def test_the_root_task_of_a_given_future_has_it_too(loop):
    seen = []
    future = loop.create_future()

    def look():
        seen.extend(callback for callback, _ in future._callbacks)
        future.set_result(None)

    loop.call_soon(look)
    loop.run_until_complete(future)
    assert seen == [asyncio.base_events._run_until_complete_cb]


def test_a_waiting_task_shows_what_it_waits_for(loop):
    """anyio and debuggers read _fut_waiter and _must_cancel."""
    future = loop.create_future()

    async def wait():
        await future

    task = loop.create_task(wait())
    run_turns(loop)
    assert task._fut_waiter is future
    assert task._must_cancel is False
    future.set_result(None)
    loop.run_until_complete(task)


def test_a_task_shows_coroutine_loop_and_state(loop):
    async def main():
        pass

    coroutine = main()
    task = loop.create_task(coroutine)
    assert task._coro is coroutine and task.get_coro() is coroutine
    assert task._loop is loop and task._state == "PENDING"
    loop.run_until_complete(task)
    assert task._state == "FINISHED"


def test_the_private_task_functions_of_asyncio_agree_with_the_loop(loop):
    """Servers written in other languages enter and leave tasks by hand."""
    async def main():
        task = asyncio.current_task()
        asyncio.tasks._leave_task(loop, task)
        try:
            between = asyncio.current_task()
        finally:
            asyncio.tasks._enter_task(loop, task)
        return between, asyncio.current_task() is task

    assert loop.run_until_complete(main()) == (None, True)


def test_stack_and_repr_of_a_task_can_be_taken(loop):
    async def inner():
        await asyncio.sleep(0)

    async def outer():
        await inner()

    task = loop.create_task(outer())
    run_turns(loop)
    assert [f.f_code.co_name for f in task.get_stack()] == ["outer"]
    assert "outer() running" in repr(task) or "outer() " in repr(task)
    loop.run_until_complete(task)


def test_a_terminal_library_restores_the_previous_signal_handler(loop):
    """It reads callback and arguments of what it replaces."""
    got = []
    loop.add_signal_handler(signal.SIGUSR1, got.append, "before")
    previous = loop._signal_handlers.get(signal.SIGUSR1)
    callback, arguments = previous._callback, previous._args
    loop.add_signal_handler(signal.SIGUSR1, got.append, "during")
    loop.add_signal_handler(signal.SIGUSR1, callback, *arguments)
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    while not got:
        run_turns(loop)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert got == ["before"]


def test_a_database_driver_waits_by_toggling_readers(loop):
    """add_reader, a future, remove_reader: around every single wait."""
    async def readable(sock):
        ready = loop.create_future()
        loop.add_reader(sock.fileno(), ready.set_result, None)
        try:
            await asyncio.wait_for(ready, 30)
        finally:
            loop.remove_reader(sock.fileno())

    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for number in range(200):
                theirs.send(b"%d" % number)
                await readable(ours)
                assert ours.recv(10) == b"%d" % number
        return "done"

    assert loop.run_until_complete(main()) == "done"


def test_a_poller_thread_feeds_the_loop_through_a_socket(loop):
    """One byte per event, read by a reader: how grpc wakes a loop."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    got = bytearray()

    def read():
        got.extend(ours.recv(100))
        if len(got) == 200:
            loop.stop()

    def poller():
        for _ in range(200):
            theirs.send(b"\1")

    with ours, theirs:
        loop.add_reader(ours, read)
        thread = threading.Thread(target=poller)
        thread.start()
        loop.run_forever()
        thread.join()
        loop.remove_reader(ours)
    assert len(got) == 200


def test_a_thread_per_query_answers_through_the_loop(loop):
    """aiosqlite's way: a thread sets futures by call_soon_threadsafe."""
    import queue

    requests: queue.SimpleQueue = queue.SimpleQueue()

    def worker():
        while (item := requests.get()) is not None:
            future, number = item
            loop.call_soon_threadsafe(future.set_result, number * 2)

    async def main():
        results = []
        for number in range(200):
            future = loop.create_future()
            requests.put((future, number))
            results.append(await future)
        return results

    thread = threading.Thread(target=worker)
    thread.start()
    try:
        results = loop.run_until_complete(main())
    finally:
        requests.put(None)
        thread.join()
    assert results == [2 * n for n in range(200)]


def test_a_frozen_clock_can_be_patched_in(loop, monkeypatch):
    """Test suites of web frameworks patch loop.time."""
    monkeypatch.setattr(loop, "time", lambda: 5000.0, raising=True)
    assert loop.call_later(1, print).when() == 5001.0
    monkeypatch.undo()
    assert abs(loop.time() - time.monotonic()) < 60


def test_wrapping_the_class_attribute_create_task_is_possible(kind):
    from support import loops

    base = loops.loop_class(kind)
    names = []

    class Wrapped(base):
        def create_task(self, coro, **keywords):
            names.append(coro.__name__)
            return super().create_task(coro, **keywords)

    async def main():
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

    loop = Wrapped()
    loop.run_until_complete(main())
    loop.close()
    assert names == ["main", "sleep", "sleep"]


def test_methods_that_are_coroutines_are_coroutine_functions(loop):
    for name in ("shutdown_asyncgens", "shutdown_default_executor",
                 "sock_recv", "create_connection", "getaddrinfo"):
        coroutine = getattr(loop, name)
        assert callable(coroutine)
    coroutine = loop.shutdown_asyncgens()
    assert inspect.isawaitable(coroutine)
    loop.run_until_complete(coroutine)


@pytest.mark.skipif(not PY312, reason="eager tasks are new in 3.12")
def test_an_eager_factory_made_for_a_class_of_tasks_works(loop):
    class Mine(asyncio.Task):
        pass

    async def child():
        return contextvars.copy_context() is not None

    async def main():
        task = asyncio.create_task(child())
        assert type(task) is Mine and task.done()
        return await task

    loop.set_task_factory(asyncio.create_eager_task_factory(Mine))
    assert loop.run_until_complete(main()) is True


def test_a_greenlet_style_switch_between_callbacks_is_possible(loop):
    """The loop is stopped and run again from within nested helpers."""
    async def inner(number):
        await asyncio.sleep(0)
        return number

    def sync_call(number):
        return loop.run_until_complete(inner(number))

    assert [sync_call(n) for n in range(50)] == list(range(50))


def test_a_running_loop_can_be_hidden_and_another_run_inside(new_loop):
    """asyncio._set_running_loop(None) lets another loop run within."""
    outer, inner = new_loop(), new_loop()
    results = []

    def nested():
        asyncio._set_running_loop(None)
        try:
            results.append(
                inner.run_until_complete(asyncio.sleep(0.001, "inner"))
            )
        finally:
            asyncio._set_running_loop(outer)
        outer.call_soon(lambda: results.append(asyncio.get_running_loop()))

    outer.call_soon(nested)
    run_turns(outer, 2)
    assert results == ["inner", outer]
