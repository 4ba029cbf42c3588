"""cancel, uncancel and what a coroutine makes of it."""

import asyncio

import pytest

from support.loops import PY313, collect_errors, run_turns


async def wait(future):
    return await future


def outcome(loop, task):
    """("result", …) or (name of the exception, its arguments)."""
    try:
        return "result", loop.run_until_complete(task)
    except BaseException as error:
        return type(error).__name__, error.args


def test_cancel_before_the_first_step(loop):
    ran = []

    async def child():
        ran.append(1)

    task = loop.create_task(child())
    assert task.cancel("early") is True
    assert task._must_cancel is True and not task.done()
    assert outcome(loop, task) == ("CancelledError", ("early",))
    assert ran == [] and task.cancelled()


def test_cancel_while_it_waits_cancels_the_future(loop):
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    assert task.cancel("why") is True
    assert future.cancelled() and task._must_cancel is False
    assert outcome(loop, task) == ("CancelledError", ("why",))


def test_cancel_after_the_future_is_done_wins_over_the_result(loop):
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    future.set_result(1)
    assert task.cancel() is True
    assert task._must_cancel is True
    assert outcome(loop, task) == ("CancelledError", ())


def test_cancel_after_the_future_failed_wins_too(loop):
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    future.set_exception(LookupError())
    task.cancel("later")
    assert outcome(loop, task) == ("CancelledError", ("later",))


def test_cancel_of_a_task_that_is_done_is_refused(loop):
    async def nothing():
        pass

    task = loop.create_task(nothing())
    loop.run_until_complete(task)
    assert task.cancel() is False
    assert not task.cancelled()


def test_a_task_that_swallows_it_goes_on(loop):
    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "alive"

    task = loop.create_task(stubborn())
    run_turns(loop)
    task.cancel()
    assert outcome(loop, task) == ("result", "alive")
    assert task.cancelling() == 1 and not task.cancelled()


def test_cancelling_counts_and_uncancel_counts_down(loop):
    async def main():
        task = asyncio.current_task()
        counts = [task.cancelling()]
        task.cancel()
        counts.append(task.cancelling())
        task.cancel()
        counts.append(task.cancelling())
        counts.append(task.uncancel())
        counts.append(task.uncancel())
        counts.append(task.uncancel())
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            counts.append("cancelled")
        return counts

    counts = [0, 1, 2, 1, 0, 0]
    # Since 3.13 the last uncancel takes the request back.
    if not PY313:
        counts.append("cancelled")
    assert loop.run_until_complete(main()) == counts


def test_a_task_cancelled_right_before_it_returns_is_cancelled(loop):
    async def main():
        asyncio.current_task().cancel("last")
        return 1

    task = loop.create_task(main())
    assert outcome(loop, task) == ("CancelledError", ("last",))
    assert task.cancelled()


def test_a_task_cancelled_right_before_it_raises_fails(loop):
    async def main():
        asyncio.current_task().cancel()
        raise LookupError("x")

    task = loop.create_task(main())
    assert outcome(loop, task) == ("LookupError", ("x",))


def test_a_cancellation_while_it_runs_is_passed_to_what_it_awaits(loop):
    future = loop.create_future()

    async def main():
        asyncio.current_task().cancel("passed on")
        await future

    task = loop.create_task(main())
    run_turns(loop)
    assert future.cancelled() and task._must_cancel is False
    assert outcome(loop, task) == ("CancelledError", ("passed on",))


def test_a_cancellation_goes_through_a_chain_of_tasks(loop):
    tasks = []

    async def chain(depth):
        if depth:
            tasks.append(asyncio.create_task(chain(depth - 1)))
            await tasks[-1]
        else:
            await asyncio.sleep(60)

    top = loop.create_task(chain(20))
    run_turns(loop, 25)
    top.cancel("top")
    assert outcome(loop, top) == ("CancelledError", ("top",))
    assert len(tasks) == 20 and all(task.cancelled() for task in tasks)


def test_a_future_that_refuses_to_be_cancelled(loop):
    class Stubborn(asyncio.Future):
        def cancel(self, msg=None):
            asked.append(msg)
            return False

    asked = []
    future = Stubborn(loop=loop)
    task = loop.create_task(wait(future))
    run_turns(loop)
    assert task.cancel("please") is True
    assert asked == ["please"] and task._must_cancel is True
    run_turns(loop)
    assert not task.done()
    future.set_result(1)
    assert outcome(loop, task) == ("CancelledError", ("please",))


@pytest.mark.parametrize("when", ["waiting", "running"])
def test_a_future_whose_cancel_raises(loop, when):
    class Broken(asyncio.Future):
        def cancel(self, msg=None):
            raise LookupError("cancel is broken")

    errors = collect_errors(loop)
    future = Broken(loop=loop)

    async def main():
        if when == "running":
            asyncio.current_task().cancel()
        await future

    task = loop.create_task(main())
    run_turns(loop)
    if when == "waiting":
        with pytest.raises(LookupError, match="cancel is broken"):
            task.cancel()
    else:
        assert [str(c["exception"]) for c in errors] == ["cancel is broken"]
    assert not task.done()
    future.set_result(None)
    run_turns(loop, 2)
    assert task.done()
    outcome(loop, task)


def test_a_callback_that_cancels_its_own_task(loop):
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    future.remove_done_callback(None)
    answers = []
    future.add_done_callback(lambda _: answers.append(task.cancel("back")))
    future.set_result(1)
    # The wake-up was there first: the task is done when the callback runs.
    assert outcome(loop, task) == ("result", 1)
    assert answers == [False]


def test_a_callback_before_the_wakeup_that_cancels_the_task(loop):
    future = loop.create_future()
    task = loop.create_task(wait(future))
    future.add_done_callback(lambda _: task.cancel("back"))
    run_turns(loop)
    future.set_result(1)
    assert outcome(loop, task) == ("CancelledError", ("back",))


def test_a_done_callback_that_cancels_the_task_itself(loop):
    answers = []

    async def main():
        return 1

    task = loop.create_task(main())
    task.add_done_callback(lambda t: answers.append(t.cancel()))
    assert outcome(loop, task) == ("result", 1)
    run_turns(loop)
    assert answers == [False]


def test_a_coroutine_that_raises_while_it_is_thrown_into(loop):
    async def main():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise LookupError("instead") from None

    task = loop.create_task(main())
    run_turns(loop)
    task.cancel()
    assert outcome(loop, task) == ("LookupError", ("instead",))


def test_a_coroutine_that_cancels_itself_while_it_is_thrown_into(loop):
    async def main():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            asyncio.current_task().cancel("again")
            await asyncio.sleep(0)

    task = loop.create_task(main())
    run_turns(loop)
    task.cancel("once")
    assert outcome(loop, task) == ("CancelledError", ("again",))
    assert task.cancelling() == 2


def test_cancelled_error_raised_by_hand_cancels(loop):
    async def main():
        raise asyncio.CancelledError("by hand", 2)

    task = loop.create_task(main())
    assert outcome(loop, task) == ("CancelledError", ("by hand", 2))
    assert task.cancelled() and task.cancelling() == 0


def test_an_instance_of_a_subclass_of_cancelled_error(loop):
    class Mine(asyncio.CancelledError):
        pass

    async def main():
        raise Mine("sub")

    task = loop.create_task(main())
    assert outcome(loop, task) == ("Mine", ("sub",))
    assert task.cancelled()


def test_the_waiter_sees_the_error_of_the_cancelled_task(loop):
    async def inner():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            caught.append(error)
            raise

    caught = []

    async def main():
        task = asyncio.create_task(inner())
        await asyncio.sleep(0)
        task.cancel("msg")
        try:
            await task
        except asyncio.CancelledError as error:
            return error

    error = loop.run_until_complete(main())
    assert error is caught[0] and error.args == ("msg",)


def test_the_context_of_a_cancelled_error_is_kept(loop):
    async def inner():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise LookupError("inner")

    task = loop.create_task(inner())
    run_turns(loop)
    task.cancel()
    with pytest.raises(LookupError) as caught:
        loop.run_until_complete(task)
    assert type(caught.value.__context__) is asyncio.CancelledError


def test_future_cancel_called_on_a_task(loop):
    """A task ended from outside is not stepped any more, as in stock."""
    errors = collect_errors(loop)
    task = loop.create_task(asyncio.sleep(0))
    run_turns(loop)
    assert asyncio.Future.cancel(task) is True
    run_turns(loop, 2)
    assert task.cancelled()
    assert [type(c["exception"]) for c in errors] == [
        asyncio.InvalidStateError
    ]
    assert "step(): already done: <Task" in str(errors[0]["exception"])
    task._coro.close()


def test_set_result_and_set_exception_are_not_for_tasks(loop):
    task = loop.create_task(asyncio.sleep(0))
    with pytest.raises(RuntimeError, match="Task does not support set_result"):
        task.set_result(1)
    with pytest.raises(RuntimeError, match="does not support set_exception"):
        task.set_exception(LookupError())
    loop.run_until_complete(task)


def test_a_thousand_sleeping_tasks_are_cancelled(loop):
    async def main():
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(1000)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return sum(task.cancelled() for task in tasks)

    assert loop.run_until_complete(main()) == 1000
