"""Profilers and monitors that people point at a program."""

import ast
import os
import re
import subprocess
import sys

import pytest

NESTED = """
async def leaf():
    print("ready", flush=True)
    {leaf}
async def middle():
    await leaf()
async def main():
    await middle()
async def top():
    await asyncio.create_task(main(), name="the-inner-task")
loop = new_loop()
"""


def py_spy() -> str:
    """The program of the package, which has no Python side."""
    return os.path.join(os.path.dirname(sys.executable), "py-spy")


def dump(pid: int) -> list[str]:
    """The frames of a process's only thread, the innermost first."""
    done = subprocess.run(
        [py_spy(), "dump", "--pid", str(pid)],
        text=True, timeout=30, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # It is no program for a sanitizer's library.
        env={n: v for n, v in os.environ.items() if n != "LD_PRELOAD"},
    )
    if done.returncode and re.search("ermission|not permitted", done.stdout):
        pytest.skip("this process may not read another one's memory")
    assert done.returncode == 0, done.stdout
    return re.findall(r"^ +(\S+) \(", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("runner", ["loop", "Runner"])
def test_py_spy_sees_the_coroutines_that_run(child, runner):
    """From the innermost frame to the program, in one piece."""
    start = {
        "loop": "loop.run_until_complete(top())",
        "Runner": "asyncio.Runner(loop_factory=lambda: loop).run(top())",
    }[runner]
    process = child.start(NESTED.format(leaf="while True: pass") + start)
    try:
        assert process.stdout.readline() == "ready\n"
        frames = dump(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert frames[:3] == ["leaf", "middle", "main"]
    # A task of its own: who waits for it is not on the stack.
    assert "top" not in frames
    assert frames[-1] == "<module>"


def test_py_spy_sees_where_a_waiting_loop_was_called(child):
    process = child.start(
        NESTED.format(leaf="await asyncio.sleep(1000)") + """
def run():
    loop.run_until_complete(top())
run()
""")
    try:
        assert process.stdout.readline() == "ready\n"
        frames = dump(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert frames[-2:] == ["run", "<module>"]
    assert not {"leaf", "middle", "main"} & set(frames)


PYINSTRUMENT = """
import pyinstrument, time
async def busy_leaf():
    end = time.perf_counter() + 0.1
    while time.perf_counter() < end:
        pass
    await asyncio.sleep(0)
async def idle_leaf():
    await asyncio.sleep(0.1)
async def main():
    profiler = pyinstrument.Profiler(interval=0.001, async_mode="enabled")
    with profiler:
        await busy_leaf()
        await asyncio.create_task(idle_leaf())
        await idle_leaf()
    return profiler.last_session
def walk(frame, path=()):
    path += (frame.function,)
    yield path, frame.time
    for child in frame.children:
        yield from walk(child, path)
loop = new_loop()
session = loop.run_until_complete(main())
loop.close()
total = {"busy": 0, "awaited": 0}
for path, seconds in walk(session.root_frame()):
    if path[-1] == "busy_leaf":
        total["busy"] += seconds
    if path[-1] == "[await]" and "idle_leaf" in path:
        total["awaited"] += seconds
print(total)
"""


def test_pyinstrument_tells_awaits_from_work(child):
    """Its asynchronous mode knows a coroutine by its context."""
    total = ast.literal_eval(child.succeed(PYINSTRUMENT))
    assert 0.05 <= total["busy"], total
    # Once in the task itself, once in one of its making.
    assert 0.15 <= total["awaited"], total


PROFILER = """
told = []
def profile(frame, event, argument):
    # Where each loop is when it has nothing to do.
    if frame.f_code.co_name in ("beside_tasks", "select") and not told:
        told.append(event)
        DO
loop = new_loop()
sys.setprofile(profile)
try:
    loop.run_until_complete(asyncio.sleep(0.01))
    print("slept", told)
except LookupError as error:
    print("raised", error, told)
sys.setprofile(None)
print(loop.is_running(), loop.run_until_complete(asyncio.sleep(0, "usable")))
loop.close()
"""


def test_a_profiler_that_raises_while_the_loop_waits(child):
    out = child.run(PROFILER.replace("DO", "raise LookupError('told')"))
    assert out.stdout == "raised told ['call']\nFalse usable\n", out.stderr


@pytest.mark.native_only(reason="asyncio is in its selector already and "
                                "does not wake for it")
def test_a_profiler_that_schedules_before_the_loop_waits(child):
    out = child.succeed(PROFILER.replace(
        "DO", "loop.call_soon(told.append, 'ran at once')"
    ))
    assert out == "slept ['call', 'ran at once']\nFalse usable\n"


AIOMONITOR = """
import aiomonitor
async def leaf():
    await asyncio.get_running_loop().create_future()
async def worker():
    await leaf()
async def ask(monitor):
    rows = {row.name: row
            for row in monitor.format_running_task_list("", False)}
    for name in sorted(rows):
        print(rows[name].state, name, rows[name].coro)
    stack = monitor.format_running_task_stack(rows["worker-1"].task_id)
    print([line.split()[-1] for item in stack
           for line in str(item.content).splitlines() if " in " in line])
    await monitor.cancel_monitored_task(rows["worker-1"].task_id)
def in_monitor(monitor):
    # Where the commands of its terminal run: its own thread and loop.
    asyncio.run_coroutine_threadsafe(
        ask(monitor), monitor._ui_loop).result(20)
async def main():
    asyncio.current_task().set_name("the-root")
    with aiomonitor.start_monitor(
        asyncio.get_running_loop(), port=0, webui_port=0,
        console_enabled=False, hook_task_factory=HOOK,
    ) as monitor:
        tasks = [asyncio.create_task(worker(), name=f"worker-{n}")
                 for n in range(2)]
        await asyncio.sleep(0)
        await asyncio.to_thread(in_monitor, monitor)
        print(tasks[0].done(), tasks[1].cancelled())
        tasks[0].cancel()
        await asyncio.wait(tasks)
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("hook", [False, True])
def test_aiomonitor_lists_and_cancels_tasks(child, hook):
    """With its hook it makes the tasks itself, of a class of its own."""
    *listed, stack, end = child.succeed(
        AIOMONITOR.replace("HOOK", str(hook))
    ).splitlines()
    assert listed == [
        "PENDING the-root main()",
        "PENDING worker-0 worker()", "PENDING worker-1 worker()",
    ]
    assert ast.literal_eval(stack)[-2:] == ["worker", "leaf"]
    # The first waits on, the second was cancelled from the monitor.
    assert end == "False True"
