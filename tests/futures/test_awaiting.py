"""What a task may wait for, and what it is told when it may not."""

import asyncio
import collections.abc
import types

import pytest

from support import loops
from support.loops import run_turns


class Yield:
    """Hands one thing to the loop."""

    def __init__(self, thing):
        self.thing = thing

    def __await__(self):
        return (yield self.thing)


async def from_yield(thing):
    return await Yield(thing)


def test_a_future_by_its_own_await(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, 5)

    async def main():
        return await future

    assert loop.run_until_complete(main()) == 5


def test_a_future_that_is_done_is_awaited_without_a_turn(loop):
    future = loop.create_future()
    future.set_result(5)
    order = []

    async def main():
        loop.call_soon(order.append, "turn")
        order.append(await future)

    loop.run_until_complete(main())
    assert order == [5, "turn"] or order == [5]


def test_a_future_yielded_by_hand_gets_none_or_the_throw(loop):
    """Who writes __await__ so is resumed with None, or thrown into."""
    seen = []

    class ByHand:
        def __init__(self, future):
            self.future = future

        def __await__(self):
            self.future._asyncio_future_blocking = True
            try:
                seen.append((yield self.future))
            except BaseException as error:
                seen.append(error)
            return "went on"

    async def main(future):
        return await ByHand(future)

    good, bad, gone = (loop.create_future() for _ in range(3))
    tasks = [loop.create_task(main(f)) for f in (good, bad, gone)]
    run_turns(loop)
    error = LookupError("thrown")
    good.set_result("not sent")
    bad.set_exception(error)
    gone.cancel("msg")
    results = loop.run_until_complete(asyncio.gather(*tasks))
    assert results == ["went on"] * 3
    assert seen[:2] == [None, error]
    assert type(seen[2]) is asyncio.CancelledError
    assert seen[2].args == ("msg",)


def test_a_done_future_yielded_by_hand(loop):
    done, failed = loop.create_future(), loop.create_future()
    done.set_result(1)
    failed.set_exception(LookupError("failed"))
    done._asyncio_future_blocking = True
    failed._asyncio_future_blocking = True
    assert loop.run_until_complete(from_yield(done)) is None
    with pytest.raises(LookupError, match="failed"):
        loop.run_until_complete(from_yield(failed))


@pytest.mark.parametrize("make", ["future", "task", "subclass", "python"])
def test_yield_instead_of_await_is_told(loop, make):
    made = {
        "future": lambda: loop.create_future(),
        "task": lambda: loop.create_task(asyncio.sleep(0)),
        "subclass": lambda: type("Mine", (asyncio.Future,), {})(loop=loop),
        "python": lambda: asyncio.futures._PyFuture(loop=loop),
    }[make]()
    with pytest.raises(
        RuntimeError, match="yield was used instead of yield from in task "
        "<Task .* with <"
    ):
        loop.run_until_complete(from_yield(made))
    run_turns(loop, 2)


@pytest.mark.parametrize(
    "thing", [5, "text", object(), 0.0, (), NotImplemented], ids=repr
)
def test_a_bad_yield_is_told(loop, thing):
    with pytest.raises(RuntimeError) as caught:
        loop.run_until_complete(from_yield(thing))
    assert str(caught.value) == f"Task got bad yield: {thing!r}"


def test_a_generator_is_told(loop):
    generator = (number for number in ())
    with pytest.raises(
        RuntimeError, match="yield was used instead of yield from for "
        "generator in task <Task .* with <generator"
    ):
        loop.run_until_complete(from_yield(generator))


def test_a_coroutine_that_goes_on_after_a_bad_yield(loop):
    async def main():
        with pytest.raises(RuntimeError, match="bad yield: 1"):
            await Yield(1)
        with pytest.raises(RuntimeError, match="bad yield: 2"):
            await Yield(2)
        await Yield(None)
        return "alive"

    assert loop.run_until_complete(main()) == "alive"


def test_a_cancel_between_a_bad_yield_and_the_throw(loop):
    task = loop.create_task(from_yield(1))
    run_turns(loop)
    assert task.cancel("instead") is True
    with pytest.raises(asyncio.CancelledError, match="instead"):
        loop.run_until_complete(task)


def test_a_repr_that_raises_in_a_bad_yield(loop):
    class Rude:
        def __repr__(self):
            raise LookupError("no repr")

    errors = loops.collect_errors(loop)
    task = loop.create_task(from_yield(Rude()))
    run_turns(loop, 3)
    found = [type(c["exception"]) for c in errors]
    if task.done():
        found.append(type(task.exception()))
    assert found == [LookupError]
    task._log_destroy_pending = False
    task.get_coro().close()


def test_a_task_that_awaits_itself_is_told(loop):
    async def main():
        await asyncio.current_task()

    with pytest.raises(
        RuntimeError, match="Task cannot await on itself: <Task"
    ):
        loop.run_until_complete(main())


def test_a_task_that_is_its_own_awaiter_through_another(loop):
    """They wait for each other for good; cancelling one does not crash."""
    tasks = []

    async def wait(number):
        await tasks[number]

    tasks += [loop.create_task(wait(1)), loop.create_task(wait(0))]
    run_turns(loop, 3)
    assert not tasks[0].done() and not tasks[1].done()
    with pytest.raises(RecursionError):
        tasks[0].cancel()
    for task in tasks:
        task._log_destroy_pending = False
    coroutines = [task.get_coro() for task in tasks]
    del tasks[:]
    for coroutine in coroutines:
        coroutine.close()


@pytest.mark.parametrize("make", ["future", "task", "subclass"])
def test_what_belongs_to_another_loop_is_refused(new_loop, make):
    loop, other = new_loop(), new_loop()
    if make == "task":
        foreign = other.create_task(asyncio.sleep(0))
    elif make == "subclass":
        foreign = type("Mine", (asyncio.Future,), {})(loop=other)
    else:
        foreign = other.create_future()

    async def main():
        await foreign

    with pytest.raises(
        RuntimeError,
        match="Task <Task .*> got Future <.*> attached to a different loop",
    ):
        loop.run_until_complete(main())
    if make == "task":
        other.run_until_complete(foreign)


def test_a_future_of_stock_asyncio_is_refused_too(loop):
    other = loops.new("asyncio")
    foreign = other.create_future()

    async def main():
        await foreign

    with pytest.raises(RuntimeError, match="attached to a different loop"):
        loop.run_until_complete(main())
    other.close()


def test_a_future_like_object(loop):
    """Everything with the attribute counts as a future."""
    class Like:
        _asyncio_future_blocking = False

        def __init__(self):
            self.callbacks = []

        def get_loop(self):
            return loop

        def add_done_callback(self, callback, *, context):
            self.callbacks.append((callback, context))

        def result(self):
            return "like"

        def cancel(self, msg=None):
            return False

        def __await__(self):
            self._asyncio_future_blocking = True
            yield self
            return self.result()

    like = Like()

    async def main():
        return await like

    task = loop.create_task(main())
    run_turns(loop)
    assert task._fut_waiter is like
    assert like._asyncio_future_blocking is False
    [(callback, context)] = like.callbacks
    context.run(loop.call_soon, callback, like)
    assert loop.run_until_complete(task) == "like"


def test_a_future_like_object_whose_attribute_raises(loop):
    class Rude:
        @property
        def _asyncio_future_blocking(self):
            raise LookupError("rude attribute")

    errors = loops.collect_errors(loop)
    task = loop.create_task(from_yield(Rude()))
    run_turns(loop, 3)
    found = [str(c["exception"]) for c in errors]
    if task.done():
        found.append(str(task.exception()))
    assert found == ["rude attribute"]
    task._log_destroy_pending = False
    task.get_coro().close()


@types.coroutine
def old_style(future):
    yield
    return (yield from future)


def test_generator_based_coroutines(loop):
    future = loop.create_future()
    loop.call_later(0, future.set_result, 3)

    async def main():
        return await old_style(future)

    assert loop.run_until_complete(main()) == 3


def test_a_generator_based_coroutine_as_a_task(loop):
    future = loop.create_future()
    future.set_result(4)
    coroutine = old_style(future)
    if not asyncio.iscoroutine(coroutine):
        with pytest.raises(TypeError, match="a coroutine was expected"):
            loop.create_task(coroutine)
        coroutine.close()
        return
    assert loop.run_until_complete(loop.create_task(coroutine)) == 4


class HandMade(collections.abc.Coroutine):
    """A coroutine with nothing but the four methods."""

    def __init__(self, *things):
        self.things = list(things)
        self.got = []

    def send(self, value):
        self.got.append(value)
        if not self.things:
            raise StopIteration("end")
        return self.things.pop(0)

    def throw(self, kind, value=None, traceback=None):
        self.got.append(kind if value is None else value)
        if not self.things:
            raise StopIteration("thrown")
        return self.things.pop(0)

    def close(self):
        self.things.clear()

    def __await__(self):
        return self


def test_a_hand_made_coroutine(loop):
    future = loop.create_future()
    future._asyncio_future_blocking = True
    coroutine = HandMade(None, future)
    task = loop.create_task(coroutine)
    loop.call_later(0, future.set_result, 1)
    assert loop.run_until_complete(task) == "end"
    assert coroutine.got == [None, None, None]
    assert task.get_coro() is coroutine


def test_a_hand_made_coroutine_is_thrown_into(loop):
    future = loop.create_future()
    future._asyncio_future_blocking = True
    coroutine = HandMade(future)
    task = loop.create_task(coroutine)
    run_turns(loop)
    task.cancel("x")
    assert loop.run_until_complete(task) == "thrown"
    assert coroutine.got[0] is None
    assert isinstance(coroutine.got[1], asyncio.CancelledError)


@pytest.mark.parametrize("attribute", ["send", "throw"])
def test_a_hand_made_coroutine_that_raises(loop, attribute):
    class Raises(HandMade):
        pass

    def fail(*_):
        raise LookupError(attribute)

    setattr(Raises, attribute, fail)
    future = loop.create_future()
    future._asyncio_future_blocking = True
    task = loop.create_task(Raises(future))
    run_turns(loop)
    if attribute == "throw":
        task.cancel()
    with pytest.raises(LookupError, match=attribute):
        loop.run_until_complete(task)


def test_a_coroutine_written_in_c(loop):
    """An asynchronous generator's step objects have all four methods."""
    async def numbers():
        try:
            yield 1
            await asyncio.sleep(0)
            yield 2
        finally:
            await asyncio.sleep(0)

    generator = numbers()

    async def main():
        found = [await loop.create_task(generator.asend(None))]
        found.append(await loop.create_task(generator.asend(None)))
        await loop.create_task(generator.aclose())
        return found

    assert loop.run_until_complete(main()) == [1, 2]


def test_a_stop_iteration_with_a_value_that_is_odd(loop):
    class Odd(HandMade):
        def send(self, value):
            raise StopIteration(StopIteration("inner"))

    result = loop.run_until_complete(loop.create_task(Odd()))
    assert type(result) is StopIteration and result.value == "inner"


def test_a_coroutine_that_raises_stop_iteration(loop):
    async def main():
        raise StopIteration(1)

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        loop.run_until_complete(main())


def test_a_future_refuses_stop_iteration(loop):
    future = loop.create_future()
    try:
        future.set_exception(StopIteration())
    except TypeError as error:
        assert "StopIteration" in str(error)
        future.cancel()
    else:
        assert type(future.exception()) is RuntimeError


def test_each_waiter_sees_the_traceback_as_it_was(loop):
    future = loop.create_future()

    async def wait():
        await future

    tasks = [loop.create_task(wait()) for _ in range(5)]
    run_turns(loop)
    future.set_exception(LookupError("x"))
    loop.run_until_complete(asyncio.wait(tasks))
    depths = []
    for task in tasks:
        traceback, depth = task.exception().__traceback__, 0
        while traceback is not None:
            traceback, depth = traceback.tb_next, depth + 1
        depths.append(depth)
    assert max(depths) <= 3, depths


def test_deep_recursion_of_awaits(loop):
    async def down(depth):
        if depth:
            return 1 + await down(depth - 1)
        await asyncio.sleep(0)
        return 0

    assert loop.run_until_complete(down(300)) == 300


def test_recursion_without_end_is_an_error_and_no_crash(loop):
    async def down():
        await asyncio.sleep(0)
        await down()

    with pytest.raises(RecursionError):
        loop.run_until_complete(down())

    async def tasks(depth):
        if depth:
            await asyncio.create_task(tasks(depth - 1))

    loop.run_until_complete(tasks(1000))


def test_a_deep_chain_of_tasks_can_be_dropped(loop):
    loop.set_exception_handler(lambda *_: None)
    end = loop.create_future()

    async def wait(future):
        await future

    task = end
    for _ in range(2000):
        task = loop.create_task(wait(task))
    run_turns(loop, 2)
    end.set_result(None)
    loop.run_until_complete(task)
    assert task.done()
