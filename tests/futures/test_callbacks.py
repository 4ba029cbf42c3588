"""Done callbacks: order, contexts, removal, what they may do."""

import asyncio
import contextvars

import pytest

from support.loops import collect_errors, run_turns

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="-")


def makers():
    """A pending future, and what ends it."""

    def future(loop):
        made = loop.create_future()
        return made, lambda: made.set_result(1)

    def task(loop):
        gate = loop.create_future()

        async def wait():
            return await gate

        made = loop.create_task(wait())
        run_turns(loop)
        return made, lambda: gate.set_result(1)

    return [future, task]


@pytest.fixture(params=makers(), ids=["future", "task"])
def pending(request, loop):
    return request.param(loop)


def test_callbacks_run_once_each_in_order(loop, pending):
    future, end = pending
    order = []
    for number in range(5):
        future.add_done_callback(lambda f, n=number: order.append((n, f)))
    end()
    assert order == []
    loop.run_until_complete(future)
    run_turns(loop)
    assert order == [(n, future) for n in range(5)]
    run_turns(loop)
    assert len(order) == 5 and future._callbacks is None


def test_a_callback_added_to_what_is_done_runs_in_the_next_turn(
    loop, pending
):
    future, end = pending
    end()
    loop.run_until_complete(future)
    order = []
    future.add_done_callback(order.append)
    assert order == []
    run_turns(loop)
    assert order == [future]


def test_callbacks_and_waiting_tasks_take_turns_in_order(loop, pending):
    future, end = pending
    order = []

    async def wait(name):
        await future
        order.append(name)

    future.add_done_callback(lambda _: order.append("first"))
    tasks = [loop.create_task(wait("a"))]
    run_turns(loop)
    future.add_done_callback(lambda _: order.append("second"))
    tasks.append(loop.create_task(wait("b")))
    run_turns(loop)
    future.add_done_callback(lambda _: order.append("third"))
    end()
    loop.run_until_complete(asyncio.gather(*tasks))
    assert order == ["first", "a", "second", "b", "third"]


def test_removing_counts_what_was_removed(loop, pending):
    future, end = pending
    order = []
    first, second = (lambda _: order.append(1)), (lambda _: order.append(2))
    for callback in (first, second, first, second, first):
        future.add_done_callback(callback)
    assert len(future._callbacks) == 5
    assert future.remove_done_callback(first) == 3
    assert future.remove_done_callback(first) == 0
    assert len(future._callbacks) == 2
    end()
    loop.run_until_complete(future)
    run_turns(loop)
    assert order == [2, 2]


def test_removing_the_first_keeps_a_waiting_task(loop, pending):
    future, end = pending

    async def wait():
        return await future

    future.add_done_callback(print)
    task = loop.create_task(wait())
    run_turns(loop)
    assert future.remove_done_callback(print) == 1
    end()
    assert loop.run_until_complete(task) == 1


def test_a_task_can_be_cut_off_by_removing_its_wakeup(loop, pending):
    future, end = pending

    async def wait():
        return await future

    task = loop.create_task(wait())
    run_turns(loop)
    [(wakeup, _)] = future._callbacks
    assert future.remove_done_callback(wakeup) == 1
    end()
    run_turns(loop, 3)
    assert not task.done()
    loop.call_soon(wakeup, future)
    assert loop.run_until_complete(task) == 1


def test_a_callback_runs_in_the_context_it_was_added_in(loop, pending):
    future, end = pending
    seen = []
    context = contextvars.Context()
    context.run(VAR.set, "given")
    future.add_done_callback(
        lambda _: seen.append(VAR.get()), context=context
    )
    token = VAR.set("adding")
    future.add_done_callback(lambda _: seen.append(VAR.get()))
    VAR.reset(token)
    end()
    loop.run_until_complete(future)
    run_turns(loop)
    assert seen == ["given", "adding"]


def test_a_callback_that_raises_is_reported_and_the_next_runs(loop, pending):
    future, end = pending
    errors, order = collect_errors(loop), []

    def wrong(_):
        raise LookupError("callback")

    future.add_done_callback(wrong)
    future.add_done_callback(order.append)
    end()
    loop.run_until_complete(future)
    run_turns(loop)
    assert order == [future]
    assert [str(c["exception"]) for c in errors] == ["callback"]
    assert "wrong" in errors[0]["message"]


def test_no_task_is_current_in_a_done_callback(loop, pending):
    future, end = pending
    seen = []

    async def wait():
        await future
        return asyncio.current_task()

    future.add_done_callback(lambda _: seen.append(asyncio.current_task()))
    task = loop.create_task(wait())
    run_turns(loop)
    future.add_done_callback(lambda _: seen.append(asyncio.current_task()))
    end()
    assert loop.run_until_complete(task) is task
    run_turns(loop)
    assert seen == [None, None]


def test_callbacks_that_add_callbacks_and_tasks(loop, pending):
    future, end = pending
    order = []

    async def child():
        order.append("task")

    def first(_):
        order.append("first")
        loop.create_task(child())
        future.add_done_callback(lambda _: order.append("late"))

    future.add_done_callback(first)
    future.add_done_callback(lambda _: order.append("second"))
    end()
    run_turns(loop, 4)
    assert order == ["first", "second", "task", "late"]


def test_a_callback_may_be_any_object_with_any_equality(loop, pending):
    future, end = pending

    class Odd:
        def __eq__(self, other):
            raise LookupError("not comparable")

        __hash__ = None

        def __call__(self, _):
            order.append("odd")

    order = []
    future.add_done_callback(Odd())
    future.add_done_callback(order.append)
    with pytest.raises(LookupError):
        future.remove_done_callback(len)
    end()
    loop.run_until_complete(future)
    run_turns(loop)
    assert order == ["odd", future]


def test_a_task_that_ends_in_its_first_step_calls_back(loop):
    order = []

    async def nothing():
        order.append("step")

    task = loop.create_task(nothing())
    task.add_done_callback(lambda _: order.append("callback"))
    loop.call_soon(order.append, "soon")
    run_turns(loop, 2)
    assert order == ["step", "soon", "callback"]
