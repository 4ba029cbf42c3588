"""What looks at tasks from outside: call graphs, `python -m asyncio ps`."""

import asyncio
import subprocess
import sys

import pytest

from support.loops import PY314, run_turns

pytestmark = pytest.mark.skipif(
    not PY314, reason="call graphs and asyncio's ps are new in 3.14"
)

SLEEPERS = """
async def leaf():
    await asyncio.get_running_loop().create_future()
async def middle():
    await leaf()
async def main():
    async with asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(middle(), name=f"sleeper-{number}")
        await asyncio.sleep(0)
        print("ready", flush=True)
loop = new_loop()
task = loop.create_task(main(), name="the-main-task")
loop.run_until_complete(task)
"""


def names(graph):
    return [entry.frame.f_code.co_name for entry in graph.call_stack]


def test_the_call_graph_of_a_waiting_task(loop):
    future = loop.create_future()

    async def leaf():
        await future

    async def middle():
        await leaf()

    async def top(task):
        await task

    inner = loop.create_task(middle(), name="inner")
    outers = [
        loop.create_task(top(inner), name=f"outer-{n}") for n in range(3)
    ]
    run_turns(loop, 2)
    graph = asyncio.capture_call_graph(inner)
    assert graph.future is inner
    assert names(graph) == ["leaf", "middle"]
    assert {g.future for g in graph.awaited_by} == set(outers)
    assert [names(g) for g in graph.awaited_by] == [["top"]] * 3
    below = asyncio.capture_call_graph(future)
    assert [g.future for g in below.awaited_by] == [inner]
    text = asyncio.format_call_graph(inner)
    assert "outer-0" in text and "leaf" in text
    future.set_result(None)
    loop.run_until_complete(asyncio.wait(outers))
    assert asyncio.capture_call_graph(inner).awaited_by == ()
    assert asyncio.capture_call_graph(future).awaited_by == ()


def test_a_cancelled_waiter_leaves_the_graph(loop):
    future = loop.create_future()

    async def wait():
        await asyncio.shield(future)

    tasks = [loop.create_task(wait()) for _ in range(2)]
    run_turns(loop)
    tasks[0].cancel()
    run_turns(loop, 3)
    seen = asyncio.capture_call_graph(future).awaited_by
    assert tasks[0] not in {g.future for g in seen}
    future.set_result(None)
    loop.run_until_complete(tasks[1])


def test_the_call_graph_of_the_current_task(loop):
    async def leaf():
        return asyncio.capture_call_graph()

    async def middle():
        return await leaf()

    graph = loop.run_until_complete(middle())
    assert names(graph)[:2] == ["leaf", "middle"]
    assert graph.awaited_by == ()


@pytest.mark.parametrize("make", ["gather", "wait", "group"])
def test_the_graph_of_a_crowd(loop, make):
    future = loop.create_future()
    tasks = []

    async def child():
        await future

    async def main():
        tasks.extend(loop.create_task(child()) for _ in range(3))
        if make == "gather":
            await asyncio.gather(*tasks)
        elif make == "wait":
            await asyncio.wait(tasks)
        else:
            async with asyncio.TaskGroup() as group:
                tasks[:] = [group.create_task(child()) for _ in range(3)]

    main_task = loop.create_task(main())
    run_turns(loop, 3)
    for task in tasks:
        graph = asyncio.capture_call_graph(task)
        assert names(graph) == ["child"]
        assert len(graph.awaited_by) == 1
    future.set_result(None)
    loop.run_until_complete(main_task)
    run_turns(loop, 2)


def ask(command, pid):
    """The output of `python -m asyncio COMMAND PID`, or the reason why not."""
    done = subprocess.run(
        [sys.executable, "-m", "asyncio", command, str(pid)],
        text=True, timeout=30, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if done.returncode and "ermission" in done.stdout:
        pytest.skip("this process may not read another one's memory")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("command", ["ps", "pstree"])
def test_tasks_seen_from_another_process(child, command):
    process = child.start(SLEEPERS)
    try:
        assert process.stdout.readline() == "ready\n"
        out = ask(command, process.pid)
    finally:
        process.kill()
        process.communicate()
    for text in ("the-main-task", "sleeper-0", "sleeper-1", "leaf", "middle"):
        assert text in out, out
    if command == "pstree":
        lines = [line for line in out.splitlines() if "(T)" in line]
        assert len(lines) == 3, out
