"""Delays and deadlines at and beyond the edge, as asyncio takes them."""

import asyncio
import decimal
import fractions
import math

import pytest

from support.loops import collect_errors, run_turns


@pytest.mark.parametrize(
    "delay", [0, 0.0, -0.0, -1, -1e9, -1e300, -math.inf, 1e-12, False]
)
def test_a_delay_of_nothing_or_less_runs_in_the_next_turn(loop, delay):
    ran = []
    loop.call_later(delay, ran.append, 1)
    run_turns(loop, 2)
    assert ran == [1]


def test_a_zero_delay_runs_after_what_was_ready_before(loop):
    ran = []
    loop.call_later(0, ran.append, "timer")
    loop.call_soon(ran.append, "soon")
    run_turns(loop, 2)
    assert ran == ["soon", "timer"]


@pytest.mark.parametrize(
    "delay", [1e6, 1e9, 1e12, 1e18, 1e30, 1e300, math.inf, 10**9, 2**63, 2**70]
)
def test_a_huge_delay_waits_and_does_not_disturb(loop, delay):
    ran = []
    handle = loop.call_later(delay, ran.append, "huge")
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert ran == []
    handle.cancel()


@pytest.mark.parametrize("when", [0, -1, -1e300, -math.inf, 1])
def test_a_deadline_in_the_past_is_due(loop, when):
    ran = []
    loop.call_at(when, ran.append, 1)
    run_turns(loop, 2)
    assert ran == [1]


@pytest.mark.native_only(reason="asyncio's selector fails on it later, or "
                                "never, by version")
@pytest.mark.parametrize("method", ["call_later", "call_at"])
def test_nan_does_not_break_the_loop(loop, method):
    ran = []
    try:
        getattr(loop, method)(math.nan, ran.append, "nan")
    except ValueError:
        pass
    loop.call_later(0.001, ran.append, "good")
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert "good" in ran


def test_sleep_for_nan_is_refused_or_returns(loop):
    async def main():
        return await asyncio.sleep(math.nan, "slept")

    try:
        assert loop.run_until_complete(
            asyncio.wait_for(main(), 0.05)
        ) == "slept"
    except (ValueError, TimeoutError):
        pass
    # The loop still runs.
    assert loop.run_until_complete(asyncio.sleep(0, "on")) == "on"


@pytest.mark.parametrize("wrong", ["1", b"1", [], object()], ids=repr)
def test_a_delay_of_a_wrong_type_is_a_type_error(loop, wrong):
    with pytest.raises(TypeError):
        loop.call_later(wrong, print)


def test_an_int_that_no_float_can_hold_is_an_overflow_error(loop):
    for delay in (10**400, -10**400):
        with pytest.raises(OverflowError, match="int too large"):
            loop.call_later(delay, print)


def test_a_delay_of_none_is_a_type_error(loop):
    with pytest.raises(TypeError):
        loop.call_later(None, print)


def test_a_deadline_of_none_is_a_type_error(loop):
    with pytest.raises(TypeError):
        loop.call_at(None, print)


@pytest.mark.parametrize("missing", [(), (1,)], ids=["none", "delay"])
@pytest.mark.parametrize("method", ["call_later", "call_at"])
def test_missing_arguments_are_a_type_error(loop, method, missing):
    with pytest.raises(TypeError):
        getattr(loop, method)(*missing)


@pytest.mark.parametrize("delay", [1, True, fractions.Fraction(1, 1000)])
def test_other_numbers_will_do(loop, delay):
    handle = loop.call_later(delay, print)
    assert handle.when() > loop.time() - 1
    handle.cancel()


def test_a_decimal_cannot_be_added_to_the_clock(loop):
    with pytest.raises(TypeError):
        loop.call_later(decimal.Decimal("0.001"), print)


def test_an_integer_deadline_works(loop):
    ran = []
    loop.call_at(int(loop.time()), ran.append, 1)
    run_turns(loop, 2)
    assert ran == [1]


@pytest.mark.parametrize("method", ["call_later", "call_at"])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 20])
def test_timers_pass_every_argument(loop, method, count):
    got = []
    arguments = tuple(range(count))
    getattr(loop, method)(0, lambda *args: got.append(args), *arguments)
    run_turns(loop, 2)
    assert got == [arguments]


def test_a_timer_gives_a_timer_handle_for_every_delay(loop):
    for delay in (0, -1, 5, math.inf):
        handle = loop.call_later(delay, print)
        assert isinstance(handle, asyncio.TimerHandle)
        assert isinstance(handle.when(), float)
        handle.cancel()


def test_a_timer_that_raises_is_reported_and_the_next_runs(loop):
    errors = collect_errors(loop)
    ran = []
    loop.call_at(1, lambda: 1 / 0)
    loop.call_at(2, ran.append, "next")
    run_turns(loop, 2)
    assert ran == ["next"]
    assert [type(e["exception"]) for e in errors] == [ZeroDivisionError]


@pytest.mark.parametrize("when", [math.inf, 1e300, 1e18])
def test_the_deadline_is_told_as_it_was_given(loop, when):
    handle = loop.call_at(when, print)
    assert handle.when() == when
    handle.cancel()
