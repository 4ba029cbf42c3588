"""What a task and a future are: type, name, coroutine, context, repr."""

import asyncio
import contextvars
import gc
import io
import pickle
import re
import weakref

import pytest

from support import loops
from support.loops import run_turns

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="-")


async def give(value):
    return value


async def wait(future):
    return await future


def shape(thing):
    """The repr without addresses, task numbers and lines."""
    text = re.sub(r"0x[0-9a-f]+", "0x", repr(thing))
    text = re.sub(r"Task-\d+", "Task-N", text)
    return re.sub(r":\d+", ":0", text)


def on_both(kind, body):
    """The body's result on this loop, and on stock asyncio."""
    results = []
    for name in (kind, "asyncio"):
        loop = loops.new(name)
        loop.set_debug(False)
        try:
            results.append(body(loop))
        finally:
            loop.close()
    return results


def test_tasks_and_futures_are_asyncios_own(loop):
    future, task = loop.create_future(), loop.create_task(give(1))
    assert type(future) is asyncio.Future
    assert type(task) is asyncio.Task
    assert isinstance(task, asyncio.Future)
    assert asyncio.isfuture(task) and asyncio.isfuture(future)
    assert task.get_loop() is loop and future.get_loop() is loop
    assert loop.run_until_complete(task) == 1


def test_a_task_takes_no_attributes_that_stock_does_not(loop):
    future = loop.create_future()
    try:
        asyncio.Future(loop=loop).mine = 1
    except AttributeError:
        with pytest.raises(AttributeError):
            future.mine = 1
    else:
        future.mine = 1
        assert future.mine == 1


def test_a_future_can_not_be_pickled_and_says_it_as_stock(kind):
    def body(loop):
        try:
            pickle.dumps(loop.create_future())
        except Exception as error:
            return type(error)

    ours, stock = on_both(kind, body)
    assert ours is stock is not None


def test_names_count_up_and_can_be_set(loop):
    first, second = loop.create_task(give(1)), loop.create_task(give(2))
    numbers = [
        int(re.fullmatch(r"Task-(\d+)", task.get_name())[1])
        for task in (first, second)
    ]
    assert numbers[1] == numbers[0] + 1
    first.set_name("renamed")
    assert first.get_name() == "renamed"
    second.set_name(5)
    assert second.get_name() == "5"
    assert "name='renamed'" in repr(first)
    loop.run_until_complete(asyncio.gather(first, second))


def test_a_name_of_a_subclass_of_str_is_kept(loop):
    class Name(str):
        pass

    task = loop.create_task(give(1), name=Name("mine"))
    assert task.get_name() == "mine"
    loop.run_until_complete(task)


def test_a_task_knows_its_coroutine_and_context(loop):
    context = contextvars.copy_context()
    coroutine = give(1)
    task = loop.create_task(coroutine, context=context)
    assert task.get_coro() is coroutine
    plain = loop.create_task(give(2))
    if hasattr(task, "get_context"):
        assert task.get_context() is context
        assert plain.get_context() is not context
        assert type(plain.get_context()) is contextvars.Context
    loop.run_until_complete(asyncio.gather(task, plain))
    assert task.get_coro() is coroutine


def test_get_stack_shows_where_a_task_waits(loop):
    future = loop.create_future()

    async def inner():
        await future

    async def outer():
        await inner()

    task = loop.create_task(outer())
    assert [f.f_code.co_name for f in task.get_stack()] == ["outer"]
    run_turns(loop)
    assert [f.f_code.co_name for f in task.get_stack()] == ["outer"]
    text = io.StringIO()
    task.print_stack(file=text)
    assert "Stack for <Task pending" in text.getvalue()
    assert "await inner()" in text.getvalue()
    future.set_result(None)
    loop.run_until_complete(task)
    assert task.get_stack() == []


def test_get_stack_of_a_task_that_failed_is_its_traceback(loop):
    async def fail():
        raise LookupError("no")

    async def outer():
        await fail()

    task = loop.create_task(outer())
    loop.run_until_complete(asyncio.wait([task]))
    names = [frame.f_code.co_name for frame in task.get_stack()]
    assert names == ["outer", "fail"]
    assert [f.f_code.co_name for f in task.get_stack(limit=1)] == ["outer"]
    text = io.StringIO()
    task.print_stack(file=text)
    assert text.getvalue().endswith("LookupError: no\n")


def test_get_stack_of_a_task_that_runs(loop):
    async def main():
        return asyncio.current_task().get_stack()[-1].f_code.co_name

    assert loop.run_until_complete(main()) == "main"


def test_each_state_has_the_repr_that_stock_gives(kind):
    def body(loop):
        seen = []
        future, other = loop.create_future(), loop.create_future()

        async def failing():
            await other

        waiting = loop.create_task(wait(future), name="waiting")
        failing = loop.create_task(failing(), name="failing")
        gone = loop.create_task(wait(future), name="gone")
        things = (future, other, waiting, failing, gone)
        seen += map(shape, things)
        run_turns(loop)
        seen += map(shape, things)
        gone.cancel("why")
        seen.append(shape(gone))
        waiting.add_done_callback(print_nothing)
        waiting.add_done_callback(print_nothing)
        seen += map(shape, things)
        run_turns(loop)
        seen += map(shape, things)
        other.set_exception(LookupError("no"))
        if not future.done():
            future.set_result("result")
        seen += map(shape, things)
        run_turns(loop, 3)
        seen += map(shape, things)
        failing.exception()
        return seen

    ours, stock = on_both(kind, body)
    assert ours == stock
    assert len(ours) == 31


def print_nothing(task):
    pass


def test_the_repr_after_a_refused_yield_is_stocks(kind):
    def body(loop):
        foreign = loops.new("asyncio")

        async def wrong():
            with pytest.raises(RuntimeError):
                await foreign.create_future()

        task = loop.create_task(wrong())
        run_turns(loop)
        seen = shape(task), task._fut_waiter
        loop.run_until_complete(task)
        foreign.close()
        return seen

    ours, stock = on_both(kind, body)
    assert ours == stock


def test_the_private_attributes_that_tools_read(loop):
    loop.set_debug(False)
    future = loop.create_future()
    task = loop.create_task(wait(future))
    assert task._fut_waiter is None and task._callbacks is None
    assert task._coro is task.get_coro() and task._loop is loop
    assert task._must_cancel is False and task._state == "PENDING"
    run_turns(loop)
    assert task._fut_waiter is future
    [(callback, context)] = future._callbacks
    assert callback.__self__ is task
    assert callable(callback) and type(context) is contextvars.Context
    assert task._source_traceback is None
    assert task._log_destroy_pending is True
    future.set_result("x")
    assert task._fut_waiter is future
    assert loop.run_until_complete(task) == "x"
    assert task._fut_waiter is None
    assert task._result == "x" and task._exception is None
    assert task._state == "FINISHED"


def test_must_cancel_is_set_until_the_step(loop):
    async def main():
        task = asyncio.current_task()
        assert task.cancel("now") is True
        assert task._must_cancel is True
        assert task._cancel_message == "now"
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            assert error.args == ("now",)
        assert task._must_cancel is False
        return task.cancelling()

    assert loop.run_until_complete(main()) == 1


def test_the_fields_can_be_written_as_in_stock(loop):
    task = loop.create_task(give(1))
    task._log_destroy_pending = False
    assert task._log_destroy_pending is False
    loop.run_until_complete(task)
    future = loop.create_future()
    future.set_exception(LookupError())
    assert future._log_traceback is True
    future._log_traceback = False
    with pytest.raises(ValueError):
        future._log_traceback = True
    assert future._asyncio_future_blocking is False


def test_each_step_runs_in_the_context_of_its_task(loop):
    seen = []

    async def child(value):
        VAR.set(value)
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append((value, VAR.get()))

    async def main():
        VAR.set("main")
        await asyncio.gather(child("a"), child("b"))
        return VAR.get()

    assert loop.run_until_complete(main()) == "main"
    assert seen == [("a", "a"), ("b", "b")] * 3
    assert VAR.get() == "-"


def test_tasks_that_share_a_context_see_each_others_values(loop):
    context = contextvars.Context()

    async def write():
        VAR.set("written")

    async def read():
        return VAR.get()

    loop.run_until_complete(loop.create_task(write(), context=context))
    task = loop.create_task(read(), context=context)
    assert loop.run_until_complete(task) == "written"
    assert VAR.get() == "-"


def test_a_task_whose_context_is_entered_already_is_reported(loop, caplog):
    errors = loops.collect_errors(loop)
    context, coroutine = contextvars.Context(), give(1)
    task = loop.create_task(coroutine, context=context)
    # The loop runs within this context, so the step can not enter it.
    context.run(run_turns, loop, 2)
    assert not task.done()
    # Since 3.12 the handler is called in that context, which fails as well.
    told = [str(c["exception"]) for c in errors] or caplog.messages
    assert len(told) == 1 and "cannot enter context" in (
        told[0] + caplog.text
    )
    task._log_destroy_pending = False
    coroutine.close()


def test_tasks_and_futures_take_weak_references(loop):
    future, task = loop.create_future(), loop.create_task(give(1))
    seen = []
    refs = [
        weakref.ref(future, seen.append), weakref.ref(task, seen.append)
    ]
    assert refs[0]() is future and refs[1]() is task
    assert weakref.ref(task) is weakref.ref(task)
    loop.run_until_complete(task)
    del future, task
    gc.collect()
    assert sorted(map(id, seen)) == sorted(map(id, refs))
