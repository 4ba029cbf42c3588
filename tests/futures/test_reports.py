"""Exits that leave the loop, and what is said of tasks that were lost."""

import asyncio
import gc

import pytest

from support.loops import PY314, collect_errors, run_turns


async def give(value):
    return value


async def wait(future):
    return await future


def messages(errors):
    return [context["message"] for context in errors]


@pytest.mark.parametrize("kind_of_exit", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("turns", [0, 2])
def test_an_exit_out_of_a_task_leaves_the_loop(loop, kind_of_exit, turns):
    order = []

    async def leave():
        for _ in range(turns):
            await asyncio.sleep(0)
        raise kind_of_exit("out")

    async def other():
        for number in range(5):
            order.append(number)
            await asyncio.sleep(0)
        return "other"

    task, beside = loop.create_task(leave()), loop.create_task(other())
    with pytest.raises(kind_of_exit, match="out"):
        loop.run_forever()
    assert not loop.is_running() and task.done()
    assert type(task.exception()) is kind_of_exit
    assert order == list(range(turns))
    # Nothing of the turn is lost.
    assert loop.run_until_complete(beside) == "other"
    assert order == list(range(5))


@pytest.mark.parametrize("kind_of_exit", [KeyboardInterrupt, SystemExit])
def test_an_exit_out_of_the_main_task(loop, kind_of_exit):
    async def main():
        raise kind_of_exit("main")

    with pytest.raises(kind_of_exit, match="main"):
        loop.run_until_complete(main())
    assert loop.run_until_complete(give(1)) == 1


def test_an_exit_while_it_is_thrown_into(loop):
    async def main():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise SystemExit(4) from None

    task = loop.create_task(main())
    run_turns(loop)
    task.cancel()
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert task.done() and task.exception().code == 4


def test_an_exit_that_another_task_waits_for(loop):
    async def leave():
        raise SystemExit(5)

    async def main():
        try:
            await asyncio.create_task(leave())
        except SystemExit as error:
            return error.code

    task = loop.create_task(main())
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert loop.run_until_complete(task) == 5


def test_an_exit_in_a_done_callback(loop):
    def leave(_):
        raise SystemExit(6)

    order = []
    task = loop.create_task(give(1))
    task.add_done_callback(leave)
    task.add_done_callback(order.append)
    with pytest.raises(SystemExit):
        loop.run_forever()
    run_turns(loop)
    assert order == [task]


def test_another_base_exception_stays_in_the_task(loop):
    class Other(BaseException):
        pass

    async def main():
        raise Other("stays")

    task = loop.create_task(main())
    run_turns(loop, 2)
    assert type(task.exception()) is Other
    with pytest.raises(Other, match="stays"):
        loop.run_until_complete(task)


def test_generator_exit_raised_in_a_task(loop):
    async def main():
        raise GeneratorExit

    task = loop.create_task(main())
    run_turns(loop, 2)
    assert type(task.exception()) is GeneratorExit


def test_an_exception_never_retrieved_is_told_when_the_task_goes(loop):
    errors = collect_errors(loop)

    async def fail():
        raise LookupError("lost")

    task = loop.create_task(fail(), name="loser")
    run_turns(loop, 3)
    assert errors == []
    name = repr(task)
    del task
    gc.collect()
    assert messages(errors) == ["Task exception was never retrieved"]
    assert errors[0]["exception"].args == ("lost",)
    assert repr(errors[0]["future"]) == name
    assert set(errors[0]) - {"source_traceback"} == {
        "message", "exception", "future"
    }


def test_without_the_collector_it_is_told_at_once(loop):
    errors = collect_errors(loop)

    async def fail():
        raise LookupError("lost")

    gc.disable()
    try:
        loop.create_task(fail())
        run_turns(loop, 3)
        assert messages(errors) == ["Task exception was never retrieved"]
    finally:
        gc.enable()


@pytest.mark.parametrize("look", [
    lambda task: task.exception(),
    lambda task: asyncio.gather(task, return_exceptions=True),
    lambda task: asyncio.wait([task]),
    lambda task: setattr(task, "_log_traceback", False),
], ids=["exception", "gather", "wait_and_look", "field"])
def test_an_exception_that_was_seen_is_not_told(loop, look):
    errors = collect_errors(loop)

    async def fail():
        raise LookupError("seen")

    async def main():
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen = look(task)
        if seen is not None and not isinstance(seen, LookupError):
            await seen
            task.exception()

    loop.run_until_complete(main())
    gc.collect()
    assert errors == []


def test_an_awaited_exception_is_not_told(loop):
    errors = collect_errors(loop)

    async def fail():
        raise LookupError("seen")

    async def main():
        for _ in range(3):
            with pytest.raises(LookupError):
                await asyncio.create_task(fail())

    loop.run_until_complete(main())
    gc.collect()
    assert errors == []


def test_a_future_whose_exception_was_never_retrieved(loop):
    errors = collect_errors(loop)
    future = loop.create_future()
    future.set_exception(LookupError("future"))
    run_turns(loop)
    assert errors == []
    del future
    gc.collect()
    assert messages(errors) == ["Future exception was never retrieved"]


def test_a_task_destroyed_while_it_is_pending(loop):
    errors = collect_errors(loop)
    future = loop.create_future()
    task = loop.create_task(wait(future), name="lost")
    run_turns(loop)
    del task
    gc.collect()
    # The future keeps its waiter.
    assert errors == []
    del future
    gc.collect()
    assert messages(errors) == ["Task was destroyed but it is pending!"]
    assert errors[0]["task"].get_name() == "lost"
    assert set(errors[0]) - {"source_traceback"} == {"message", "task"}


def test_a_pending_task_goes_by_its_reference_count_alone(loop):
    errors = collect_errors(loop)
    gc.disable()
    try:
        future = loop.create_future()
        loop.create_task(wait(future))
        run_turns(loop)
        [(wakeup, _)] = future._callbacks
        future.remove_done_callback(wakeup)
        assert errors == []
        del wakeup
        if PY314:
            # The future knows its waiter: a cycle.
            assert errors == []
            del future
            gc.collect()
        assert messages(errors) == ["Task was destroyed but it is pending!"]
    finally:
        gc.enable()
        del errors[:]


def test_a_pending_task_that_asks_for_silence(loop):
    errors = collect_errors(loop)
    future = loop.create_future()
    task = loop.create_task(wait(future))
    task._log_destroy_pending = False
    run_turns(loop)
    del task, future
    gc.collect()
    assert errors == []


def test_a_task_that_was_never_started(loop):
    errors = collect_errors(loop)
    coroutine = give(1)
    task = loop.create_task(coroutine)
    loop.close()
    del task
    gc.collect()
    coroutine.close()
    assert messages(errors) == ["Task was destroyed but it is pending!"]


def test_a_task_alive_when_the_loop_is_closed(new_loop):
    loop = new_loop()
    errors = collect_errors(loop)
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    loop.close()
    assert not task.done() and task.get_loop() is loop
    assert asyncio.all_tasks(loop) == {task}
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        future.set_result(1)
    assert "pending" in repr(task)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(None)
    del task, future
    gc.collect()
    assert messages(errors) == ["Task was destroyed but it is pending!"]


def test_cancelling_a_task_of_a_closed_loop(new_loop):
    loop = new_loop()
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        task.cancel()
    task._log_destroy_pending = False


def test_a_loop_dropped_with_its_tasks(new_loop, recwarn):
    loop = new_loop()
    loop.set_exception_handler(lambda *_: None)
    future = loop.create_future()
    tasks = [loop.create_task(wait(future)) for _ in range(10)]
    run_turns(loop)
    loop.close()
    del loop, tasks, future
    gc.collect()
    assert [str(w.message) for w in recwarn] == []


def test_a_done_task_outlives_its_loop(new_loop):
    loop = new_loop()
    task = loop.create_task(give("kept"))
    loop.run_until_complete(task)
    loop.close()
    assert task.result() == "kept" and "finished" in repr(task)


def test_an_error_in_the_machinery_is_reported_like_a_callbacks(loop):
    errors = collect_errors(loop)

    class Broken(asyncio.Future):
        def add_done_callback(self, *args, **kwargs):
            raise LookupError("add is broken")

    future = Broken(loop=loop)
    task = loop.create_task(wait(future))
    run_turns(loop, 3)
    told = [str(c["exception"]) for c in errors]
    if task.done():
        told.append(str(task.exception()))
    assert told == ["add is broken"]
    if errors:
        assert errors[0]["message"].startswith("Exception in callback")
    task._log_destroy_pending = False
    task.get_coro().close()
