"""Asynchronous generators: hooks, finalization, shutdown."""

import asyncio
import gc
import sys

import pytest

from support.loops import collect_errors, run_turns


async def numbers(closed: list):
    try:
        for number in range(100):
            yield number
    finally:
        await asyncio.sleep(0)
        closed.append("closed")


def test_the_hooks_are_set_while_the_loop_runs_and_restored(loop):
    before = sys.get_asyncgen_hooks()
    seen = []
    loop.call_soon(lambda: seen.append(sys.get_asyncgen_hooks()))
    run_turns(loop)
    assert seen[0].firstiter is not None
    assert seen[0].finalizer is not None
    assert sys.get_asyncgen_hooks() == before


def test_hooks_of_the_user_are_restored_after_a_failing_run(loop):
    def firstiter(generator):
        pass

    def fail():
        raise KeyboardInterrupt

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=firstiter, finalizer=None)
    try:
        loop.call_soon(fail)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert sys.get_asyncgen_hooks() == (firstiter, None)
    finally:
        sys.set_asyncgen_hooks(*before)


def test_a_generator_in_use_is_known_to_the_loop(loop):
    async def main():
        generator = numbers([])
        await generator.__anext__()
        known = len(loop._asyncgens)
        await generator.aclose()
        return known

    assert loop.run_until_complete(main()) == 1


def test_a_dropped_generator_is_closed_by_the_loop(loop):
    closed = []

    async def main():
        async for number in numbers(closed):
            if number == 2:
                break
        gc.collect()
        while not closed:
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert closed == ["closed"]


def test_a_generator_dropped_in_another_thread_is_closed_by_the_loop(loop):
    closed = []

    async def main():
        box = [numbers(closed)]
        await box[0].__anext__()
        await asyncio.to_thread(box.clear)
        while not closed:
            await asyncio.sleep(0.001)

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    assert closed == ["closed"]


def test_shutdown_closes_every_generator(loop):
    closed = []
    generators = [numbers(closed) for _ in range(3)]

    async def main():
        for generator in generators:
            await generator.__anext__()

    loop.run_until_complete(main())
    assert closed == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert closed == ["closed"] * 3


def test_shutdown_without_generators_is_fine(loop):
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert len(loop._asyncgens) == 0


def test_shutdown_reports_a_generator_that_fails_to_close(loop):
    errors = collect_errors(loop)

    async def bad():
        try:
            yield 1
        finally:
            raise LookupError("in finally")

    generator = bad()

    async def main():
        await generator.__anext__()

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert "error occurred during closing of asynchronous generator" in (
        errors[0]["message"]
    )
    assert errors[0]["asyncgen"] is generator
    assert isinstance(errors[0]["exception"], LookupError)


def test_a_generator_started_after_the_shutdown_is_warned_of(loop):
    async def main():
        await loop.shutdown_asyncgens()
        generator = numbers([])
        with pytest.warns(ResourceWarning, match=(
            "was scheduled after loop.shutdown_asyncgens\\(\\) call"
        )):
            await generator.__anext__()
        await generator.aclose()
        return "warned"

    assert loop.run_until_complete(main()) == "warned"


def test_a_generator_started_outside_is_none_of_the_loops(loop):
    async def plain():
        yield 1

    generator = plain()
    with pytest.raises(StopIteration):
        generator.__anext__().send(None)
    assert len(loop._asyncgens) == 0
    with pytest.raises(StopIteration):
        generator.aclose().send(None)


def test_generators_that_ended_or_were_dropped_are_forgotten(loop):
    async def plain():
        yield 1

    async def main():
        for _ in range(3):
            async for _ in plain():
                pass
        unfinished = [plain() for _ in range(3)]
        for generator in unfinished:
            await generator.__anext__()
        while_alive = len(loop._asyncgens)
        del generator, unfinished
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return while_alive, len(loop._asyncgens)

    assert loop.run_until_complete(main()) == (3, 0)


def test_a_generator_may_end_while_the_known_ones_are_walked_over(loop):
    async def plain():
        yield 1

    async def main():
        generators = [plain() for _ in range(3)]
        for generator in generators:
            await generator.__anext__()
        del generator
        seen = 0
        for known in loop._asyncgens:
            seen += 1
            if generators:
                for generator in generators:
                    await generator.aclose()
                del generator
                generators.clear()
            del known
        gc.collect()
        return seen, len(loop._asyncgens)

    seen, left = loop.run_until_complete(main())
    assert 1 <= seen <= 3
    assert left == 0
