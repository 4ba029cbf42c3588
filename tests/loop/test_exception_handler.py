"""The exception handler: setting it, what it is told, what it may do."""

import asyncio
import gc
import logging

import pytest

from support import loops
from support.loops import collect_errors, run_turns


def boom():
    raise ZeroDivisionError("boom")


def test_there_is_no_handler_at_first(loop):
    assert loop.get_exception_handler() is None


def test_the_handler_that_was_set_is_told(loop):
    def handler(loop, context):
        pass

    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None


@pytest.mark.parametrize("wrong", [1, "text", object()], ids=repr)
def test_a_handler_must_be_callable(loop, wrong):
    with pytest.raises(
        TypeError, match="A callable object or None is expected"
    ):
        loop.set_exception_handler(wrong)
    assert loop.get_exception_handler() is None


def test_the_handler_gets_loop_message_exception_and_handle(loop):
    got = []
    loop.set_exception_handler(lambda *args: got.append(args))
    handle = loop.call_soon(boom)
    run_turns(loop)
    (reported, context), = got
    assert reported is loop
    assert context["handle"] is handle
    assert str(context["exception"]) == "boom"
    assert context["message"].startswith("Exception in callback boom(")


def test_the_exception_keeps_its_traceback(loop):
    errors = collect_errors(loop)
    loop.call_soon(boom)
    run_turns(loop)
    trace = errors[0]["exception"].__traceback__
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-1] == "boom"


def test_the_default_handler_logs_message_and_traceback(loop, caplog):
    loop.call_soon(boom)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_turns(loop)
    record, = caplog.records
    assert (record.name, record.levelname) == ("asyncio", "ERROR")
    message = record.getMessage()
    assert message.startswith("Exception in callback boom(")
    assert "\nhandle: <Handle boom(" in message
    assert record.exc_info[0] is ZeroDivisionError


CONTEXTS = [
    {},
    {"message": "only this"},
    {"message": "with a value", "value": [1, 2], "another": "x"},
    {"message": "failed", "exception": ValueError("v")},
    {"message": "traced", "source_traceback": []},
    {"exception": None, "message": "no exception"},
]


@pytest.mark.parametrize("context", CONTEXTS, ids=range(len(CONTEXTS)))
def test_the_log_text_equals_that_of_asyncio(loop, caplog, context):
    stock = loops.new("asyncio")
    stock.close()
    with caplog.at_level(logging.ERROR, "asyncio"):
        loop.call_exception_handler(dict(context))
        stock.default_exception_handler(dict(context))
    ours, theirs = caplog.records
    assert ours.getMessage() == theirs.getMessage()
    assert ours.levelname == theirs.levelname
    assert bool(ours.exc_info) == bool(theirs.exc_info)


def test_the_default_handler_can_be_called_by_a_handler(loop, caplog):
    def handler(loop, context):
        context["message"] = "seen by mine"
        loop.default_exception_handler(context)

    loop.set_exception_handler(handler)
    loop.call_soon(boom)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_turns(loop)
    assert caplog.records[0].getMessage().startswith("seen by mine")


def test_a_handler_that_raises_is_reported_with_its_context(loop, caplog):
    def bad(loop, context):
        raise LookupError("in the handler")

    loop.set_exception_handler(bad)
    loop.call_soon(boom)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_turns(loop)
    record, = caplog.records
    assert record.getMessage().startswith(
        "Unhandled error in exception handler"
    )
    assert "context: {" in record.getMessage()
    assert record.exc_info[0] is LookupError


def test_the_loop_runs_on_when_every_handler_raises(loop, caplog):
    def bad(*_):
        raise LookupError

    loop.set_exception_handler(bad)
    loop.default_exception_handler = bad
    ran = []
    loop.call_soon(boom)
    loop.call_soon(ran.append, 1)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_turns(loop)
    assert ran == [1]
    assert "default exception handler while handling" in (
        caplog.records[0].getMessage()
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_of_the_handler_leaves_the_run(loop, error):
    def bad(*_):
        raise error

    loop.set_exception_handler(bad)
    loop.call_soon(boom)
    with pytest.raises(error):
        run_turns(loop)
    loop.set_exception_handler(None)
    run_turns(loop)
    assert not loop.is_running()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_these_are_never_given_to_the_handler(loop, error):
    errors = collect_errors(loop)

    def fail():
        raise error

    loop.call_soon(fail)
    with pytest.raises(error):
        loop.run_forever()
    assert errors == []


def test_an_exception_of_a_reader_is_reported_with_its_handle(loop):
    import socket

    errors = collect_errors(loop)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        def read():
            ours.recv(1)
            loop.stop()
            boom()

        loop.add_reader(ours, read)
        theirs.send(b"x")
        loop.run_forever()
        loop.remove_reader(ours)
    assert isinstance(errors[0]["handle"], asyncio.Handle)
    assert "Exception in callback" in errors[0]["message"]


def test_a_task_never_awaited_reports_its_exception(loop):
    errors = collect_errors(loop)

    async def fail():
        boom()

    loop.create_task(fail())
    run_turns(loop, 2)
    gc.collect()
    assert [e["message"] for e in errors] == [
        "Task exception was never retrieved"
    ]
    assert isinstance(errors[0]["future"], asyncio.Task)


def test_a_handler_set_in_a_callback_is_used_at_once(loop):
    errors = []
    loop.call_soon(
        loop.set_exception_handler, lambda _, context: errors.append(context)
    )
    loop.call_soon(boom)
    run_turns(loop)
    assert len(errors) == 1


def test_a_handler_is_released_when_it_is_replaced(loop):
    import weakref

    class Handler:
        def __call__(self, loop, context):
            pass

    handler = Handler()
    dead = weakref.ref(handler)
    loop.set_exception_handler(handler)
    del handler
    assert dead() is not None
    loop.set_exception_handler(None)
    assert dead() is None


def test_the_callbacks_text_is_that_of_asyncio(loop):
    errors = collect_errors(loop)
    stock = loops.new("asyncio")
    theirs = collect_errors(stock)
    for each in (loop, stock):
        each.call_soon(int, "no number", 10)
        run_turns(each)
    stock.close()
    assert errors[0]["message"] == theirs[0]["message"]
