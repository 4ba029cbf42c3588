"""anyio's cancel scopes read and steer private fields of tasks."""

import asyncio

import anyio
import anyio.to_thread
import pytest


def test_a_scope_that_times_out_cancels_what_is_in_it(loop):
    async def main():
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(60)
        return scope.cancelled_caught

    assert loop.run_until_complete(main()) is True


def test_an_inner_scope_leaves_the_outer_one_alone(loop):
    async def main():
        reached = []
        with anyio.CancelScope() as outer:
            with anyio.CancelScope() as inner:
                inner.cancel()
                await anyio.sleep(60)
                reached.append("inside")
            reached.append("between")
            await anyio.sleep(0)
            outer.cancel()
            await anyio.sleep(60)
            reached.append("never")
        return reached

    assert loop.run_until_complete(main()) == ["between"]


def test_a_shielded_scope_finishes(loop):
    async def main():
        done = []
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
                done.append("shielded")
            await anyio.sleep(0)
            done.append("never")
        return done

    assert loop.run_until_complete(main()) == ["shielded"]


def test_a_failing_task_cancels_its_group(loop):
    async def main():
        cancelled = []

        async def wait():
            try:
                await anyio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

        async def fail():
            await anyio.sleep(0)
            raise ValueError("told")

        with pytest.raises(BaseExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(wait)
                group.start_soon(fail)
        return cancelled, [str(e) for e in caught.value.exceptions]

    assert loop.run_until_complete(main()) == ([1, 1, 1], ["told"])


def test_threads_are_pooled_because_the_root_task_is_known(loop):
    async def main():
        import threading

        idents = set()
        for _ in range(20):
            await anyio.to_thread.run_sync(
                lambda: idents.add(threading.get_ident())
            )
        return len(idents)

    assert loop.run_until_complete(main()) == 1
