"""call_soon: order, turns, arguments, what runs and what does not."""

import asyncio
import functools
import weakref

import pytest

from support.loops import collect_errors, run_turns


class Token:
    """Something whose death a weak reference can see."""


def test_callbacks_run_in_the_order_they_were_scheduled(loop):
    ran = []
    for number in range(1000):
        loop.call_soon(ran.append, number)
    run_turns(loop)
    assert ran == list(range(1000))


def test_a_callback_added_during_a_turn_runs_in_the_next(loop):
    ran = []

    def first():
        ran.append("first")
        loop.call_soon(ran.append, "added")
        loop.stop()

    loop.call_soon(first)
    loop.call_soon(ran.append, "second")
    loop.run_forever()
    assert ran == ["first", "second"]
    run_turns(loop)
    assert ran == ["first", "second", "added"]


def test_a_chain_of_callbacks_takes_a_turn_per_link(loop):
    depth = []

    def link(left):
        depth.append(left)
        if left:
            loop.call_soon(link, left - 1)

    loop.call_soon(link, 5)
    run_turns(loop, 3)
    assert depth == [5, 4, 3]
    run_turns(loop, 3)
    assert depth == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("count", range(21))
def test_every_number_of_arguments_arrives_whole(loop, count):
    got = []
    arguments = tuple(object() for _ in range(count))
    loop.call_soon(lambda *args: got.append(args), *arguments)
    run_turns(loop)
    assert got == [arguments]


def test_keyword_arguments_are_refused(loop):
    with pytest.raises(TypeError):
        loop.call_soon(print, end="")


def test_a_missing_callback_is_refused(loop):
    with pytest.raises(TypeError):
        loop.call_soon()


@pytest.mark.parametrize("thing", [None, 1, "text"], ids=repr)
def test_what_cannot_be_called_is_refused_or_reported(loop, thing):
    errors = collect_errors(loop)
    try:
        loop.call_soon(thing)
    except TypeError:
        return
    run_turns(loop)
    assert [type(e["exception"]) for e in errors] == [TypeError]


def test_one_callback_scheduled_twice_runs_twice(loop):
    ran = []
    loop.call_soon(ran.append, 1)
    loop.call_soon(ran.append, 1)
    run_turns(loop)
    assert ran == [1, 1]


def test_every_kind_of_callable_runs(loop):
    ran = []

    class Callable:
        def __call__(self, *args):
            ran.append(("object", args))

        def method(self, *args):
            ran.append(("method", args))

        @staticmethod
        def static(*args):
            ran.append(("static", args))

        @classmethod
        def of_class(cls, *args):
            ran.append(("class", args))

    partial = functools.partial(lambda *a, k: ran.append((k, a)), 1, k="k")
    for callback in (Callable(), Callable().method, Callable.static,
                     Callable.of_class, partial):
        loop.call_soon(callback, 2)
    loop.call_soon(ran.extend, [("builtin", ())])
    run_turns(loop)
    assert ran == [
        ("object", (2,)), ("method", (2,)), ("static", (2,)),
        ("class", (2,)), ("k", (1, 2)), ("builtin", ()),
    ]


def test_a_class_is_a_callable_too(loop):
    made = []

    class Made:
        def __init__(self, *args):
            made.append(args)

    loop.call_soon(Made, 1, 2)
    run_turns(loop)
    assert made == [(1, 2)]


def test_the_result_is_a_handle_and_no_timer_handle(loop):
    handle = loop.call_soon(lambda: None)
    assert isinstance(handle, asyncio.Handle)
    assert not isinstance(handle, asyncio.TimerHandle)
    run_turns(loop)


def test_a_cancelled_callback_does_not_run(loop):
    ran = []
    loop.call_soon(ran.append, 1)
    loop.call_soon(ran.append, 2).cancel()
    loop.call_soon(ran.append, 3)
    run_turns(loop)
    assert ran == [1, 3]


def test_a_callback_can_cancel_a_later_one_of_the_same_turn(loop):
    ran = []
    loop.call_soon(lambda: handle.cancel())
    handle = loop.call_soon(ran.append, "cancelled")
    loop.call_soon(ran.append, "kept")
    run_turns(loop)
    assert ran == ["kept"]


def test_an_exception_does_not_stop_the_callbacks_after_it(loop):
    errors = collect_errors(loop)
    ran = []
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(ran.append, "after")
    run_turns(loop)
    assert ran == ["after"]
    assert isinstance(errors[0]["exception"], ZeroDivisionError)


def test_callback_and_arguments_die_once_they_have_run(loop):
    token, argument = Token(), Token()
    dead = weakref.ref(token), weakref.ref(argument)
    loop.call_soon(lambda *_, own=token: None, argument, 1, 2, 3, 4, 5, 6)
    del token, argument
    assert None not in [ref() for ref in dead]
    run_turns(loop)
    assert [ref() for ref in dead] == [None, None]


def test_a_hundred_thousand_callbacks_all_run_in_order(loop):
    ran = []
    for number in range(100_000):
        loop.call_soon(ran.append, number)
    run_turns(loop)
    assert len(ran) == 100_000
    assert ran == sorted(ran)


def test_callbacks_added_by_many_callbacks_keep_their_order(loop):
    ran = []
    for outer in range(50):
        for inner in range(4):
            loop.call_soon(loop.call_soon, ran.append, (outer, inner))
    run_turns(loop, 2)
    assert ran == sorted(ran) and len(ran) == 200


def test_callbacks_left_over_run_when_the_loop_runs_again(loop):
    ran = []

    def stop_and_add():
        loop.stop()
        loop.call_soon(ran.append, "later")

    loop.call_soon(stop_and_add)
    loop.run_forever()
    assert ran == []
    run_turns(loop)
    assert ran == ["later"]


def test_a_closed_loop_refuses_every_way_to_schedule(loop):
    loop.close()
    for schedule in (
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(0, print),
        lambda: loop.call_at(0, print),
    ):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            schedule()


def test_closing_drops_what_never_ran(loop):
    token = Token()
    dead = weakref.ref(token)
    loop.call_soon(lambda own: None, token)
    loop.call_later(100, lambda own: None, token)
    del token
    loop.close()
    assert dead() is None
