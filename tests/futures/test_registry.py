"""asyncio.current_task and asyncio.all_tasks, wherever they are asked."""

import asyncio
import gc
import threading

import pytest

from support import loops
from support.loops import PY312, PY314, collect_errors, run_turns


async def give(value):
    return value


async def wait(future):
    return await future


def test_in_a_task_it_is_the_task_after_each_step(loop):
    async def main():
        me = asyncio.current_task()
        for _ in range(3):
            await asyncio.sleep(0)
            assert asyncio.current_task() is me
            assert asyncio.current_task(loop) is me
        return me

    task = loop.create_task(main())
    assert loop.run_until_complete(task) is task


def test_between_steps_of_others_it_changes(loop):
    seen = []

    async def child():
        for _ in range(3):
            seen.append(asyncio.current_task())
            await asyncio.sleep(0)

    tasks = [loop.create_task(child()) for _ in range(3)]
    loop.run_until_complete(asyncio.wait(tasks))
    assert seen == tasks * 3


def test_in_callbacks_between_steps_there_is_none(loop):
    seen = []

    async def child():
        for _ in range(3):
            loop.call_soon(lambda: seen.append(asyncio.current_task()))
            await asyncio.sleep(0)

    loop.run_until_complete(child())
    run_turns(loop)
    assert seen == [None] * 3


def test_in_a_timer_a_reader_and_an_exception_handler(loop):
    seen = []

    def note(*_):
        seen.append(asyncio.current_task())

    loop.set_exception_handler(note)

    async def main():
        loop.call_later(0, note)
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0.001)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert seen == [None, None]


def test_outside_of_a_running_loop(loop):
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.current_task()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.all_tasks()
    assert asyncio.current_task(loop) is None
    loop.run_until_complete(give(1))
    assert asyncio.current_task(loop) is None
    assert asyncio.all_tasks(loop) == set()


def test_after_an_exit_out_of_a_task_there_is_none(loop):
    async def leave():
        raise SystemExit(3)

    task = loop.create_task(leave())
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert asyncio.current_task(loop) is None
    assert task.done()
    task.exception()
    assert loop.run_until_complete(give(2)) == 2


def test_in_a_finalizer(loop):
    """Of an object that goes when the task ends, and with the task."""
    seen = []

    class Thing:
        def __del__(self):
            task = asyncio.current_task()
            seen.append(task and task.get_name())

    async def child():
        thing = Thing()
        await asyncio.sleep(0)
        del thing
        other = Thing()
        await asyncio.sleep(0)
        assert other
        return Thing()

    async def main():
        task = asyncio.create_task(child(), name="child")
        await task
        seen.append("end")
        del task

    loop.run_until_complete(loop.create_task(main(), name="main"))
    # Stock asyncio's handle may keep the done child for one more callback.
    assert seen in (
        ["child", "child", "end", "main"], ["child", "child", "end", None]
    )


def test_when_the_finalizer_of_a_task_reports(loop):
    seen = []
    loop.set_exception_handler(
        lambda _, context: seen.append(
            (context["message"], asyncio.current_task())
        )
    )

    async def fail():
        raise LookupError

    async def main():
        asyncio.create_task(fail())
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()

    loop.run_until_complete(main())
    assert [message for message, _ in seen] == [
        "Task exception was never retrieved"
    ]
    assert seen[0][1] is None


def test_enter_and_leave_by_hand(loop):
    """What the eager tasks of other libraries do."""
    task, other = loop.create_task(give(1)), loop.create_task(give(2))
    seen = []

    def refused(function):
        try:
            function(loop, other)
        except RuntimeError:
            seen.append("refused")

    def by_hand():
        asyncio.tasks._enter_task(loop, task)
        try:
            seen.append(asyncio.current_task())
            refused(asyncio.tasks._enter_task)
            refused(asyncio.tasks._leave_task)
        finally:
            asyncio.tasks._leave_task(loop, task)
        seen.append(asyncio.current_task())

    loop.call_soon(by_hand)
    loop.run_until_complete(asyncio.wait([task, other]))
    run_turns(loop)
    assert seen == [task, "refused", "refused", None]


def test_a_step_within_a_step_is_refused(loop):
    """Running another task's wake-up by hand from inside a task."""
    errors = collect_errors(loop)
    future = loop.create_future()
    other = loop.create_task(wait(future))

    async def main():
        await asyncio.sleep(0)
        [(wakeup, _)] = future._callbacks
        future.set_result(5)
        me = asyncio.current_task()
        try:
            wakeup(future)
        except RuntimeError as error:
            assert "while another task" in str(error)
        assert asyncio.current_task() is me
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return asyncio.current_task() is me

    assert loop.run_until_complete(main()) is True
    run_turns(loop, 2)
    assert other.done() or errors
    del errors[:]
    if not other.done():
        other._log_destroy_pending = False
        other.get_coro().close()


@pytest.mark.skipif(not PY312, reason="_swap_current_task is new in 3.12")
def test_swapping_the_current_task(loop):
    task = loop.create_task(give(1))

    async def main():
        me = asyncio.current_task()
        before = asyncio.tasks._swap_current_task(loop, task)
        during = asyncio.current_task()
        asyncio.tasks._swap_current_task(loop, before)
        return before is me and during is task

    assert loop.run_until_complete(main()) is True
    loop.run_until_complete(task)


def test_all_tasks_has_those_that_are_not_done(loop):
    future = loop.create_future()
    tasks = {loop.create_task(wait(future)) for _ in range(5)}
    done = loop.create_task(give(1))
    stock = asyncio.Task(wait(future), loop=loop)
    tasks.add(stock)
    python = asyncio.tasks._PyTask(wait(future), loop=loop)
    if not PY314:
        # Since 3.14 asyncio's C half does not see tasks of the Python half.
        tasks.add(python)
    assert asyncio.all_tasks(loop) == tasks | {done}
    run_turns(loop)
    assert asyncio.all_tasks(loop) == tasks
    future.set_result(None)
    run_turns(loop, 2)
    assert asyncio.all_tasks(loop) == set()


def test_all_tasks_is_of_one_loop(new_loop):
    first, second = new_loop(), new_loop()
    one, two = first.create_task(give(1)), second.create_task(give(2))
    assert asyncio.all_tasks(first) == {one}
    assert asyncio.all_tasks(second) == {two}
    assert first.run_until_complete(one) == 1
    assert second.run_until_complete(two) == 2


def test_a_task_that_was_destroyed_is_gone_from_all_tasks(loop):
    told = []
    loop.set_exception_handler(lambda _, c: told.append(c["message"]))
    future = loop.create_future()
    loop.create_task(wait(future))
    run_turns(loop)
    assert len(asyncio.all_tasks(loop)) == 1
    del future
    gc.collect()
    gc.collect()
    assert asyncio.all_tasks(loop) == set()
    assert told == ["Task was destroyed but it is pending!"]


def test_ten_thousand_pending_tasks_are_all_known(loop):
    future = loop.create_future()
    tasks = [loop.create_task(wait(future)) for _ in range(10_000)]
    assert asyncio.all_tasks(loop) == set(tasks)
    future.set_result(None)
    loop.run_until_complete(asyncio.wait(tasks))
    assert asyncio.all_tasks(loop) == set()


def test_all_tasks_from_another_thread_while_tasks_come_and_go(loop):
    counts, stop = [], threading.Event()
    errors = []

    def watch():
        while not stop.is_set():
            try:
                counts.append(len(asyncio.all_tasks(loop)))
            except Exception as error:  # the test looks at it
                errors.append(error)
                return

    async def main():
        for _ in range(100):
            await asyncio.gather(*map(give, range(30)))
        while not counts and not errors:
            await asyncio.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        loop.run_until_complete(main())
    finally:
        stop.set()
        thread.join()
    # Stock asyncio gives up when the set changes too often under it.
    assert all("changed size" in str(error) for error in errors)
    assert all(0 <= count <= 40 for count in counts)


def test_tasks_of_loops_in_two_threads_do_not_mix(kind):
    found = []

    def work():
        mine = loops.new(kind)

        async def main():
            me = asyncio.current_task()
            tasks = [asyncio.create_task(give(n)) for n in range(10)]
            for _ in range(50):
                await asyncio.sleep(0)
                assert asyncio.current_task() is me
                assert asyncio.all_tasks() <= {me, *tasks}
            return "right"

        try:
            found.append(mine.run_until_complete(main()))
        finally:
            mine.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["right"] * 4


def test_a_task_made_in_one_thread_and_run_in_another(loop):
    future = loop.create_future()
    tasks = [loop.create_task(wait(future)) for _ in range(3)]
    results = []

    async def gathering():
        return await asyncio.gather(*tasks)

    def run():
        loop.call_soon(future.set_result, 7)
        results.extend(loop.run_until_complete(gathering()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [7, 7, 7]
    assert asyncio.all_tasks(loop) == set()


def test_a_task_of_a_thread_that_ended_is_still_known(loop):
    future, made = loop.create_future(), []
    thread = threading.Thread(
        target=lambda: made.append(loop.create_task(wait(future)))
    )
    thread.start()
    thread.join()
    assert asyncio.all_tasks(loop) == set(made)
    future.set_result(1)
    assert loop.run_until_complete(made[0]) == 1
    assert asyncio.all_tasks(loop) == set()


def test_registering_by_hand(loop):
    class Mine(asyncio.tasks._PyTask):
        pass

    task = Mine(give(1), loop=loop)
    asyncio._unregister_task(task)
    assert asyncio.all_tasks(loop) == set()
    asyncio._register_task(task)
    assert asyncio.all_tasks(loop) == {task}
    loop.run_until_complete(task)


@pytest.mark.skipif(not PY312, reason="eager tasks are new in 3.12")
def test_an_eager_task_is_current_during_its_first_step(loop):
    seen = []

    async def child():
        seen.append(asyncio.current_task())
        seen.append(asyncio.current_task() in asyncio.all_tasks())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        seen.append(asyncio.current_task() in asyncio.all_tasks())

    async def main():
        me = asyncio.current_task()
        task = asyncio.Task(child(), loop=loop, eager_start=True)
        assert asyncio.current_task() is me
        await task
        return task

    task = loop.run_until_complete(main())
    assert seen == [task, True, task, True]


@pytest.mark.skipif(not PY314, reason="eager_start is an argument since 3.14")
def test_eager_start_nests(loop):
    order = []

    async def child(depth):
        order.append(depth)
        if depth:
            await loop.create_task(child(depth - 1), eager_start=True)
        else:
            await asyncio.sleep(0)
        order.append(-depth)
        return asyncio.current_task().get_name()

    loop.run_until_complete(child(3))
    assert order == [3, 2, 1, 0, 0, -1, -2, -3]
