"""asyncio.Runner and asyncio.run on the loop."""

import asyncio
import sys

import pytest

from support import loops


def test_a_runner_runs_many_coroutines_on_one_loop(kind):
    seen = []

    async def main(number):
        seen.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return number

    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        results = [runner.run(main(n)) for n in range(3)]
        loop = runner.get_loop()
        assert not loop.is_closed()
    assert results == [0, 1, 2]
    assert set(seen) == {loop}
    assert loop.is_closed()


def test_a_runner_cancels_what_is_left_when_it_closes(kind):
    trace = []

    async def forever():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            trace.append("cancelled")
            raise

    async def main():
        main.task = asyncio.create_task(forever())
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        runner.run(main())
        trace.append("closing")
    assert trace == ["closing", "cancelled"]


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="run's loop_factory is new in 3.12"
)
def test_asyncio_run_takes_the_loop(kind):
    async def main():
        await asyncio.sleep(0)
        return type(asyncio.get_running_loop())

    made = asyncio.run(main(), loop_factory=lambda: loops.new(kind))
    assert made is type_of(kind)


def type_of(kind):
    loop = loops.new(kind)
    loop.close()
    return type(loop)
