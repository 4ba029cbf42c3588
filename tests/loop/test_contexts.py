"""Which context a callback runs in."""

import asyncio
import contextvars
import logging
import os
import signal
import socket

import pytest

from support.loops import PY312, collect_errors, run_turns

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="-")


def test_a_callback_sees_the_variables_of_its_scheduling(loop):
    seen = []

    def main():
        loop.call_soon(lambda: seen.append(VAR.get()))
        VAR.set("one")
        loop.call_soon(lambda: seen.append(VAR.get()))
        VAR.set("two")
        run_turns(loop)

    contextvars.copy_context().run(main)
    assert seen == ["-", "one"]


def test_a_variable_set_in_a_callback_is_unseen_in_the_next(loop):
    seen = []
    loop.call_soon(VAR.set, "leaked")
    loop.call_soon(lambda: seen.append(VAR.get()))
    run_turns(loop)
    assert seen == ["-"]
    assert VAR.get() == "-"


def test_a_callback_scheduled_by_a_callback_inherits(loop):
    seen = []

    def first():
        VAR.set("inherited")
        loop.call_soon(lambda: seen.append(VAR.get()))

    loop.call_soon(first)
    run_turns(loop, 2)
    assert seen == ["inherited"]


def test_callbacks_given_one_context_share_it(loop):
    context = contextvars.copy_context()
    seen = []
    loop.call_soon(VAR.set, "shared", context=context)
    loop.call_soon(lambda: seen.append(VAR.get()), context=context)
    run_turns(loop)
    assert seen == ["shared"]
    assert context[VAR] == "shared"
    assert VAR.get() == "-"


def schedulers(loop):
    return {
        "call_soon": loop.call_soon,
        "call_soon_threadsafe": loop.call_soon_threadsafe,
        "call_later": lambda f, **kw: loop.call_later(0, f, **kw),
        "call_at": lambda f, **kw: loop.call_at(0, f, **kw),
    }


SCHEDULERS = ["call_soon", "call_soon_threadsafe", "call_later", "call_at"]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_way_to_schedule_takes_a_context(loop, name):
    context = contextvars.copy_context()
    context.run(VAR.set, "given")
    seen = []
    schedulers(loop)[name](lambda: seen.append(VAR.get()), context=context)
    run_turns(loop, 2)
    assert seen == ["given"]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_keyword_counts_by_its_letters(loop, name):
    """C code, asyncio's own too, may pass a name that is not interned."""
    context = contextvars.copy_context()
    context.run(VAR.set, "given")
    seen = []
    made = "".join(["con", "text"])
    schedulers(loop)[name](
        lambda: seen.append(VAR.get()), **{made: context}
    )
    run_turns(loop, 2)
    assert seen == ["given"]
    for wrong in ("contexu", "contexts", "contex", "c\xf6ntext", ""):
        with pytest.raises(TypeError, match="unexpected keyword"):
            schedulers(loop)[name](print, **{wrong: context})


@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_way_to_schedule_copies_the_current_context(loop, name):
    seen = []

    def main():
        VAR.set("current")
        schedulers(loop)[name](lambda: seen.append(VAR.get()))
        VAR.set("changed")

    contextvars.copy_context().run(main)
    run_turns(loop, 2)
    assert seen == ["current"]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_context_none_means_the_current_one(loop, name):
    seen = []

    def main():
        VAR.set("current")
        schedulers(loop)[name](
            lambda: seen.append(VAR.get()), context=None
        )

    contextvars.copy_context().run(main)
    run_turns(loop, 2)
    assert seen == ["current"]


def test_what_is_no_context_is_refused_or_reported(loop):
    errors = collect_errors(loop)
    ran = []
    try:
        loop.call_soon(ran.append, 1, context=object())
    except TypeError:
        return
    run_turns(loop)
    assert ran == [] and len(errors) == 1


def test_the_outer_context_survives_a_run(loop):
    def main():
        VAR.set("outer")
        loop.call_soon(VAR.set, "inner")
        run_turns(loop)
        return VAR.get()

    assert contextvars.copy_context().run(main) == "outer"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_raising_callback_leaves_its_context(loop, error):
    collect_errors(loop)

    def fail():
        VAR.set("inner")
        raise error

    loop.call_soon(fail)
    try:
        run_turns(loop)
    except KeyboardInterrupt:
        assert error is KeyboardInterrupt
    assert VAR.get() == "-"
    seen = []
    loop.call_soon(lambda: seen.append(VAR.get()))
    run_turns(loop)
    assert seen == ["-"]


def test_a_context_that_is_entered_already_does_no_harm(loop, caplog):
    """asyncio reports that; a loop that needs not enter it may run on."""
    seen = []
    context = contextvars.copy_context()

    def main():
        VAR.set("entered")
        loop.call_soon(lambda: seen.append(VAR.get()), context=context)
        run_turns(loop)

    with caplog.at_level(logging.ERROR, "asyncio"):
        context.run(main)
    refused = [r.exc_info[0] for r in caplog.records]
    assert (seen, refused) in ((["entered"], []), ([], [RuntimeError]))


def test_a_reader_runs_in_the_context_of_its_registration(loop):
    seen = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        def main():
            VAR.set("reader")
            loop.add_reader(ours, read)

        def read():
            seen.append(VAR.get())
            VAR.set("changed by the callback")
            loop.remove_reader(ours)
            loop.stop()

        contextvars.copy_context().run(main)
        theirs.send(b"x")
        loop.run_forever()
    assert seen == ["reader"]
    assert VAR.get() == "-"


def test_a_readers_context_is_kept_from_event_to_event(loop):
    seen = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        def read():
            seen.append(VAR.get())
            VAR.set(f"event {len(seen)}")
            ours.recv(1)
            theirs.send(b"x")
            if len(seen) == 3:
                loop.stop()

        loop.add_reader(ours, read)
        theirs.send(b"x")
        loop.run_forever()
        loop.remove_reader(ours)
    assert seen == ["-", "event 1", "event 2"]


def test_a_signal_handler_runs_in_the_context_of_its_setting(loop):
    seen = []

    def main():
        VAR.set("handler")
        loop.add_signal_handler(signal.SIGUSR1, handle)

    def handle():
        seen.append(VAR.get())
        loop.stop()

    contextvars.copy_context().run(main)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == ["handler"]


def test_each_task_has_a_context_of_its_own(loop):
    async def child(name):
        VAR.set(name)
        await asyncio.sleep(0)
        return VAR.get()

    async def main():
        VAR.set("parent")
        names = await asyncio.gather(child("a"), child("b"))
        return [*names, VAR.get()]

    assert loop.run_until_complete(main()) == ["a", "b", "parent"]


def test_a_task_given_a_context_runs_all_its_steps_there(loop):
    context = contextvars.copy_context()

    async def child():
        VAR.set("first step")
        await asyncio.sleep(0)
        VAR.set(VAR.get() + ", second step")

    loop.run_until_complete(loop.create_task(child(), context=context))
    assert context[VAR] == "first step, second step"
    assert VAR.get() == "-"


def test_a_done_callback_runs_in_the_context_it_was_added_in(loop):
    seen = []
    future = loop.create_future()
    context = contextvars.copy_context()
    context.run(VAR.set, "added")
    future.add_done_callback(
        lambda _: seen.append(VAR.get()), context=context
    )
    future.set_result(None)
    run_turns(loop)
    assert seen == ["added"]


@pytest.mark.skipif(not PY312, reason="Handle.get_context is new in 3.12")
def test_a_handle_tells_its_context(loop):
    context = contextvars.copy_context()
    handle = loop.call_soon(lambda: None, context=context)
    assert handle.get_context() is context
    timer = loop.call_later(0, lambda: None, context=context)
    assert timer.get_context() is context
    assert type(loop.call_soon(print).get_context()) is contextvars.Context
    loop.close()


@pytest.mark.skipif(
    not PY312, reason="before 3.12 the handler runs in the outer context"
)
def test_the_exception_handler_runs_in_the_callbacks_context(loop):
    seen = []
    loop.set_exception_handler(lambda *_: seen.append(VAR.get()))

    def fail():
        VAR.set("failing")
        raise ValueError

    loop.call_soon(fail)
    run_turns(loop)
    assert seen == ["failing"]


@pytest.mark.skipif(
    not PY312, reason="before 3.12 the handler runs in the outer context"
)
def test_the_exception_handler_runs_in_the_tasks_context(loop):
    seen = []
    loop.set_exception_handler(lambda *_: seen.append(VAR.get()))

    async def fail():
        VAR.set("task")
        raise ValueError

    async def main():
        task = asyncio.create_task(fail())
        await asyncio.wait([task])

    loop.run_until_complete(main())
    # The task is dropped by now, and its finalizer has reported.
    assert seen == ["task"]
