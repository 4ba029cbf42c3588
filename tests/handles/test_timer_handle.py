"""TimerHandle: deadline, comparison, hash, repr."""

import asyncio
import gc
import operator
import weakref

import pytest

from support.loops import PY312, run_turns, run_until


def callback(*args):
    pass


def test_it_passes_for_asyncios_timer_handle(loop):
    handle = loop.call_later(1, callback)
    assert isinstance(handle, asyncio.TimerHandle)
    assert isinstance(handle, asyncio.Handle)
    handle.cancel()


def test_it_tells_its_deadline_before_and_after(loop):
    handle = loop.call_at(12.25, callback)
    assert handle.when() == handle._when == 12.25
    run_turns(loop, 2)
    assert handle.when() == 12.25
    handle.cancel()
    assert handle.when() == 12.25


def test_it_says_whether_it_is_scheduled(loop):
    handle = loop.call_later(0.001, callback)
    assert handle._scheduled is True
    run_until(loop, lambda: not handle._scheduled)
    assert handle._scheduled is False


def test_cancel_is_as_that_of_a_handle(loop):
    handle = loop.call_later(10, callback, 1)
    assert handle.cancelled() is False
    assert handle.cancel() is None
    assert handle.cancelled() is True
    assert handle._callback is None and not handle._args


def test_it_tells_callback_and_arguments(loop):
    handle = loop.call_later(10, callback, 1, 2, 3, 4, 5)
    assert handle._callback is callback
    assert tuple(handle._args) == (1, 2, 3, 4, 5)
    handle.cancel()


def test_timers_are_ordered_by_deadline(loop):
    early, late = loop.call_at(10, callback), loop.call_at(20, callback)
    assert early < late and early <= late
    assert late > early and late >= early
    assert not late < early and not early >= late
    assert early != late
    assert sorted([late, early]) == [early, late]


def test_timers_alike_are_equal(loop):
    one, other = loop.call_at(10, callback, 1), loop.call_at(10, callback, 1)
    assert one == other and not one != other
    assert one <= other and one >= other
    assert not one < other and not one > other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("when, args", [(11, (1,)), (10, (2,)), (10, ())])
def test_timers_that_differ_are_unequal(loop, when, args):
    assert loop.call_at(10, callback, 1) != loop.call_at(
        when, callback, *args
    )


def test_a_cancelled_timer_is_unequal_to_one_that_is_not(loop):
    one, other = loop.call_at(10, callback), loop.call_at(10, callback)
    other.cancel()
    assert one != other


def test_two_cancelled_timers_of_one_deadline_are_equal(loop):
    one, other = loop.call_at(10, callback), loop.call_at(10, print)
    one.cancel()
    other.cancel()
    assert one == other


def test_the_hash_is_that_of_the_deadline(loop):
    handle = loop.call_at(10.5, callback)
    assert hash(handle) == hash(10.5)
    handle.cancel()
    assert hash(handle) == hash(10.5)


@pytest.mark.parametrize("other", [1, 10.0, "text", None], ids=repr)
def test_a_timer_cannot_be_ordered_against_other_things(loop, other):
    handle = loop.call_at(10, callback)
    for order in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError):
            order(handle, other)
    assert handle != other


def test_a_timer_compares_with_one_of_asyncio(loop):
    ours = loop.call_at(10, callback, 1)
    same = asyncio.TimerHandle(10, callback, (1,), loop)
    later = asyncio.TimerHandle(11, callback, (1,), loop)
    assert ours == same and same == ours
    assert ours < later and later > ours
    assert ours <= same and same <= ours


def test_its_repr_equals_that_of_asyncios_timer_handle(loop):
    loop.set_debug(False)
    ours = loop.call_at(12.5, callback, 1, 2)
    stock = asyncio.TimerHandle(12.5, callback, (1, 2), loop)
    assert repr(ours) == repr(stock)
    assert repr(ours).startswith("<TimerHandle when=12.5 callback(")


def test_the_repr_of_a_cancelled_timer_says_so(loop):
    loop.set_debug(False)
    handle = loop.call_at(12.5, callback)
    handle.cancel()
    assert repr(handle) == "<TimerHandle cancelled when=12.5>"


def test_it_can_be_weakly_referenced(loop):
    handle = loop.call_at(0, callback)
    dead = weakref.ref(handle)
    assert dead() is handle
    run_turns(loop, 2)
    del handle
    gc.collect()
    assert dead() is None


def test_a_timer_of_asyncio_can_be_cancelled_on_the_loop(loop):
    """It calls the loop's private _timer_handle_cancelled."""
    handle = asyncio.TimerHandle(10, callback, (), loop)
    handle._scheduled = True
    handle.cancel()
    assert handle.cancelled()


@pytest.mark.skipif(not PY312, reason="Handle.get_context is new in 3.12")
def test_get_context_agrees_with_the_attribute(loop):
    handle = loop.call_later(1, callback)
    assert handle.get_context() is handle._context
    handle.cancel()


def test_run_calls_the_callback(loop):
    ran = []
    handle = loop.call_later(10, ran.append, 1)
    handle._run()
    assert ran == [1]
    handle.cancel()


def test_a_timer_kept_by_its_own_callbacks_object_can_be_collected(new_loop):
    """The cycle that every client with a timeout has."""
    class Client:
        def __init__(self, loop):
            self.timer = loop.call_later(0.001, self.expire)

        def expire(self):
            pass

    loop = new_loop()
    client = Client(loop)
    dead = weakref.ref(client)
    run_until(loop, lambda: not dead().timer._scheduled)
    del client
    gc.collect()
    assert dead() is None


def test_a_pending_timer_in_a_cycle_dies_with_its_loop(new_loop):
    class Client:
        def __init__(self, loop):
            self.timer = loop.call_later(1000, self.expire)

        def expire(self):
            pass

    loop = new_loop()
    dead = weakref.ref(Client(loop))
    gc.collect()
    assert dead() is not None
    loop.close()
    gc.collect()
    assert dead() is None
