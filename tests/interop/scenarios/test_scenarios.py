"""The scenarios leave the same trace on both loops."""

import asyncio

import pytest
from interop.scenarios.scenarios import KEPT, SCENARIOS
from support import loops


def trace_of(scenario, kind: str) -> list[str]:
    lines: list[str] = []
    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        runner.run(scenario(lambda what: lines.append(str(what))))
    KEPT.clear()
    return lines


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_the_trace_is_that_of_stock_asyncio(kind, scenario):
    trace = trace_of(scenario, kind)
    assert trace
    assert trace == trace_of(scenario, "asyncio")


def test_a_runner_runs_one_coroutine_after_another(kind):
    async def name_of_task():
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        first = runner.run(name_of_task())
        assert runner.run(name_of_task()) is first is runner.get_loop()
    assert first.is_closed()


def test_a_runner_cancels_what_is_left(kind):
    lines = []

    async def endless():
        try:
            await asyncio.sleep(1000)
        finally:
            lines.append("cancelled")

    async def main():
        lines.append(asyncio.create_task(endless()))
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        runner.run(main())
    assert lines[1:] == ["cancelled"]
    assert lines[0].cancelled()
