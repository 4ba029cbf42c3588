"""Ctrl-C, sent as a real SIGINT to a process of its own."""

import signal
import subprocess

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


def test_ctrl_c_ends_an_idle_loop(child):
    process = child.start("""
        loop = new_loop()
        loop.call_soon(lambda: print("ready", flush=True))
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted", loop.is_running())
        print(loop.run_until_complete(asyncio.sleep(0, "usable")))
        loop.close()
    """)
    interrupt(process)
    assert ended(process) == ("interrupted False\nusable\n", "")


def test_ctrl_c_ends_a_loop_that_sleeps_for_a_timer(child):
    process = child.start("""
        loop = new_loop()
        loop.call_later(1000, loop.stop)
        loop.call_soon(lambda: print("ready", flush=True))
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
        loop.close()
    """)
    interrupt(process)
    assert ended(process) == ("interrupted\n", "")


def test_ctrl_c_ends_a_busy_loop(child):
    process = child.start("""
        loop = new_loop()
        def spin():
            loop.call_soon(spin)
        loop.call_soon(spin)
        loop.call_soon(lambda: print("ready", flush=True))
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
        loop.close()
    """)
    interrupt(process)
    assert ended(process) == ("interrupted\n", "")


def test_ctrl_c_ends_a_loop_whose_callbacks_are_builtins(child):
    """Little Python code runs here that would look at signals itself."""
    process = child.start("""
        import collections
        loop = new_loop()
        ring = collections.deque(range(3))
        def feed():
            for _ in range(1000):
                loop.call_soon(ring.rotate, 1)
            loop.call_soon(feed)
        loop.call_soon(feed)
        loop.call_soon(lambda: print("ready", flush=True))
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
        loop.close()
    """)
    interrupt(process)
    assert ended(process) == ("interrupted\n", "")


RUNNER = """
    async def main():
        print("ready", flush=True)
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("cancelled")
            raise

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_ctrl_c_cancels_the_main_task_of_a_runner(child):
    process = child.start(RUNNER)
    interrupt(process)
    assert ended(process) == ("cancelled\ninterrupted\n", "")


def test_ctrl_c_on_a_busy_task_cancels_it(child):
    process = child.start("""
        async def main():
            print("ready", flush=True)
            try:
                while True:
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                print("cancelled")
                raise

        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """)
    interrupt(process)
    assert ended(process) == ("cancelled\ninterrupted\n", "")


def test_a_second_ctrl_c_raises_at_once(child):
    process = child.start("""
        async def main():
            print("ready", flush=True)
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                print("again", flush=True)
                # Short ones: a signal just before a sleep does not end it.
                while True:
                    time.sleep(0.01)

        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """)
    interrupt(process)
    interrupt(process, "again")
    assert ended(process) == ("interrupted\n", "")


def test_a_second_ctrl_c_ends_an_idle_loop(child):
    """The main task took the first one for itself and waits on."""
    process = child.start("""
        async def main():
            print("ready", flush=True)
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                pass
            asyncio.get_running_loop().call_later(
                0.05, lambda: print("again", flush=True))
            await asyncio.get_running_loop().create_future()

        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("interrupted")
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
    process = child.start("""
        loop = new_loop()
        loop.call_soon(lambda: print("ready", flush=True))
        loop.run_forever()
    """)
    interrupt(process)
    _, err = ended(process)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_sigterm_ends_the_program_unless_handled(child):
    process = child.start("""
        loop = new_loop()
        loop.call_soon(lambda: print("ready", flush=True))
        loop.run_forever()
    """)
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
        loop.call_soon(lambda: print("ready", flush=True))
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()
        loop.close()
    """)
    interrupt(process)
    assert ended(process) == ("interrupted\n", "")
