"""What is alive when the interpreter ends must not take it down.

The last collections free modules and objects in no certain order, so the
extension's module may go before the objects it made.
"""

import pytest

# Each leaves something behind; `keep` says where.
LEFTOVERS = {
    "pending task": """
        async def forever():
            await loop.create_future()
        left = [loop.create_task(forever())]
        turn()
    """,
    "task waiting for a task": """
        async def inner():
            await loop.create_future()
        async def outer():
            await loop.create_task(inner())
        left = [loop.create_task(outer())]
        turn()
    """,
    "future with a waiter": """
        left = [loop.create_future()]
        async def wait():
            await left[0]
        loop.create_task(wait())
        turn()
    """,
    "done future": """
        left = [loop.create_future()]
        left[0].set_result(left)
    """,
    "failed future": """
        left = [loop.create_future()]
        left[0].set_exception(ValueError())
    """,
    "sleeping task": """
        left = [loop.create_task(asyncio.sleep(1000))]
        turn()
    """,
    "gather": """
        async def main():
            await asyncio.gather(*(asyncio.sleep(1000) for _ in range(5)))
        left = [loop.create_task(main())]
        turn()
    """,
    "handles": """
        left = [loop.call_soon(int), loop.call_later(5, int, 1, 2, 3, 4, 5),
                loop.call_soon_threadsafe(int)]
    """,
    "handles that ran": """
        left = [loop.call_soon(int), loop.call_later(0, int)]
        turn()
    """,
    "bound methods": """
        left = [loop.call_soon, loop.call_later, loop.create_task,
                loop.run_forever, loop.time]
    """,
    "reader": """
        ends = os.pipe()
        loop.add_reader(ends[0], int)
        left = [loop._signal_handlers]
        turn()
    """,
    "signal handler": """
        loop.add_signal_handler(signal.SIGUSR1, int)
        left = [loop._signal_handlers.get(signal.SIGUSR1)]
    """,
    "generator": """
        async def numbers():
            while True:
                yield 1
        left = [numbers()]
        async def main():
            await left[0].__anext__()
        loop.run_until_complete(main())
    """,
    "views of the loop's insides": """
        left = [loop._ready, loop._scheduled, loop._asyncgens]
    """,
    "loop alone": """
        left = [loop]
    """,
    "subclass": """
        class Mine(Loop):
            def call_soon(self, *args, **keywords):
                return super().call_soon(*args, **keywords)
        mine = Mine()
        left = [mine, mine.create_future(), mine.call_soon(int)]
        mine.close()
    """,
}

KEEP = {
    "a global": "kept = left",
    "a cycle": "left.append(left)",
    "a module": "sys.kept = left",
}


@pytest.mark.native_only(reason="the order in which our module goes; asyncio "
                                "has no module of its own to lose")
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize("what", LEFTOVERS)
def test_leftovers_at_exit_are_survived(child, what, closed):
    """All places in one program each: what is kept where changes the
    order in which things go."""
    import textwrap

    body = textwrap.indent(textwrap.dedent(LEFTOVERS[what]), "    ")
    for where in KEEP.values():
        done = child.run(f"""
import logging, warnings
logging.disable()
warnings.simplefilter("ignore")
loop = new_loop()
def turn():
    loop.call_soon(loop.stop)
    loop.run_forever()
if True:
{body}
{where}
if {closed}:
    loop.close()
print("end")
""")
        assert (done.returncode, done.stdout) == (0, "end\n"), (
            f"kept in {where!r}: {done.returncode}\n{done.stderr}"
        )


def test_a_loop_used_by_a_finalizer_at_exit(child):
    done = child.run("""
        import logging
        logging.disable()
        loop = new_loop()
        class Late:
            def __del__(self):
                try:
                    loop.call_soon(int)
                    loop.create_future()
                    loop.time()
                except Exception:
                    pass
        late = Late()
        late.me = late
        sys.late = Late()
        loop.close()
        print("end")
    """)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_a_loop_run_by_an_exit_function(child):
    done = child.run("""
        import atexit
        loop = new_loop()
        def late():
            print(loop.run_until_complete(asyncio.sleep(0.001, "late")))
            loop.close()
        atexit.register(late)
        print("end")
    """)
    assert (done.returncode, done.stdout) == (0, "end\nlate\n"), done.stderr


def test_the_end_with_an_allocator_that_overwrites_what_is_freed(child):
    """Lists of spare objects outlive the types of what is in them."""
    out = child.succeed("""
        loop = new_loop()
        async def main():
            for _ in range(20):
                await asyncio.gather(asyncio.sleep(0.0001), asyncio.sleep(0))
                gc.collect(0)  # or the types are collected later
        loop.run_until_complete(main())
        loop.close()
        print("end")
    """, PYTHONMALLOC="debug")
    assert out == "end\n"
