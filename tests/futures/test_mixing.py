"""Native tasks beside others, and loops that change while tasks wait."""

import asyncio
import contextlib
import contextvars

import pytest

from support import loops
from support.loops import PY312, PY314, collect_errors, run_turns

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="-")


class MyTask(asyncio.Task):
    """A subclass: asyncio steps it."""


class MyFuture(asyncio.Future):
    pass


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def wait(future):
    return await future


TASKS = {
    "create_task": lambda loop, coro: loop.create_task(coro),
    "Task": lambda loop, coro: asyncio.Task(coro, loop=loop),
    "subclass": lambda loop, coro: MyTask(coro, loop=loop),
    "python": lambda loop, coro: asyncio.tasks._PyTask(coro, loop=loop),
}
FUTURES = {
    "create_future": lambda loop: loop.create_future(),
    "Future": lambda loop: asyncio.Future(loop=loop),
    "subclass": lambda loop: MyFuture(loop=loop),
    "python": lambda loop: asyncio.futures._PyFuture(loop=loop),
}
ends = pytest.mark.parametrize("end", ["result", "error", "cancel", "task"])


@pytest.mark.parametrize("inner", TASKS)
@pytest.mark.parametrize("outer", TASKS)
@ends
def test_tasks_of_every_kind_wait_for_each_other(loop, outer, inner, end):
    async def child():
        await asyncio.sleep(0)
        if end == "error":
            raise LookupError("child")
        await asyncio.sleep(0)
        return "child"

    below = TASKS[inner](loop, child())
    above = TASKS[outer](loop, wait(below))
    run_turns(loop, 2)
    if end == "cancel":
        below.cancel("inner")
    if end == "task":
        above.cancel("outer")
    loop.run_until_complete(asyncio.wait([above, below]))
    expected = {
        "result": "child", "error": LookupError("child"),
        "cancel": asyncio.CancelledError("inner"),
        "task": asyncio.CancelledError("outer"),
    }[end]
    check(above, expected)
    # Of a cancelled task, only the first to ask gets the message.
    assert below.cancelled() == (end in ("cancel", "task"))


@pytest.mark.parametrize("make", FUTURES)
@pytest.mark.parametrize("outer", TASKS)
@ends
def test_tasks_of_every_kind_wait_for_futures(loop, outer, make, end):
    future = FUTURES[make](loop)
    task = TASKS[outer](loop, wait(future))
    run_turns(loop)
    assert task._fut_waiter is future
    if end == "result":
        future.set_result(expected := "value")
    elif end == "error":
        future.set_exception(expected := LookupError("future"))
    elif end == "cancel":
        future.cancel("gone")
        expected = asyncio.CancelledError("gone")
    else:
        task.cancel("outer")
        expected = asyncio.CancelledError("outer")
    loop.run_until_complete(asyncio.wait([task]))
    check(task, expected)


def check(task, expected):
    if isinstance(expected, BaseException):
        with pytest.raises(type(expected)) as caught:
            task.result()
        assert caught.value.args == expected.args
    else:
        assert task.result() == expected


def test_a_mixed_crowd_keeps_its_order(loop):
    order = []

    async def main(name):
        for number in range(3):
            order.append((number, name))
            await asyncio.sleep(0)

    made = [make(loop, main(name)) for name, make in TASKS.items()]
    made += [make(loop, main(name + "2")) for name, make in TASKS.items()]
    loop.run_until_complete(asyncio.wait(made))
    names = [*TASKS, *(name + "2" for name in TASKS)]
    assert order == [(n, name) for n in range(3) for name in names]


def test_a_subclass_sees_its_own_methods_called(loop):
    calls = []

    class Watching(asyncio.Task):
        def cancel(self, msg=None):
            calls.append(("cancel", msg))
            return super().cancel(msg)

        def add_done_callback(self, *args, **kwargs):
            calls.append("add")
            return super().add_done_callback(*args, **kwargs)

        def result(self):
            calls.append("result")
            return super().result()

    below = Watching(give("x", 5), loop=loop)
    above = loop.create_task(wait(below))
    run_turns(loop, 2)
    above.cancel("up")
    run_turns(loop, 3)
    assert above.cancelled() and below.cancelled()
    assert calls[:2] == ["add", ("cancel", "up")]
    assert "result" in calls


@pytest.mark.parametrize("before, after", [(False, True), (True, False)])
def test_debug_is_switched_while_tasks_wait(loop, before, after):
    order = []

    async def main(name, future):
        order.append((name, await future))
        await asyncio.sleep(0)
        order.append(name)

    def start(name):
        future = loop.create_future()
        return future, loop.create_task(main(name, future))

    loop.set_debug(before)
    first, early = start("before")
    run_turns(loop)
    loop.set_debug(after)
    second, late = start("after")
    run_turns(loop)
    first.set_result(1)
    second.set_result(2)
    loop.run_until_complete(asyncio.wait([early, late]))
    assert order == [("before", 1), ("after", 2), "before", "after"]


def test_debug_is_switched_in_every_turn(loop):
    async def main(number):
        for turn in range(20):
            loop.set_debug((turn + number) % 2 == 0)
            await asyncio.sleep(0)
            await asyncio.create_task(give(1))
        return number

    async def everybody():
        return await asyncio.gather(*map(main, range(4)))

    assert loop.run_until_complete(everybody()) == [0, 1, 2, 3]


def test_debug_mode_tells_where_a_task_was_made(loop):
    loop.set_debug(True)
    task, future = loop.create_task(give(1)), loop.create_future()
    assert type(task) is asyncio.Task
    assert task._source_traceback[-1].name.startswith("test_debug_mode")
    assert future._source_traceback
    assert "created at" in repr(task)
    loop.run_until_complete(task)


def test_call_soon_is_replaced_while_tasks_wait(loop):
    """By an attribute of the loop: each step goes through it from then on."""
    calls = []
    plain = loop.call_soon

    def call_soon(callback, *args, context=None):
        calls.append(callback)
        return plain(callback, *args, context=context)

    future = loop.create_future()

    async def main():
        await future
        await asyncio.sleep(0)
        return "end"

    task = loop.create_task(main())
    run_turns(loop)
    loop.call_soon = call_soon
    future.set_result(None)
    assert len(calls) == 1
    assert loop.run_until_complete(task) == "end"
    assert len(calls) >= 3
    seen = len(calls)
    del loop.call_soon
    other = loop.create_task(give("other", 2))
    assert loop.run_until_complete(other) == "other"
    assert len(calls) == seen


@pytest.mark.parametrize("moment", ["before", "while tasks wait"])
def test_call_soon_of_a_subclass(kind, moment):
    """Defined with the class, or put into it later."""
    calls = []

    class Mine(loops.loop_class(kind)):
        pass

    def call_soon(self, callback, *args, **kwargs):
        calls.append(callback)
        return super(Mine, self).call_soon(callback, *args, **kwargs)

    if moment == "before":
        Mine.call_soon = call_soon
    loop = Mine()
    try:
        future = loop.create_future()
        task = loop.create_task(wait(future))
        run_turns(loop)
        Mine.call_soon = call_soon
        steps = len(calls)
        future.set_result(3)
        assert loop.run_until_complete(task) == 3
        assert len(calls) > steps
        steps = len(calls)
        assert loop.run_until_complete(give(4, 5)) == 4
        assert len(calls) >= steps + 6
    finally:
        loop.close()


def test_a_loop_that_overrides_create_future_and_create_task(kind):
    class Mine(loops.loop_class(kind)):
        def create_future(self):
            return MyFuture(loop=self)

        def create_task(self, coro, **keywords):
            return MyTask(coro, loop=self, **keywords)

    loop = Mine()
    try:
        async def main():
            task = asyncio.create_task(asyncio.sleep(0.001, "slept"))
            return type(asyncio.current_task()), type(task), await task

        assert loop.run_until_complete(main()) == (MyTask, MyTask, "slept")
    finally:
        loop.close()


def test_asyncios_task_class_can_be_replaced(loop, monkeypatch):
    monkeypatch.setattr(asyncio.tasks, "Task", MyTask)
    task = loop.create_task(give(1))
    assert type(task) is MyTask
    assert loop.run_until_complete(task) == 1


def test_a_factory_set_while_tasks_wait(loop):
    made = []

    def factory(loop, coro, **keywords):
        made.append(MyTask(coro, loop=loop, **keywords))
        return made[-1]

    async def main():
        first = asyncio.create_task(give(1, 3))
        loop.set_task_factory(factory)
        second = asyncio.create_task(give(2, 3))
        loop.set_task_factory(None)
        third = asyncio.create_task(give(3, 3))
        results = await asyncio.gather(first, second, third)
        return results, [type(t) for t in (first, second, third)]

    results, types = loop.run_until_complete(main())
    assert results == [1, 2, 3]
    assert types == [asyncio.Task, MyTask, asyncio.Task]


def test_a_factory_that_gives_no_task(loop):
    """Whatever it gives is passed on, if it takes a name."""
    class Named(asyncio.Future):
        def set_name(self, name):
            pass

    future = Named(loop=loop)
    future.set_result("not a task")

    def factory(loop, coro, **keywords):
        coro.close()
        return future

    loop.set_task_factory(factory)
    try:
        task = loop.create_task(give(1))
    finally:
        loop.set_task_factory(None)
    assert task is future


@pytest.mark.skipif(not PY312, reason="eager tasks are new in 3.12")
@pytest.mark.parametrize("factory", ["eager", "custom"])
def test_eager_factories(loop, factory):
    made = asyncio.eager_task_factory
    expected = asyncio.Task
    if factory == "custom":
        made, expected = asyncio.create_eager_task_factory(MyTask), MyTask
    loop.set_task_factory(made)
    order = []

    async def child(turns):
        order.append(("in", turns))
        await give(None, turns)
        order.append(("out", turns))
        return turns

    async def main():
        tasks = [asyncio.create_task(child(n)) for n in range(3)]
        order.append("made")
        assert [t.done() for t in tasks] == [True, False, False]
        assert {type(t) for t in tasks} == {expected}
        async with asyncio.TaskGroup() as group:
            group.create_task(child(1))
        return await asyncio.gather(*tasks)

    assert loop.run_until_complete(main()) == [0, 1, 2]
    assert order[:5] == [
        ("in", 0), ("out", 0), ("in", 1), ("in", 2), "made"
    ]


@pytest.mark.skipif(not PY312, reason="eager tasks are new in 3.12")
def test_an_eager_task_has_its_own_context(loop):
    async def child():
        VAR.set("child")
        await asyncio.sleep(0)
        return VAR.get()

    async def main():
        VAR.set("main")
        task = asyncio.Task(child(), loop=loop, eager_start=True)
        return VAR.get(), await task, VAR.get()

    assert loop.run_until_complete(main()) == ("main", "child", "main")


@pytest.mark.skipif(not PY312, reason="eager tasks are new in 3.12")
def test_eager_tasks_that_fail_or_are_cancelled_at_once(loop):
    errors = collect_errors(loop)

    async def fail():
        raise LookupError("eager")

    async def cancel():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def main():
        with contextlib.suppress(LookupError):
            await asyncio.Task(fail(), loop=loop, eager_start=True)
        task = asyncio.Task(cancel(), loop=loop, eager_start=True)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert loop.run_until_complete(main()) is True
    assert errors == []


@pytest.mark.skipif(not PY314, reason="eager_start is an argument since 3.14")
def test_eager_start_with_a_factory(loop):
    loop.set_task_factory(asyncio.eager_task_factory)
    order = []

    async def child(name):
        order.append(name)

    async def main():
        late = loop.create_task(child("late"), eager_start=False)
        await loop.create_task(child("at once"), eager_start=True)
        await late

    loop.run_until_complete(main())
    assert order == ["at once", "late"]


def test_two_loops_take_turns(new_loop):
    first, second = new_loop(), new_loop()
    order = []

    async def main(name, turns):
        for _ in range(turns):
            order.append(name)
            await asyncio.sleep(0)
        return name

    tasks = [first.create_task(main("1", 4)), second.create_task(main("2", 4))]
    for _ in range(5):
        run_turns(first)
        run_turns(second)
    assert order == ["1", "2"] * 4
    assert [task.result() for task in tasks] == ["1", "2"]


@pytest.mark.native_only(reason="two kinds of loop in one thread")
def test_our_loop_and_stocks_take_turns(loop):
    stock = loops.new("asyncio")
    ours = loop.create_task(give("ours", 3))
    theirs = stock.create_task(give("theirs", 3))
    for _ in range(5):
        run_turns(loop)
        run_turns(stock)
    assert (ours.result(), theirs.result()) == ("ours", "theirs")
    stock.close()


def test_a_wakeup_called_by_hand_more_than_once(loop):
    errors = collect_errors(loop)
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    [(wakeup, context)] = future._callbacks
    future.set_result("by hand")
    run_turns(loop, 2)
    assert task.result() == "by hand"
    loop.call_soon(wakeup, future, context=context)
    run_turns(loop, 2)
    # asyncio refuses to step a task that is done.
    assert [type(c["exception"]) for c in errors] == [
        asyncio.InvalidStateError
    ]
