"""What a program can see of contexts that are entered and left.

asyncloop writes the effects of PyContext_Enter and PyContext_Exit itself; all
of this must be as if the functions had been called. The whole file, and that
about contexts in general, runs once more in a child that calls them.
"""

import asyncio
import contextvars
import gc
import importlib
import logging
import os
import subprocess
import sys

import pytest

from support.child import search_path
from support.loops import run_turns

HERE = os.path.dirname(os.path.abspath(__file__))
SWITCH = "ASYNCLOOP_DIRECT_CONTEXTS"
FILES = ["test_contexts.py", "test_switching_contexts.py"]

VAR: contextvars.ContextVar[object] = contextvars.ContextVar(
    "VAR", default=None
)


def watchers():
    """CPython's own way to watch the switches, where it has one."""
    try:
        testing = importlib.import_module("_testcapi")
    except ImportError:
        pytest.skip("this Python came without _testcapi")
    if not hasattr(testing, "add_context_watcher"):
        pytest.skip("context watchers are new in 3.14")
    return testing


def test_a_variable_is_never_served_from_the_task_before(loop):
    """Variables cache their value by a version that each switch raises."""
    async def child(number):
        VAR.set(number)
        for _ in range(50):
            await asyncio.sleep(0)
            assert VAR.get() == number

    async def main():
        await asyncio.gather(*[child(number) for number in range(10)])
        assert VAR.get() is None

    loop.run_until_complete(main())


def test_a_task_cannot_enter_its_own_context(loop):
    async def main():
        with pytest.raises(RuntimeError, match="already entered"):
            contexts[0].run(int)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already entered"):
            contexts[0].run(int)

    contexts = [contextvars.copy_context()]
    other = loop.create_task(asyncio.sleep(0))
    loop.run_until_complete(loop.create_task(main(), context=contexts[0]))
    assert other.done()
    assert contexts[0].run(int) == 0


def test_a_suspended_tasks_context_can_be_entered(loop):
    async def child():
        await asyncio.sleep(0)
        return VAR.get()

    async def main():
        context = contextvars.copy_context()
        task = asyncio.create_task(child(), context=context)
        await asyncio.sleep(0)
        context.run(VAR.set, "from outside")
        return await task

    assert loop.run_until_complete(main()) == "from outside"


def test_a_context_entered_by_a_callback_and_left_again_is_no_matter(loop):
    seen = []
    inner = contextvars.copy_context()

    def callback():
        VAR.set("outer")
        inner.run(VAR.set, "inner")
        seen.append(VAR.get())

    async def child():
        for _ in range(3):
            callback()
            await asyncio.sleep(0)
            seen.append(VAR.get())

    loop.run_until_complete(asyncio.wait_for(child(), None))
    loop.call_soon(callback)
    run_turns(loop)
    assert seen == ["outer"] * 7
    assert inner[VAR] == "inner" and VAR.get() is None


def test_a_task_whose_context_is_entered_is_not_stepped(loop, caplog):
    """As asyncio has it: to enter it raises, and that is reported."""
    context = contextvars.copy_context()
    started = []

    async def child():
        started.append(True)

    def main():
        # The first comes from no context, the other from another task's.
        coros = [child(), asyncio.sleep(0), child()]
        tasks = [
            loop.create_task(coros[0], context=context),
            loop.create_task(coros[1], context=contextvars.Context()),
            loop.create_task(coros[2], context=context),
        ]
        run_turns(loop, 2)
        for coro, task in zip(coros, tasks, strict=True):
            coro.close()
            task._log_destroy_pending = False
        return tasks

    with caplog.at_level(logging.ERROR, "asyncio"):
        tasks = context.run(main)
    assert [task.done() for task in tasks] == [False, True, False]
    assert started == []
    assert {record.exc_info[0] for record in caplog.records} == {RuntimeError}


def test_what_dies_with_a_context_sets_no_variable_of_the_next_task(loop):
    """The context has been left by then, and the next is not yet entered."""
    class Last:
        def __del__(self):
            died.append(VAR.get())
            VAR.set("from a finalizer")

    died, seen = [], []

    async def reader():
        for _ in range(6):
            seen.append(VAR.get())
            await asyncio.sleep(0)

    def hold():
        # The handle is the only owner of the context, which owns this.
        HOLDER.set(Last())

    HOLDER = contextvars.ContextVar("HOLDER")
    task = loop.create_task(reader())

    async def main():
        for _ in range(3):
            loop.call_soon(hold, context=contextvars.copy_context())
            await asyncio.sleep(0)
            seen.append(VAR.get())
        await task

    contextvars.copy_context().run(loop.run_until_complete, main())
    gc.collect()
    assert seen == [None] * 9
    assert len(died) == 3
    assert VAR.get() is None


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_step_that_raises_leaves_its_context(loop, error):
    context = contextvars.copy_context()

    async def child():
        VAR.set("inside")
        await asyncio.sleep(0)
        raise error

    task = loop.create_task(child(), context=context)
    with pytest.raises(error):
        loop.run_until_complete(task)
    assert task.exception() is not None  # retrieved, or it would be logged
    assert VAR.get() is None
    assert context.run(VAR.get) == "inside"


def test_the_references_to_a_context_add_up(loop):
    contexts = [contextvars.copy_context() for _ in range(3)]

    def references():
        return [sys.getrefcount(context) for context in contexts]

    before = references()

    async def child():
        for _ in range(10):
            await asyncio.sleep(0)

    async def main():
        tasks = [
            loop.create_task(child(), context=context) for context in contexts
        ]
        for task in tasks:
            await task

    loop.run_until_complete(main())
    for number in range(3):
        loop.call_soon(int, context=contexts[number])
    run_turns(loop)
    gc.collect()
    assert references() == before


def test_a_watcher_hears_of_each_switch(loop):
    testing = watchers()
    contexts = [contextvars.copy_context() for _ in range(3)]

    async def child():
        for _ in range(4):
            await asyncio.sleep(0)

    async def main():
        tasks = [
            loop.create_task(child(), context=context) for context in contexts
        ]
        await asyncio.sleep(0)
        # It comes while the loop runs and goes while the loop runs.
        watcher = testing.add_context_watcher(0)
        try:
            switches = testing.get_context_switches(watcher)
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            testing.clear_context_watcher(watcher)
        for task in tasks:
            await task
        return list(switches)

    switches = loop.run_until_complete(main())
    for context in contexts:
        assert sum(context is entered for entered in switches) == 3


@pytest.mark.native_only(reason="stock asyncio calls the functions")
@pytest.mark.parametrize("value, ways", [
    ("1", "direct"), ("0", "functions"),
])
def test_the_switch(child, value, ways):
    out = child.succeed(
        "import asyncloop; print(asyncloop.build_info()['contexts'])",
        **{SWITCH: value},
    )
    assert out.strip() == ways


@pytest.mark.native_only(reason="stock asyncio calls the functions")
@pytest.mark.skipif(
    os.environ.get(SWITCH) == "0", reason="this is the child that it starts"
)
def test_the_files_about_contexts_pass_with_the_functions(kind):
    path = [p for p in search_path(kind).split(os.pathsep)
            if p != os.path.dirname(HERE)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q",
         "-p", "no:cacheprovider", "--loops", kind, *FILES],
        cwd=HERE, env=dict(
            os.environ, **{SWITCH: "0"}, PYTHONPATH=os.pathsep.join(path),
        ),
        text=True, timeout=120, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
