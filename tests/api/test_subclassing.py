"""Subclasses of Loop, attributes on instances, and what they override."""

import asyncio
import gc
import pickle
import weakref

import pytest

from support import loops
from support.loops import run_turns, run_until


@pytest.fixture
def loop_class(kind):
    return loops.loop_class(kind)


@pytest.fixture
def make(loop_class):
    """Makes loops of a subclass and closes them after the test."""
    made = []

    def new(**namespace):
        made.append(type("Mine", (loop_class,), namespace)())
        return made[-1]

    yield new
    for loop in made:
        loop.close()


def test_a_loop_is_an_abstract_event_loop(loop):
    assert isinstance(loop, asyncio.AbstractEventLoop)


def test_the_class_can_be_made_bare(loop_class):
    loop = loop_class()
    assert type(loop) is loop_class
    loop.close()


def test_a_loop_takes_any_attribute(loop):
    loop.something = 5
    assert loop.something == 5
    assert loop.__dict__["something"] == 5
    del loop.something
    with pytest.raises(AttributeError):
        loop.something


def test_a_loop_can_be_weakly_referenced(loop):
    assert weakref.ref(loop)() is loop


def test_a_loop_is_a_key_by_identity(new_loop):
    one, other = new_loop(), new_loop()
    assert {one: 1, other: 2}[one] == 1
    assert one != other and one == one
    assert len(weakref.WeakSet([one, other, one])) == 2


def test_a_loop_cannot_be_pickled(loop):
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(loop)


def test_a_subclass_runs(make):
    loop = make()
    assert loop.run_until_complete(asyncio.sleep(0.001, "sub")) == "sub"
    assert type(loop).__name__ in repr(loop)


def test_a_subclass_may_have_slots_and_more_bases(loop_class):
    class Mixin:
        def double(self, number):
            return 2 * number

    class Mine(Mixin, loop_class):
        __slots__ = ("extra",)

    loop = Mine()
    loop.extra = 4
    assert loop.double(loop.extra) == 8
    loop.close()


def test_an_init_of_the_subclass_may_take_arguments(loop_class):
    class Mine(loop_class):
        def __init__(self, *, name):
            super().__init__()
            self.name = name

    loop = Mine(name="mine")
    assert loop.name == "mine"
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
    loop.close()


def test_classes_of_loops_come_and_go(loop_class):
    dead = []
    for _ in range(5):
        mine = type("Mine", (loop_class,), {})
        loop = mine()
        loop.call_soon(int)
        loop.close()
        dead.append(weakref.ref(mine))
        del mine, loop
    gc.collect()
    assert [ref() for ref in dead] == [None] * 5


def test_time_of_a_subclass_moves_its_timers(make, loop_class):
    class Clock:
        now = 1000.0

    loop = make(time=lambda self: Clock.now)
    ran = []
    loop.call_later(60, ran.append, "minute")
    assert loop.call_later(5, print).when() == 1005.0
    run_turns(loop, 2)
    assert ran == []
    Clock.now += 61
    run_turns(loop, 2)
    assert "minute" in ran


def test_time_of_an_instance_moves_its_timers(loop):
    real = loop.time
    offset = [0.0]
    loop.time = lambda: real() + offset[0]
    ran = []
    loop.call_later(1000, ran.append, 1)
    run_turns(loop, 2)
    assert ran == []
    offset[0] = 1001.0
    run_turns(loop, 2)
    assert ran == [1]


def test_timers_go_on_when_the_fake_clock_is_taken_away(loop):
    loop.time = lambda: 5.0
    loop.call_soon(int)
    run_turns(loop)
    del loop.time
    assert loop.run_until_complete(asyncio.sleep(0.001, "real")) == "real"


def test_a_fake_clock_that_fails_is_heard(loop):
    def broken():
        raise LookupError("no time")

    loop.time = broken
    with pytest.raises(LookupError, match="no time"):
        loop.call_later(1, print)
    del loop.time
    assert loop.run_until_complete(asyncio.sleep(0, "on")) == "on"


def test_call_soon_of_a_subclass_is_used_by_futures(loop_class, make):
    seen = []

    def call_soon(self, callback, *args, context=None):
        seen.append(callback)
        return super(type(self), self).call_soon(
            callback, *args, context=context
        )

    loop = make(call_soon=call_soon)
    future = loop.create_future()
    callback = seen.append
    future.add_done_callback(callback)
    future.set_result(None)
    assert seen == [callback]
    run_turns(loop)
    assert seen[-1] is future


def test_call_soon_of_a_subclass_is_used_by_tasks(make):
    count = 0

    def call_soon(self, callback, *args, context=None):
        nonlocal count
        count += 1
        return super(type(self), self).call_soon(
            callback, *args, context=context
        )

    loop = make(call_soon=call_soon)

    async def main():
        for _ in range(10):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    # One for the start, one for each sleep and one for the end.
    assert count >= 11


def test_call_soon_of_an_instance_is_used_by_futures(loop):
    seen = []
    real = loop.call_soon

    def call_soon(callback, *args, context=None):
        seen.append(callback)
        return real(callback, *args, context=context)

    loop.call_soon = call_soon
    future = loop.create_future()
    future.add_done_callback(print)
    future.set_result(None)
    assert seen == [print]
    del loop.call_soon
    loop.close()


def test_call_soon_of_an_instance_is_used_by_tasks(loop):
    count = 0
    real = loop.call_soon

    def call_soon(callback, *args, context=None):
        nonlocal count
        count += 1
        return real(callback, *args, context=context)

    async def main():
        for _ in range(10):
            await asyncio.sleep(0)

    loop.call_soon = call_soon
    loop.run_until_complete(main())
    assert count >= 11


def test_call_later_of_an_instance_is_used_by_sleep(loop):
    delays = []
    real = loop.call_later

    def call_later(delay, callback, *args, context=None):
        delays.append(delay)
        return real(0, callback, *args, context=context)

    loop.call_later = call_later
    loop.run_until_complete(asyncio.sleep(1000))
    assert delays == [1000]


def test_create_task_of_an_instance_is_used_by_asyncio(loop):
    """What application monitors do."""
    names = []
    real = loop.create_task

    def create_task(coro, **keywords):
        names.append(coro.__name__)
        return real(coro, **keywords)

    async def child():
        return 5

    async def main():
        return await asyncio.create_task(child())

    loop.create_task = create_task
    assert loop.run_until_complete(main()) == 5
    assert "child" in names


def test_create_future_of_a_subclass_is_used_by_sleep(make):
    class Mine(asyncio.Future):
        pass

    made = []

    def create_future(self):
        made.append(Mine(loop=self))
        return made[-1]

    loop = make(create_future=create_future)
    assert loop.run_until_complete(asyncio.sleep(0.001, "slept")) == "slept"
    assert [type(future) for future in made] == [Mine]


def test_call_exception_handler_of_a_subclass_gets_the_reports(make):
    reports = []
    loop = make(call_exception_handler=lambda self, context:
                reports.append(context["message"]))
    loop.call_soon(lambda: 1 / 0)
    run_turns(loop)
    assert len(reports) == 1
    assert reports[0].startswith("Exception in callback")


def test_call_exception_handler_of_an_instance_gets_the_reports(loop):
    reports = []
    loop.call_exception_handler = reports.append
    loop.call_soon(lambda: 1 / 0)
    run_turns(loop)
    assert [type(r["exception"]) for r in reports] == [ZeroDivisionError]


def test_default_exception_handler_of_a_subclass_is_used(make):
    reports = []
    loop = make(default_exception_handler=lambda self, context:
                reports.append(context["message"]))
    loop.call_soon(lambda: 1 / 0)
    run_turns(loop)
    assert len(reports) == 1


def test_get_debug_of_a_subclass_is_asked_by_futures(make):
    loop = make(get_debug=lambda self: True)
    assert loop.create_future()._source_traceback


def test_a_replaced_close_is_the_users_affair(loop):
    """Monitors wrap close to flush; the loop must not need its own."""
    closed = []
    real = loop.close

    def close():
        closed.append(1)
        real()

    loop.close = close
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert closed == [1] and loop.is_closed()


def test_a_replaced_set_default_executor_is_left_alone(loop):
    """A home automation server does this."""
    loop.set_default_executor = lambda executor: None
    loop.set_default_executor(5)
    assert loop._default_executor is None


def test_methods_can_be_taken_from_the_class(loop, loop_class):
    ran = []
    loop_class.call_soon(loop, ran.append, 1)
    loop_class.call_later(loop, 0, ran.append, 2)
    run_until(loop, lambda: len(ran) == 2)
    assert loop_class.is_running(loop) is False
    with pytest.raises((TypeError, AttributeError)):
        loop_class.call_soon(object(), print)


def test_a_bound_method_keeps_working_and_keeps_the_loop(loop):
    call_soon, stop = loop.call_soon, loop.stop
    ran = []
    call_soon(ran.append, 1)
    call_soon(stop)
    loop.run_forever()
    assert ran == [1]


def test_two_subclasses_do_not_share_anything(make):
    one = make(extra=1, time=lambda self: 1.0)
    other = make(extra=2)
    assert one.time() == 1.0 and other.time() != 1.0
    assert (one.extra, other.extra) == (1, 2)
