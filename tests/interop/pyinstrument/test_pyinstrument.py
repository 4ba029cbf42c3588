"""pyinstrument sees through the awaits of a program on the loop."""

import asyncio
import time

import pytest
from pyinstrument import Profiler


def work(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def inner():
    work(0.02)
    await asyncio.sleep(0.05)
    work(0.02)


async def middle():
    await inner()


async def another():
    for _ in range(10):
        work(0.005)
        await asyncio.sleep(0)


def profile(run, mode: str, *others):
    async def main():
        tasks = [asyncio.create_task(other()) for other in others]
        with Profiler(interval=0.001, async_mode=mode) as profiler:
            await middle()
        await asyncio.gather(*tasks)
        return profiler

    text = run(main()).output_text(show_all=True, unicode=True)
    assert text
    return text


@pytest.mark.parametrize("mode", ["strict", "enabled"])
def test_awaited_frames_are_shown(run, mode):
    text = profile(run, mode)
    for name in ("middle", "inner", "work"):
        assert name in text, text


def test_the_time_in_an_await_is_shown(run):
    text = profile(run, "strict")
    assert "[await]" in text or "sleep" in text, text


def test_the_frames_of_other_tasks_are_left_out(run):
    text = profile(run, "strict", another)
    assert "another" not in text, text


def test_strict_refuses_a_second_profiler_of_the_same_task(run):
    async def main():
        with Profiler(async_mode="strict"):
            with pytest.raises(RuntimeError):
                Profiler(async_mode="strict").start()

    run(main())
