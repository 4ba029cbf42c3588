"""Loops, handles and tasks in cycles, collected or dropped half-way."""

import pytest

QUIET = """
import warnings
warnings.simplefilter("ignore")
"""


CYCLES = QUIET + """
import weakref

def make(kept, closed):
    class Mine(Loop):
        def tick(self):
            pass
    loop = Mine()
    handles = [loop.call_soon(loop.tick) for _ in range(5)]
    timers = [loop.call_later(50, loop.tick) for _ in range(5)]
    loop.me = loop
    loop.set_exception_handler(lambda *_, own=loop: None)
    loop.set_task_factory(lambda *_, own=loop: None)
    if kept:
        loop.kept = handles, timers
    if closed:
        loop.close()
    return weakref.ref(loop), weakref.ref(Mine)

def collected(kept, closed):
    dead = [make(kept, closed) for _ in range(20)]
    for _ in range(3):
        gc.collect()
    print([r() for pair in dead for r in pair] == [None] * 40)
"""


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
def test_a_loop_in_cycles_with_its_callbacks_is_collected(child, closed):
    assert child.succeed(f"{CYCLES}collected(False, {closed})") == "True\n"


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
def test_a_loop_in_cycles_with_kept_handles_is_collected(child, closed):
    """The handles are in an attribute of the loop that they belong to."""
    assert child.succeed(f"{CYCLES}collected(True, {closed})") == "True\n"


def test_a_loop_dropped_while_it_holds_everything(child):
    out = child.succeed(QUIET + """
import logging
logging.disable()
for _ in range(20):
    loop = new_loop()
    ends = os.pipe()
    loop.add_reader(ends[0], loop.stop)
    loop.add_writer(ends[1], int)
    loop.call_soon(loop.stop)
    for n in range(100):
        loop.call_later(n, loop.stop)
    loop.create_task(asyncio.sleep(100))
    future = loop.create_future()
    future.add_done_callback(lambda _, own=loop: None)
    loop.run_forever()
    loop.call_soon_threadsafe(loop.stop)
    del loop, future
    gc.collect()
    for fd in ends:
        os.close(fd)
print("done")
""")
    assert out == "done\n"


@pytest.mark.native_only(reason="what asyncio's loop is made of is finalized "
                                "with it: a revived one cannot be closed")
def test_a_finalizer_that_revives_a_loop(child):
    out = child.succeed(QUIET + """
revived = []
class Mine(Loop):
    def __del__(self):
        revived.append(self)
for _ in range(3):
    loop = Mine()
    loop.me = loop
    loop.call_later(100, loop.stop)
    del loop
    gc.collect()
print(len(revived))
for loop in revived:
    if not loop.is_closed():
        loop.run_until_complete(asyncio.sleep(0.001))
        loop.close()
del loop
revived.clear()
gc.collect()
print("done")
""")
    assert out == "3\ndone\n"


@pytest.mark.native_only(reason="asyncio's loop is not usable without its "
                                "__init__, and says so in many ways")
def test_an_init_that_is_not_called_or_called_twice(child):
    out = child.succeed(QUIET + """
class NoInit(Loop):
    def __init__(self):
        pass
class Twice(Loop):
    def __init__(self):
        super().__init__()
        try:
            super().__init__()
        except RuntimeError:
            pass
for kind in (NoInit, Twice):
    loop = kind()
    for name in ("time", "is_running", "is_closed", "get_debug", "stop"):
        try:
            getattr(loop, name)()
        except (AttributeError, RuntimeError):
            pass
    for name in ("run_forever", "close"):
        try:
            getattr(loop, name)()
        except (AttributeError, RuntimeError):
            pass
    del loop
    gc.collect()
print("done")
""")
    assert out == "done\n"


def test_an_init_that_fails_leaves_nothing(child):
    out = child.succeed(QUIET + """
class Fails(Loop):
    def __init__(self):
        super().__init__()
        raise LookupError
from support.leakcheck import open_fds
new_loop().close()
before = open_fds()
for _ in range(50):
    try:
        Fails()
    except LookupError:
        pass
    gc.collect()
print(open_fds() == before)
""")
    assert out == "True\n"


def test_collecting_while_the_loop_polls_in_another_thread(child):
    out = child.succeed(QUIET + """
loop = new_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()
for _ in range(200):
    handle = loop.call_soon_threadsafe(int)
    cycle = [handle]
    cycle.append(cycle)
    del cycle, handle
    gc.collect()
loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.close()
print("done")
""")
    assert out == "done\n"


def test_exit_while_another_thread_runs_a_loop(child):
    """A daemon thread sleeps in the poll when the interpreter ends."""
    done = child.run("""
        loop = new_loop()
        started = threading.Event()
        loop.call_soon(started.set)
        loop.call_later(0.05, int)
        threading.Thread(target=loop.run_forever, daemon=True).start()
        started.wait()
        print("bye")
    """)
    assert (done.returncode, done.stdout) == (0, "bye\n"), done.stderr


def test_exit_in_the_middle_of_a_callback(child):
    done = child.run("""
        loop = new_loop()
        loop.call_later(100, print)
        loop.call_soon(sys.exit, 4)
        loop.call_soon(print, "never")
        loop.run_forever()
    """)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr


def test_a_task_destroyed_in_the_middle_of_its_step(child):
    out = child.succeed(QUIET + """
import logging
logging.disable()
loop = new_loop()
class Awaitable:
    def __await__(self):
        gc.collect()
        yield
        gc.collect()
async def work():
    await Awaitable()
    await asyncio.sleep(0)
    await Awaitable()
gc.set_threshold(1)
async def main():
    for _ in range(100):
        await asyncio.create_task(work())
loop.run_until_complete(main())
loop.close()
print("done")
""")
    assert out == "done\n"


def test_a_coroutine_that_yields_rubbish(child):
    out = child.succeed(QUIET + """
loop = new_loop()
class Rubbish:
    def __init__(self, thing):
        self.thing = thing
    def __await__(self):
        yield self.thing
async def wait(thing):
    await Rubbish(thing)
failed = 0
for thing in (1, "x", object(), loop.create_future(), int):
    try:
        loop.run_until_complete(wait(thing))
    except (RuntimeError, LookupError, TypeError):
        failed += 1
print(failed)
loop.close()
""")
    assert out == "5\n"


def test_a_false_future_that_fails_is_reported(child):
    out = child.succeed("""
        loop = new_loop()
        errors = []
        loop.set_exception_handler(lambda _, c: errors.append(c["message"]))
        class Liar:
            _asyncio_future_blocking = True
            _loop = loop
            def __await__(self):
                yield self
            def get_loop(self):
                return loop
            def add_done_callback(self, *_, **__):
                raise LookupError
        async def wait():
            await Liar()
        task = loop.create_task(wait())
        for _ in range(3):
            loop.call_soon(loop.stop)
            loop.run_forever()
        print(len(errors), task.done())
        task._log_destroy_pending = False
        loop.close()
    """)
    assert out == "1 False\n"


def test_a_task_that_awaits_itself(child):
    out = child.succeed("""
        loop = new_loop()
        async def main():
            try:
                await asyncio.current_task()
            except RuntimeError as error:
                return str(error).startswith("Task cannot await on itself")
        print(loop.run_until_complete(main()))
        loop.close()
    """)
    assert out == "True\n"


def test_a_signal_storm_while_the_loop_works(child):
    out = child.succeed("""
        loop = new_loop()
        signal.signal(signal.SIGALRM, lambda *_: gc.collect(0))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        async def main():
            for n in range(300):
                await asyncio.gather(asyncio.sleep(0.0001),
                                     asyncio.sleep(0))
        loop.run_until_complete(main())
        signal.setitimer(signal.ITIMER_REAL, 0)
        loop.close()
        print("done")
    """)
    assert out == "done\n"
