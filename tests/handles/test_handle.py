"""Handle: what it is, what it holds, what cancel does."""

import asyncio
import contextvars
import functools
import gc
import weakref

import pytest

from support.loops import PY312, collect_errors, run_turns


class Token:
    """Something whose death a weak reference can see."""


def callback(*args):
    pass


def test_it_passes_for_asyncios_handle(loop):
    handle = loop.call_soon(callback)
    assert isinstance(handle, asyncio.Handle)
    assert issubclass(handle.__class__, asyncio.Handle)
    handle.cancel()


def test_it_tells_callback_arguments_and_context(loop):
    context = contextvars.copy_context()
    handle = loop.call_soon(callback, 1, "two", context=context)
    assert handle._callback is callback
    assert tuple(handle._args) == (1, "two")
    assert handle._context is context
    assert handle._cancelled is False
    handle.cancel()


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_it_tells_any_number_of_arguments(loop, count):
    handle = loop.call_soon(callback, *range(count))
    assert tuple(handle._args) == tuple(range(count))
    handle.cancel()


def test_it_knows_its_loop(loop):
    handle = loop.call_soon(callback)
    assert handle._loop is loop
    handle.cancel()


def test_it_is_not_cancelled_at_first(loop):
    handle = loop.call_soon(callback)
    assert handle.cancelled() is False
    run_turns(loop)
    assert handle.cancelled() is False


def test_cancel_marks_it_and_gives_nothing_back(loop):
    handle = loop.call_soon(callback)
    assert handle.cancel() is None
    assert handle.cancelled() is True
    assert handle._cancelled is True
    assert handle.cancel() is None


def test_cancel_drops_callback_and_arguments_at_once(loop):
    token = Token()
    dead = weakref.ref(token)
    handle = loop.call_soon(lambda own=token: None, token)
    del token
    handle.cancel()
    assert dead() is None
    assert handle._callback is None and not handle._args


@pytest.mark.native_only(reason="asyncio keeps them until the handle dies")
def test_a_handle_that_has_run_drops_callback_and_arguments(loop):
    token = Token()
    dead = weakref.ref(token)
    handle = loop.call_soon(lambda own=token: None, token)
    del token
    run_turns(loop)
    assert dead() is None
    assert handle.cancelled() is False


def test_a_handle_can_be_weakly_referenced(loop):
    handle = loop.call_soon(callback)
    dead = weakref.ref(handle)
    assert dead() is handle
    run_turns(loop)
    del handle
    gc.collect()
    assert dead() is None


def test_a_weak_references_callback_is_called(loop):
    seen = []
    handle = loop.call_soon(callback)
    ref = weakref.ref(handle, seen.append)
    run_turns(loop)
    del handle
    gc.collect()
    assert seen == [ref]


def test_handles_can_be_keys(loop):
    handles = [loop.call_soon(callback) for _ in range(10)]
    assert len(set(handles)) == 10
    assert {handles[3]: "x"}[handles[3]] == "x"
    run_turns(loop)


def test_two_handles_are_never_equal(loop):
    one, other = loop.call_soon(callback), loop.call_soon(callback)
    assert one != other and one == one
    run_turns(loop)


def test_run_calls_the_callback(loop):
    ran = []
    handle = loop.call_soon(ran.append, 1)
    handle._run()
    assert ran == [1]
    handle.cancel()


def test_run_reports_an_exception_to_the_loop(loop):
    errors = collect_errors(loop)
    handle = loop.call_soon(lambda: 1 / 0)
    handle._run()
    handle.cancel()
    assert [type(e["exception"]) for e in errors] == [ZeroDivisionError]


def test_run_enters_the_handles_context(loop):
    var = contextvars.ContextVar("var")
    context = contextvars.copy_context()
    handle = loop.call_soon(var.set, 1, context=context)
    handle._run()
    handle.cancel()
    assert context[var] == 1


CALLBACKS = {
    "function": callback,
    "builtin": print,
    "method": Token.__init__,
    "partial": functools.partial(callback, 1, key=2),
    "nested partial": functools.partial(functools.partial(print, 1), 2),
    "lambda": lambda: None,
    "class": Token,
}


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
def test_its_repr_equals_that_of_asyncios_handle(loop, name, debug):
    loop.set_debug(debug)
    arguments = (1, "two", [3] * 100)
    ours = loop.call_soon(CALLBACKS[name], *arguments)
    stock = asyncio.Handle(CALLBACKS[name], arguments, loop)
    if debug:
        # Both were made in this file, on lines of their own.
        text, expected = (
            repr(h).partition(" created at ") for h in (ours, stock)
        )
        assert text[:2] == expected[:2]
        assert text[2].startswith(__file__)
    else:
        assert repr(ours) == repr(stock)
    ours.cancel()


def test_the_repr_of_a_cancelled_handle_says_so(loop):
    loop.set_debug(False)
    handle = loop.call_soon(callback)
    handle.cancel()
    assert repr(handle) == "<Handle cancelled>"


def test_the_repr_of_a_cancelled_handle_keeps_its_text_in_debug_mode(loop):
    loop.set_debug(True)
    handle = loop.call_soon(callback, 1)
    handle.cancel()
    text = repr(handle)
    assert text.startswith("<Handle cancelled callback(")
    assert "created at" in text


def test_a_callback_whose_repr_fails_does_not_break_the_loop(loop, caplog):
    class Bad:
        def __repr__(self):
            raise LookupError

        def __call__(self):
            raise ValueError("reported")

    ran = []
    loop.call_soon(Bad())
    loop.call_soon(ran.append, 1)
    try:
        run_turns(loop)
    except LookupError:
        # asyncio lets that one out of the run.
        run_turns(loop)
    assert ran == [1]


def test_handles_cannot_be_pickled_or_given_new_attributes(loop):
    handle = loop.call_soon(callback)
    with pytest.raises(AttributeError):
        handle.bogus = 1
    handle.cancel()


@pytest.mark.skipif(not PY312, reason="Handle.get_context is new in 3.12")
def test_get_context_agrees_with_the_attribute(loop):
    handle = loop.call_soon(callback)
    assert handle.get_context() is handle._context
    handle.cancel()


def test_a_callback_may_cancel_its_own_handle(loop):
    ran = []

    def own():
        handle.cancel()
        ran.append(handle.cancelled())

    handle = loop.call_soon(own)
    run_turns(loop)
    assert ran == [True]


def test_a_handle_of_a_reader_and_of_a_signal_is_one_too(loop):
    import signal

    loop.add_signal_handler(signal.SIGUSR1, callback, 1)
    handle = loop._signal_handlers[signal.SIGUSR1]
    assert isinstance(handle, asyncio.Handle)
    assert handle._callback is callback and tuple(handle._args) == (1,)
    loop.remove_signal_handler(signal.SIGUSR1)


def test_a_handle_of_asyncio_works_with_the_loop(loop):
    """Libraries make their own: it needs the loop's debug flag only."""
    ran = []
    handle = asyncio.Handle(ran.append, (1,), loop)
    handle._run()
    assert ran == [1]
    handle.cancel()
    assert handle.cancelled()
