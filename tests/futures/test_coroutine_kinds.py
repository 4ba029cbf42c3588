"""Coroutines that are no plain `async def`: Cython's, and generators.

One source is run as it is, compiled with Cython, and rewritten to generators
under types.coroutine. A task treats all three alike.
"""

import asyncio
import contextvars
import gc
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import types

import pytest

from support.loops import collect_errors, run_turns

SOURCE = '''
import asyncio
import contextvars

VAR = contextvars.ContextVar("VAR", default="-")

async def wait(awaitable):
    return await awaitable

async def deep(awaitable, depth):
    if depth:
        return await deep(awaitable, depth - 1)
    return await awaitable

async def turn(times):
    for _ in range(times):
        await asyncio.sleep(0)
    return times

async def fail(awaitable):
    await awaitable
    raise LookupError("failed")

async def witness(awaitable, seen):
    try:
        return await awaitable
    except BaseException as error:
        seen.append(error)
        raise

async def swallow(awaitable):
    try:
        await awaitable
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        return "swallowed"

async def clean_up(awaitable, seen):
    try:
        await awaitable
    finally:
        await asyncio.sleep(0)
        seen.append("cleaned")

async def keep_value(value):
    VAR.set(value)
    await asyncio.sleep(0)
    return VAR.get()

async def name_of_task():
    await asyncio.sleep(0)
    return asyncio.current_task().get_name()
'''

#: What makes a generator of each coroutine.
REWRITES = [
    (r"^async def", "@types.coroutine\ndef"),
    (r"\bawait (.*)$", r"(yield from \1)"),
    (r"^import asyncio$", "import asyncio\nimport types"),
]


def environment() -> dict[str, str]:
    """For a compiler: without a sanitizer's library, and in a hurry."""
    found = {
        name: value for name, value in os.environ.items()
        if name not in ("LD_PRELOAD", "PYTHONDEVMODE", "PYTHONMALLOC")
    }
    return found | {"CFLAGS": "-O0"}


def compile_with_cython(folder) -> types.ModuleType:
    name = "compiled_coroutines"
    (folder / f"{name}.py").write_text(SOURCE, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "Cython.Build.Cythonize", "-3", "--inplace",
         f"{name}.py"],
        cwd=folder, env=environment(), text=True, timeout=300,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    path = folder / (name + sysconfig.get_config_var("EXT_SUFFIX"))
    assert done.returncode == 0 and path.exists(), done.stdout
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_source(text: str) -> types.ModuleType:
    module = types.ModuleType("coroutines")
    exec(compile(text, "coroutines.py", "exec"), vars(module))
    return module


@pytest.fixture(scope="module", params=["plain", "cython", "generator"])
def made(request, tmp_path_factory) -> types.ModuleType:
    """SOURCE as a module, in one of the three ways."""
    if request.param == "cython":
        return compile_with_cython(tmp_path_factory.mktemp("cython"))
    text = SOURCE
    if request.param == "generator":
        for pattern, new in REWRITES:
            text = re.sub(pattern, new, text, flags=re.MULTILINE)
    return run_source(text)


async def wait(awaitable):
    return await awaitable


def start(loop, coroutine) -> asyncio.Task:
    """A task of this coroutine, or of one that awaits it: from 3.12 on a
    generator is none in asyncio's eyes."""
    if not asyncio.iscoroutine(coroutine):
        coroutine = wait(coroutine)
    return loop.create_task(coroutine)


def test_it_is_what_it_is_meant_to_be(loop, made, request):
    coroutine = made.turn(2)
    wanted = request.node.callspec.params["made"]
    assert wanted == {
        types.CoroutineType: "plain", types.GeneratorType: "generator",
    }.get(type(coroutine), "cython")
    assert loop.run_until_complete(start(loop, coroutine)) == 2


def test_a_result_reaches_it(loop, made):
    future = loop.create_future()
    task = start(loop, made.deep(future, 5))
    run_turns(loop)
    assert task._fut_waiter is future
    future.set_result("value")
    assert loop.run_until_complete(task) == "value"


def test_it_takes_a_turn_for_each_bare_yield(loop, made):
    order = []

    async def tick():
        for number in range(4):
            order.append(number)
            await asyncio.sleep(0)

    ticking = loop.create_task(tick())
    task = start(loop, made.turn(2))
    task.add_done_callback(lambda _: order.append("done"))
    loop.run_until_complete(asyncio.wait([ticking, task]))
    # Two turns, the end in the third, the callback in the fourth.
    assert order == [0, 1, 2, 3, "done"]
    assert task.result() == 2


def test_an_exception_reaches_it_and_leaves_it(loop, made):
    future, seen = loop.create_future(), []
    task = start(loop, made.witness(future, seen))
    run_turns(loop)
    error = LookupError("told")
    future.set_exception(error)
    loop.run_until_complete(asyncio.wait([task]))
    assert task.exception() is error and seen == [error]


def test_its_own_exception_leaves_it(loop, made):
    task = start(loop, made.fail(asyncio.sleep(0)))
    loop.run_until_complete(asyncio.wait([task]))
    assert isinstance(task.exception(), LookupError)
    names = []
    trace = task.exception().__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-1] == "fail"


def test_cancel_reaches_it_with_its_message(loop, made):
    future, seen = loop.create_future(), []
    task = start(loop, made.witness(future, seen))
    run_turns(loop)
    assert task.cancel("why") is True
    with pytest.raises(asyncio.CancelledError) as caught:
        loop.run_until_complete(task)
    assert future.cancelled() and task.cancelled()
    assert caught.value.args == ("why",)
    assert [type(error) for error in seen] == [asyncio.CancelledError]


def test_cancel_before_the_first_step(loop, made):
    seen = []
    task = start(loop, made.witness(loop.create_future(), seen))
    task.cancel("early")
    with pytest.raises(asyncio.CancelledError, match="early"):
        loop.run_until_complete(task)
    assert seen == [] and task.cancelled()


def test_a_cancel_that_is_swallowed(loop, made):
    task = start(loop, made.swallow(loop.create_future()))
    run_turns(loop)
    task.cancel()
    assert loop.run_until_complete(task) == "swallowed"
    assert not task.cancelled() and task.cancelling() == 1


def test_a_clean_up_that_awaits(loop, made):
    seen = []
    task = start(loop, made.clean_up(loop.create_future(), seen))
    run_turns(loop)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert seen == ["cleaned"]


def test_a_timeout_ends_it(loop, made):
    seen = []

    async def main():
        async with asyncio.timeout(0.001):
            await made.clean_up(loop.create_future(), seen)

    with pytest.raises(TimeoutError):
        loop.run_until_complete(main())
    assert seen == ["cleaned"]


def test_a_crowd_of_them(loop, made):
    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(wait(made.turn(n))) for n in range(20)
            ]
        more = await asyncio.gather(*(wait(made.turn(n)) for n in range(20)))
        return [task.result() for task in tasks], more

    assert loop.run_until_complete(main()) == ([*range(20)], [*range(20)])


def test_each_has_its_own_context(loop, made):
    async def main():
        made.VAR.set("main")
        tasks = [start(loop, made.keep_value(n)) for n in range(5)]
        return await asyncio.gather(*tasks), made.VAR.get()

    assert loop.run_until_complete(main()) == ([0, 1, 2, 3, 4], "main")
    assert contextvars.copy_context().get(made.VAR, "unset") == "unset"


def test_it_knows_its_task(loop, made):
    task = start(loop, made.name_of_task())
    task.set_name("by-name")
    assert loop.run_until_complete(task) == "by-name"


class Rubbish:
    def __await__(self):
        yield "no future"

    __iter__ = __await__  # for `yield from`


def test_rubbish_that_it_yields_is_refused(loop, made):
    task = start(loop, made.wait(Rubbish()))
    with pytest.raises(RuntimeError, match="Task got bad yield: 'no future'"):
        loop.run_until_complete(task)


def test_a_future_of_another_loop_is_refused(new_loop, made):
    first, second = new_loop(), new_loop()
    task = start(first, made.wait(second.create_future()))
    with pytest.raises(RuntimeError, match="attached to a different loop"):
        first.run_until_complete(task)


def test_one_that_waits_for_ever_is_reported_when_it_dies(loop, made):
    errors = collect_errors(loop)
    future = loop.create_future()
    task = start(loop, made.wait(future))
    run_turns(loop)
    del task, future
    gc.collect()
    assert [c["message"] for c in errors] == [
        "Task was destroyed but it is pending!"
    ]


@pytest.mark.native_only(reason="only asyncloop counts native steps")
def test_its_steps_are_native(loop, made):
    import asyncloop

    if asyncloop.build_info()["tasks"] != "native" or loop.get_debug():
        pytest.skip("asyncio's own steps were asked for: none to count")
    before = asyncloop._core._native_steps()
    loop.run_until_complete(start(loop, made.turn(100)))
    assert asyncloop._core._native_steps() - before == 101
