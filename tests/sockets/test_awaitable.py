"""What sock_* returns is a coroutine to whoever holds it."""

import asyncio
import collections.abc
import gc
import inspect
import socket
import sys
import types
import warnings
import weakref

import pytest

from support.loops import PY314, collect_errors, run_turns

from .conftest import fill


def run(loop, awaitable):
    return loop.run_until_complete(asyncio.wait_for(awaitable, 20))


def suspend(loop, sock):
    """An operation that waits, and its future."""
    receive = loop.sock_recv(sock, 10)
    future = receive.send(None)
    assert asyncio.isfuture(future)
    return receive, future


def test_it_passes_for_a_coroutine(loop, pair):
    receive = loop.sock_recv(pair[0], 1)
    assert asyncio.iscoroutine(receive)
    assert inspect.isawaitable(receive)
    assert isinstance(receive, collections.abc.Coroutine)
    assert receive.__name__ == "sock_recv"
    assert receive.__qualname__.endswith(".sock_recv")
    assert receive.cr_origin is None
    assert not receive.cr_running
    assert "sock_recv" in repr(receive)
    receive.close()


@pytest.mark.native_only(reason="asyncio's are coroutines of Python")
def test_inspect_knows_coroutines_of_python_only(loop, pair):
    receive = loop.sock_recv(pair[0], 1)
    assert not inspect.iscoroutine(receive)
    assert not inspect.iscoroutinefunction(loop.sock_recv)
    assert asyncio.iscoroutine(receive)
    receive.close()


def test_nothing_happens_before_the_first_step(loop, pair):
    ours, theirs = pair
    theirs.send(b"x")
    loop.sock_recv(ours, 10).close()
    loop.sock_recv("no socket", "no number").close()
    assert ours.recv(10) == b"x"


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.sock_recv(),
        lambda loop: loop.sock_recv(1),
        lambda loop: loop.sock_recv(1, 2, 3),
        lambda loop: loop.sock_recv(1, 2, n=3),
        lambda loop: loop.sock_recv(1, bytes=3),
        lambda loop: loop.sock_accept(1, 2),
        lambda loop: loop.sock_sendto(1, b""),
        lambda loop: loop.sock_recvfrom_into(1, 2, 3, 4),
        lambda loop: loop.sock_sendfile(1),
        lambda loop: loop.sock_sendfile(1, 2, 3, 4, True),
    ],
)
def test_wrong_numbers_of_arguments_fail_in_the_call(loop, call):
    with pytest.raises(TypeError):
        call(loop)


def test_names_that_were_just_made_are_names_too(loop, pair):
    """Not the interned strings of the caller's code."""
    pair[1].send(b"x")
    names = {"".join(["so", "ck"]): pair[0], "".join(["", "n"]): 5}
    assert run(loop, loop.sock_recv(**names)) == b"x"


def test_as_a_task_in_gather_wait_for_and_wait(loop, pair):
    ours, theirs = pair

    async def main():
        task = asyncio.create_task(loop.sock_recv(ours, 1), name="first")
        await asyncio.sleep(0)
        assert "sock_recv" in repr(task)
        assert task.get_stack() is not None
        theirs.send(b"abcde")
        assert await task == b"a"
        assert await asyncio.wait_for(loop.sock_recv(ours, 1), 5) == b"b"
        assert await asyncio.gather(
            loop.sock_recv(ours, 1), loop.sock_sendall(ours, b"answer")
        ) == [b"c", None]
        done, _ = await asyncio.wait(
            [asyncio.ensure_future(loop.sock_recv(ours, 1))]
        )
        assert {task.result() for task in done} == {b"d"}
        return await asyncio.shield(loop.sock_recv(ours, 1))

    assert run(loop, main()) == b"e"
    assert theirs.recv(10) == b"answer"


def test_run_until_complete_takes_it(loop, pair):
    pair[1].send(b"x")
    assert loop.run_until_complete(loop.sock_recv(pair[0], 1)) == b"x"


def test_from_another_thread(loop, pair):
    import threading

    results = []

    def ask():
        future = asyncio.run_coroutine_threadsafe(
            loop.sock_recv(pair[0], 10), loop
        )
        results.append(future.result(10))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=ask)
    thread.start()
    loop.call_later(0.01, pair[1].send, b"x")
    loop.run_forever()
    thread.join()
    assert results == [b"x"]


def test_yield_from_in_a_generator_based_coroutine(loop, pair):
    @types.coroutine
    def receive():
        return (yield from loop.sock_recv(pair[0], 10))

    loop.call_later(0.01, pair[1].send, b"x")

    async def main():
        return await receive()

    assert run(loop, main()) == b"x"


def test_a_task_of_it_has_a_stack_and_a_graph(loop, pair):
    async def main():
        task = asyncio.create_task(loop.sock_recv(pair[0], 10))
        outer = asyncio.create_task(asyncio.wait_for(task, 5))
        await asyncio.sleep(0.01)
        task.print_stack(file=open("/dev/null", "w"))
        if PY314:
            assert asyncio.format_call_graph(task)
            assert asyncio.format_call_graph(outer)
        pair[1].send(b"x")
        return await outer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert run(loop, main()) == b"x"


# --- send, throw, close -----------------------------------------------------


def test_a_value_cannot_be_sent_at_first(loop, pair):
    receive = loop.sock_recv(pair[0], 10)
    with pytest.raises(TypeError, match="just-started"):
        receive.send(1)
    receive.close()


def test_it_is_awaited_once(loop, pair):
    pair[1].send(b"x")

    async def main():
        receive = loop.sock_recv(pair[0], 10)
        assert await receive == b"x"
        with pytest.raises(RuntimeError, match="already awaited"):
            await receive
        with pytest.raises(RuntimeError, match="already awaited"):
            receive.throw(ValueError)
        receive.close()

    run(loop, main())


def test_it_is_awaited_by_one(loop, pair):
    receive, _ = suspend(loop, pair[0])

    async def main():
        await receive

    with pytest.raises(RuntimeError, match="being awaited already"):
        run(loop, main())
    receive.close()


def test_sent_on_too_early_it_complains(loop, pair):
    """The future is marked as awaited, and has no outcome."""
    receive, future = suspend(loop, pair[0])
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        receive.send(None)
    with pytest.raises(RuntimeError, match="already awaited"):
        receive.send(None)
    future.cancel()


def test_sent_on_without_an_outcome_it_waits_on(loop, pair):
    receive, future = suspend(loop, pair[0])
    future._asyncio_future_blocking = False
    assert receive.send(None) is future
    assert future._asyncio_future_blocking is True
    pair[1].send(b"x")
    run_turns(loop, 3)
    assert future.done()
    with pytest.raises(StopIteration) as stop:
        receive.send(None)
    assert stop.value.value == b"x"


def test_a_cancelled_future_is_found_out(loop, pair):
    receive, future = suspend(loop, pair[0])
    future.cancel("why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        receive.send(None)


def test_the_result_of_another_hand_is_returned(loop, pair):
    receive, future = suspend(loop, pair[0])
    future.set_result("other")
    with pytest.raises(StopIteration) as stop:
        receive.send(None)
    assert stop.value.value == "other"
    run_turns(loop, 2)


class Thrown(Exception):
    pass


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [
        # Made in the test: a traceback would keep the test's objects.
        lambda: (Thrown("it"),),
        lambda: (Thrown, Thrown("it")),
        lambda: (Thrown, "it", None),
    ],
)
def test_what_is_thrown_comes_out(loop, pair, started, make):
    if started:
        receive, future = suspend(loop, pair[0])
    else:
        receive = loop.sock_recv(pair[0], 10)
    with pytest.raises(Thrown, match="it"):
        receive.throw(*make())
    with pytest.raises(RuntimeError, match="already awaited"):
        receive.send(None)
    if started:
        future.cancel()
        run_turns(loop, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [lambda: (), lambda: (5,), lambda: (int,), lambda: (Thrown(), 5)],
)
def test_what_cannot_be_thrown_is_refused(loop, pair, make):
    receive = loop.sock_recv(pair[0], 10)
    with pytest.raises(TypeError):
        receive.throw(*make())
    receive.close()


@pytest.mark.parametrize("started", [False, True])
def test_closing_is_quiet_and_final(loop, pair, started):
    receive = loop.sock_recv(pair[0], 10)
    if started:
        receive.send(None).cancel()
    receive.close()
    receive.close()
    with pytest.raises(RuntimeError, match="already awaited"):
        receive.send(None)
    run_turns(loop, 2)


@pytest.mark.native_only(
    reason="asyncio's stays registered when its coroutine is closed"
)
def test_a_closed_one_takes_no_data(loop, pair):
    receive, _ = suspend(loop, pair[0])
    receive.close()
    pair[1].send(b"kept")
    run_turns(loop, 5)
    assert run(loop, loop.sock_recv(pair[0], 10)) == b"kept"


def test_one_that_is_dropped_unawaited_is_warned_about(loop, pair):
    with pytest.warns(RuntimeWarning, match="sock_recv' was never awaited"):
        loop.sock_recv(pair[0], 10)
        gc.collect()


def test_the_warning_tells_where_in_debug_mode(loop, pair):
    loop.set_debug(True)

    async def main():
        with pytest.warns(RuntimeWarning) as caught:
            loop.sock_recv(pair[0], 10)
        return str(caught[0].message)

    text = loop.run_until_complete(main())
    assert "Coroutine created at" in text and __file__ in text


def test_one_in_a_cycle_is_warned_about_and_collected(loop, pair):
    class Holder:
        pass

    holder = Holder()
    holder.call = loop.sock_sendto(pair[0], holder, None)
    seen = weakref.ref(holder)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        del holder
        gc.collect()
    gc.collect()  # the warning held it
    assert seen() is None


def test_a_refused_send_from_within_itself(loop, keep):
    """A buffer's own code may hold the operation."""
    if sys.version_info < (3, 12):
        pytest.skip("buffers in Python came with 3.12")
    found = []

    class Buffer:
        def __buffer__(self, flags):
            try:
                operation.send(None)
            except ValueError as error:
                found.append(str(error))
            found.append(operation.cr_running)
            return memoryview(b"data")

    ours, theirs = keep(*socket.socketpair())
    operation = loop.sock_sendall(ours, Buffer())
    with pytest.raises((StopIteration, TypeError)):
        operation.send(None)
    assert found[:2] == ["coroutine already executing", True]


def test_debug_mode_refuses_blocking_sockets(loop, pair):
    loop.set_debug(True)
    for sock in pair:
        sock.setblocking(True)
    with open(__file__, "rb") as file:
        for call in (
            loop.sock_recv(pair[0], 1),
            loop.sock_recv_into(pair[0], bytearray(1)),
            loop.sock_recvfrom(pair[0], 1),
            loop.sock_recvfrom_into(pair[0], bytearray(1)),
            loop.sock_sendall(pair[0], b""),
            loop.sock_sendto(pair[0], b"", ""),
            loop.sock_connect(pair[0], ""),
            loop.sock_accept(pair[0]),
            loop.sock_sendfile(pair[0], file),
        ):
            with pytest.raises(ValueError, match="must be non-blocking"):
                loop.run_until_complete(call)


@pytest.mark.native_only(reason="asyncio's loop blocks, here for ever")
@pytest.mark.parametrize("timeout", [None, 30])
def test_a_blocking_socket_does_not_block_the_loop(loop, pair, timeout):
    ours, theirs = pair
    for sock in pair:
        sock.settimeout(timeout)
    loop.set_debug(False)  # which would refuse them
    data = bytes(3_000_000)

    async def main():
        send = asyncio.create_task(loop.sock_sendall(theirs, data))
        got = 0
        while got < len(data):
            got += len(await loop.sock_recv(ours, 1 << 20))
        await send

    run(loop, main())
    assert ours.gettimeout() == timeout


@pytest.mark.native_only(reason="asyncio's operations are readers of it")
def test_remove_reader_leaves_an_operation_alone(loop, pair):
    task = loop.create_task(loop.sock_recv(pair[0], 10))
    run_turns(loop, 2)
    assert loop.remove_reader(pair[0]) is False
    pair[1].send(b"x")
    assert loop.run_until_complete(task) == b"x"


def test_tls_sockets_are_refused(loop, pair):
    ssl = pytest.importorskip("ssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    ours = context.wrap_socket(pair[0], do_handshake_on_connect=False)
    with ours, open(__file__, "rb") as file:
        for call in (
            loop.sock_recv(ours, 1),
            loop.sock_recv_into(ours, bytearray(1)),
            loop.sock_recvfrom(ours, 1),
            loop.sock_recvfrom_into(ours, bytearray(1)),
            loop.sock_sendall(ours, b""),
            loop.sock_sendto(ours, b"", ""),
            loop.sock_connect(ours, ""),
            loop.sock_accept(ours),
            loop.sock_sendfile(ours, file),
        ):
            with pytest.raises(TypeError, match="cannot be of type SSLSocket"):
                loop.run_until_complete(call)


def test_a_descriptor_of_a_transport_is_refused(loop, pair):
    ours, theirs = pair
    transport, _ = loop.run_until_complete(
        loop.create_connection(asyncio.Protocol, sock=ours)
    )
    mirror = socket.socket(fileno=ours.fileno())
    mirror.setblocking(False)
    transport.pause_reading()
    calls = [
        lambda: loop.sock_recv(mirror, 1),
        lambda: loop.sock_recv_into(mirror, bytearray(1)),
        lambda: loop.sock_recvfrom(mirror, 1),
        lambda: loop.sock_sendall(mirror, b"x"),
    ]
    fill(mirror)
    for call in calls:
        with pytest.raises(RuntimeError, match="is used by transport"):
            run(loop, call())
    mirror.detach()
    transport.abort()
    run_turns(loop, 2)


def test_a_closed_loop_does_not_wait(new_loop, pair):
    loop = new_loop()
    loop.close()
    pair[1].send(b"x")
    with pytest.raises(StopIteration):
        loop.sock_recv(pair[0], 1).send(None)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.sock_recv(pair[0], 1).send(None)


def test_a_loop_that_is_closed_meanwhile(new_loop, pair):
    loop = new_loop()
    errors = collect_errors(loop)
    task = loop.create_task(loop.sock_recv(pair[0], 1))
    run_turns(loop, 2)
    loop.close()
    pair[1].send(b"x")
    del task
    gc.collect()
    assert [e["message"] for e in errors] == [
        "Task was destroyed but it is pending!"
    ]
    assert pair[0].recv(5) == b"x"


def test_overridden_call_soon_is_used(new_loop, kind, pair):
    from support import loops

    class Counting(loops.loop_class(kind)):
        calls = 0

        def call_soon(self, *args, **kwargs):
            self.calls += 1
            return super().call_soon(*args, **kwargs)

    loop = Counting()
    try:
        task = loop.create_task(loop.sock_recv(pair[0], 1))
        run_turns(loop, 2)
        before = loop.calls
        pair[1].send(b"x")
        assert loop.run_until_complete(task) == b"x"
        assert loop.calls > before
    finally:
        loop.close()
