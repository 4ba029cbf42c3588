"""Ctrl-C, sent as a real SIGINT to a process of its own."""

import signal
import subprocess
import textwrap

import pytest

SECONDS = 30


def interrupt(process: subprocess.Popen, word: str = "ready") -> None:
    """Send SIGINT once the program has said that it is there."""
    assert process.stdout.readline().strip() == word
    process.send_signal(signal.SIGINT)


def ended(process: subprocess.Popen) -> tuple[str, str]:
    try:
        return process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"SIGINT did not end the program\n{out}{err}")


# What a loop does when Ctrl-C comes.
OCCUPATIONS = {
    "nothing": "",
    "a timer": "loop.call_later(1000, loop.stop)",
    "callbacks": """
def spin():
    loop.call_soon(spin)
loop.call_soon(spin)
""",
    # Little Python code runs here that would look at signals itself.
    "builtins": """
import collections
ring = collections.deque(range(3))
def feed():
    for _ in range(1000):
        loop.call_soon(ring.rotate, 1)
    loop.call_soon(feed)
loop.call_soon(feed)
""",
}

# It says that it is there in its first turn.
READY = """
loop.call_soon(lambda: print("ready", flush=True))
"""

UNTIL_INTERRUPTED = READY + """
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted", loop.is_running())
print(loop.run_until_complete(asyncio.sleep(0, "usable")))
loop.close()
"""


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_ctrl_c_ends_a_loop_that_has_to_do(child, occupation):
    process = child.start(
        "loop = new_loop()\n" + OCCUPATIONS[occupation] + UNTIL_INTERRUPTED
    )
    interrupt(process)
    assert ended(process) == ("interrupted False\nusable\n", "")


# The main task of a runner: what it waits for, and what it does then.
RUNNER = """
async def main():
    print("ready", flush=True)
    try:
        WAITS
    except asyncio.CancelledError:
        THEN

try:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
SLEEPS = "await asyncio.sleep(1000)"


def start_runner(child, waits: str, then: str) -> subprocess.Popen:
    """Start RUNNER with these statements in it."""
    program = RUNNER
    for name, statements in (("WAITS", waits), ("THEN", then)):
        lines = textwrap.dedent(statements).strip()
        program = program.replace(
            f"        {name}\n", textwrap.indent(lines, " " * 8) + "\n"
        )
    return child.start(program)


@pytest.mark.parametrize("waits", [
    pytest.param(SLEEPS, id="asleep"),
    pytest.param("while True: await asyncio.sleep(0)", id="busy"),
])
def test_ctrl_c_cancels_the_main_task_of_a_runner(child, waits):
    process = start_runner(child, waits, """
        print("cancelled")
        raise
    """)
    interrupt(process)
    assert ended(process) == ("cancelled\ninterrupted\n", "")


def test_a_second_ctrl_c_raises_at_once(child):
    process = start_runner(child, SLEEPS, """
        print("again", flush=True)
        # Short ones: a signal just before a sleep does not end it.
        while True:
            time.sleep(0.01)
    """)
    interrupt(process)
    interrupt(process, "again")
    assert ended(process) == ("interrupted\n", "")


def test_a_second_ctrl_c_ends_an_idle_loop(child):
    """The main task took the first one for itself and waits on."""
    process = start_runner(child, SLEEPS, """
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, lambda: print("again", flush=True))
        await loop.create_future()
    """)
    interrupt(process)
    interrupt(process, "again")
    assert ended(process) == ("interrupted\n", "")


def test_a_handler_of_the_loop_gets_ctrl_c(child):
    process = child.start("""
        loop = new_loop()
        loop.add_signal_handler(signal.SIGINT, loop.stop)
        loop.call_soon(lambda: print("ready", flush=True))
        loop.run_forever()
        print("stopped", loop.remove_signal_handler(signal.SIGINT))
        loop.close()
    """)
    interrupt(process)
    assert ended(process) == ("stopped True\n", "")


def test_an_uncaught_ctrl_c_ends_the_program_as_usual(child):
    process = child.start("loop = new_loop()" + READY + "loop.run_forever()")
    interrupt(process)
    _, err = ended(process)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_sigterm_ends_the_program_unless_handled(child):
    process = child.start("loop = new_loop()" + READY + "loop.run_forever()")
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    ended(process)
    assert process.returncode == -signal.SIGTERM


def test_signals_reach_the_main_threads_loop_while_another_runs(child):
    process = child.start("""
other = new_loop()
thread = threading.Thread(target=other.run_forever)
thread.start()
loop = new_loop()
""" + UNTIL_INTERRUPTED + """
other.call_soon_threadsafe(other.stop)
thread.join()
other.close()
""")
    interrupt(process)
    assert ended(process) == ("interrupted False\nusable\n", "")
