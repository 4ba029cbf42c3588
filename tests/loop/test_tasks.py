"""create_future, create_task and task factories."""

import asyncio
import contextvars

import pytest

from support.loops import PY312, PY313, PY314, run_turns

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="-")


async def give(value):
    return value


def finish(loop, task):
    return loop.run_until_complete(task)


def test_create_future_makes_asyncios_own(loop):
    future = loop.create_future()
    assert type(future) is asyncio.Future
    assert future.get_loop() is loop
    assert future._loop is loop


def test_create_task_makes_asyncios_own(loop):
    task = loop.create_task(give(1))
    assert type(task) is asyncio.Task
    assert task.get_loop() is loop
    assert finish(loop, task) == 1


def test_a_task_is_known_until_it_is_done(loop):
    task = loop.create_task(give(1))
    assert asyncio.all_tasks(loop) == {task}
    finish(loop, task)
    assert asyncio.all_tasks(loop) == set()


def test_the_current_task_is_known_within_it_only(loop):
    async def main():
        return asyncio.current_task()

    task = loop.create_task(main())
    assert asyncio.current_task(loop) is None
    assert finish(loop, task) is task
    assert asyncio.current_task(loop) is None


def test_no_task_is_current_in_a_plain_callback(loop):
    seen = []
    loop.create_task(give(1))
    loop.call_soon(lambda: seen.append(asyncio.current_task()))
    run_turns(loop)
    assert seen == [None]


def test_a_task_is_named_as_asked_and_numbered_otherwise(loop):
    named = loop.create_task(give(1), name="mine")
    plain = loop.create_task(give(2))
    assert named.get_name() == "mine"
    assert plain.get_name().startswith("Task-")
    loop.run_until_complete(asyncio.gather(named, plain))


@pytest.mark.skipif(
    not PY313, reason="names of tasks are turned into text since 3.13"
)
def test_a_name_that_is_no_text_is_turned_into_it(loop):
    task = loop.create_task(give(1), name=5)
    assert task.get_name() == "5"
    finish(loop, task)


def test_the_context_asked_for_is_used(loop):
    context = contextvars.copy_context()
    context.run(VAR.set, "mine")

    async def main():
        return VAR.get()

    assert finish(loop, loop.create_task(main(), context=context)) == "mine"


@pytest.mark.skipif(not PY314, reason="eager_start is new in 3.14")
def test_eager_start_runs_the_first_step_at_once(loop):
    ran = []

    async def child():
        ran.append(1)
        await asyncio.sleep(0)
        ran.append(2)

    async def main():
        task = loop.create_task(child(), eager_start=True)
        seen = list(ran)
        await task
        return seen

    assert loop.run_until_complete(main()) == [1]
    assert ran == [1, 2]


@pytest.mark.skipif(not PY314, reason="eager_start is new in 3.14")
def test_eager_start_false_waits_for_the_next_turn(loop):
    ran = []

    async def child():
        ran.append(1)

    async def main():
        task = loop.create_task(child(), eager_start=False)
        seen = list(ran)
        await task
        return seen

    assert loop.run_until_complete(main()) == []
    assert ran == [1]


@pytest.mark.parametrize("keywords", [{"bogus": 1}, {"loop": None}])
def test_a_keyword_that_is_not_known_is_refused(loop, keywords):
    coroutine = give(1)
    with pytest.raises(TypeError):
        loop.create_task(coroutine, **keywords)
    coroutine.close()


@pytest.mark.parametrize("thing", [None, 1, print, give], ids=str)
def test_what_is_no_coroutine_is_refused(loop, thing):
    with pytest.raises(TypeError, match="a coroutine was expected"):
        loop.create_task(thing)


def test_there_is_no_task_factory_at_first(loop):
    assert loop.get_task_factory() is None


@pytest.mark.parametrize("wrong", [1, "text", object()], ids=repr)
def test_a_task_factory_must_be_callable(loop, wrong):
    with pytest.raises(
        TypeError, match="task factory must be a callable or None"
    ):
        loop.set_task_factory(wrong)


def test_the_task_factory_makes_the_tasks(loop):
    made = []

    def factory(loop, coro, **keywords):
        made.append(coro.__name__)
        return asyncio.Task(coro, loop=loop, **keywords)

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    assert loop.run_until_complete(give(1)) == 1
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert loop.run_until_complete(give(2)) == 2
    assert made == ["give"]


def test_the_task_factory_is_told_the_context(loop):
    got = []

    def factory(loop, coro, **keywords):
        got.append(keywords)
        return asyncio.Task(coro, loop=loop, **keywords)

    loop.set_task_factory(factory)
    context = contextvars.copy_context()
    finish(loop, loop.create_task(give(1), context=context))
    assert got[0]["context"] is context


def test_a_task_made_by_a_factory_gets_the_name(loop):
    loop.set_task_factory(
        lambda loop, coro, **kw: asyncio.Task(coro, loop=loop, **kw)
    )
    task = loop.create_task(give(1), name="mine")
    assert task.get_name() == "mine"
    finish(loop, task)


def test_a_factory_that_raises_is_heard(loop):
    def factory(loop, coro, **keywords):
        coro.close()
        raise LookupError("no tasks today")

    loop.set_task_factory(factory)
    with pytest.raises(LookupError, match="no tasks today"):
        loop.create_task(give(1))


def test_a_factory_may_give_a_subclass(loop):
    class Mine(asyncio.Task):
        pass

    loop.set_task_factory(
        lambda loop, coro, **kw: Mine(coro, loop=loop, **kw)
    )
    task = loop.create_task(give("sub"))
    assert type(task) is Mine
    assert finish(loop, task) == "sub"


@pytest.mark.skipif(not PY312, reason="eager_task_factory is new in 3.12")
def test_the_eager_task_factory_runs_first_steps_at_once(loop):
    loop.set_task_factory(asyncio.eager_task_factory)
    ran = []

    async def child():
        ran.append("step")
        return "eager"

    async def main():
        task = asyncio.create_task(child())
        assert ran == ["step"] and task.done()
        return await task

    assert loop.run_until_complete(main()) == "eager"


@pytest.mark.skipif(not PY312, reason="eager_task_factory is new in 3.12")
def test_an_eager_task_that_waits_is_resumed_by_the_loop(loop):
    loop.set_task_factory(asyncio.eager_task_factory)

    async def child():
        await asyncio.sleep(0.001)
        return asyncio.current_task().get_name()

    async def main():
        return await asyncio.create_task(child(), name="eager")

    assert loop.run_until_complete(main()) == "eager"


def test_a_task_written_in_python_runs_too(loop):
    task = asyncio.tasks._PyTask(give("python"), loop=loop)
    assert finish(loop, task) == "python"


def test_python_and_c_tasks_wait_for_one_another(loop):
    async def outer():
        inner = asyncio.tasks._PyTask(give(2), loop=loop)
        return 1 + await inner

    task = asyncio.tasks._PyTask(outer(), loop=loop)
    assert loop.run_until_complete(asyncio.gather(task, give(4))) == [3, 4]


def test_a_task_cancelled_before_its_first_step_never_starts(loop):
    ran = []

    async def child():
        ran.append(1)

    task = loop.create_task(child())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        finish(loop, task)
    assert ran == []


def test_deep_chains_of_awaits_finish(loop):
    async def down(depth):
        if depth:
            return 1 + await asyncio.create_task(down(depth - 1))
        await asyncio.sleep(0)
        return 0

    assert loop.run_until_complete(down(500)) == 500


def test_ten_thousand_tasks_finish(loop):
    async def main():
        return sum(await asyncio.gather(*(give(1) for _ in range(10_000))))

    assert loop.run_until_complete(main()) == 10_000
