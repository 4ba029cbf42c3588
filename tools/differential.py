"""Random task programs on stock asyncio and on asyncloop: same traces?

    tools/differential.py --count 20000 [--start 0] [--jobs 2]
    tools/differential.py --seed 17        show one program and both traces

A program is a tree of statements made from a seed: tasks are created,
awaited, cancelled, shielded, grouped, timed out. What it sees is appended to
a trace. No step depends on the clock: a timeout has expired already, never
expires, or is moved into the past by another task; there is no I/O.

The first difference of a program is shrunk to the statements that matter.
Exit status 1 when there is a difference.
"""

import argparse
import asyncio
import contextvars
import gc
import logging
import multiprocessing
import pprint
import re
import sys
import types
import warnings
from collections.abc import Coroutine, Iterator
from typing import Any

from programs import MAKERS as MAKERS
from programs import NAMES, NESTED, Body, generate
from programs import SIMPLE as SIMPLE

PY312 = sys.version_info >= (3, 12)
PY314 = sys.version_info >= (3, 14)

VAR: contextvars.ContextVar[int] = contextvars.ContextVar("VAR", default=0)
# Turns of the loop before everything is cancelled, and after that.
TURNS = 60
# Runs on stock asyncio that must agree before a difference counts.
AGAIN = 12


class Wrong(Exception):
    """Raised by programs."""


class Fatal(KeyboardInterrupt):
    """Leaves the loop."""


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    import asyncloop

    return asyncloop.new_event_loop()


# --- running them ---------------------------------------------------------

class Ordered(dict):
    """A set that is iterated in order: TaskGroup cancels its tasks so."""

    def add(self, item: object) -> None:
        self[item] = None

    def discard(self, item: object) -> None:
        self.pop(item, None)


class MyTask(asyncio.Task):
    pass


class Wrapped(Coroutine):
    """A coroutine that is not Python's own kind."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def send(self, value: Any) -> Any:
        return self.inner.send(value)

    def throw(self, *args: Any) -> Any:
        return self.inner.throw(*args)

    def close(self) -> None:
        self.inner.close()

    def __await__(self) -> Any:
        return self


class ByHand:
    """Awaits a future without its __await__."""

    def __init__(self, future: Any) -> None:
        self.future = future

    def __await__(self) -> Iterator[Any]:
        if not self.future.done():
            self.future._asyncio_future_blocking = True
            sent = yield self.future
            assert sent is None
        return self.future.result()


class Yield:
    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __await__(self) -> Iterator[Any]:
        return (yield self.thing)


class Odd:
    """Something with the attribute of a future that says no."""

    _asyncio_future_blocking = False

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def __repr__(self) -> str:
        return "<odd>"


@types.coroutine
def old_style(future: Any) -> Any:
    result = yield from future
    return result


def clean(text: str) -> str:
    """Text without what differs between two runs of one program."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"Task-\d+", "Task-N", text)
    # Stock asyncio counts its own create_future as the place.
    text = re.sub(r"created at \S+?:\d+", "created at", text)
    text = re.sub(r"\.\.\.[^\s<>()]*:\d+", "...", text)
    # The wake-up of a task is an object of another kind with each loop.
    text = re.sub(r"TaskWakeup|TaskStepMethWrapper", "wakeup", text)
    return text


def frames(error: BaseException) -> list[str]:
    """The functions that an exception went through, but for the loop's."""
    names, traceback = [], error.__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    loop = ("run", "run_forever", "_run_once", "_run")
    return [name for name in names if name not in loop]


def told(error: BaseException | None, depth: int = 3) -> str:
    if error is None or depth == 0:
        return "-"
    if isinstance(error, BaseExceptionGroup):
        inner = ",".join(told(e, depth - 1) for e in error.exceptions)
        return f"group[{inner}]"
    text = f"{type(error).__name__}{clean(repr(error.args))}"
    return (
        f"{text}<{told(error.__cause__, depth - 1)}"
        f"|{told(error.__context__, depth - 1)}"
        f"|{','.join(frames(error))}>"
    )


class Machine:
    """Interprets one program on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.trace: list[str] = []
        self.tasks: dict[int, Any] = {}
        self.futures = {n: loop.create_future() for n in range(NAMES)}
        self.timeouts: dict[int, asyncio.Timeout] = {}
        self.callbacks: dict[int, Any] = {}
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()
        self.queue: asyncio.Queue[int] = asyncio.Queue(2)
        self.made = 0
        self.turns = 0
        self.other = self.foreign_future()
        loop.set_exception_handler(self.report)

    def foreign_future(self) -> Any:
        future: Any = asyncio.Future(loop=OTHER)
        return future

    # What is written down.

    def log(self, *what: Any) -> None:
        try:
            current = asyncio.current_task(self.loop)
        except RuntimeError:
            current = None
        name = "-" if current is None else clean(current.get_name())
        words = " ".join(map(str, what))
        self.trace.append(f"{name} {VAR.get()}: {words}")

    def report(self, loop: Any, context: dict[str, Any]) -> None:
        task = context.get("task") or context.get("future")
        name = getattr(task, "get_name", lambda: "future")()
        keys = ",".join(sorted(context))
        message = clean(context["message"])
        error = context.get("exception")
        self.log("REPORT", message, clean(name), keys, told(error))

    def collect(self) -> None:
        """What is collected together goes in no particular order, so what
        it does on its way out depends on chance."""
        start = len(self.trace)
        gc.collect()
        reports = (line for line in self.trace[start:] if "REPORT" in line)
        self.trace[start:] = sorted(reports)

    def ignored(self, unraisable: Any) -> None:
        self.log("IGNORED", told(unraisable.exc_value))

    def describe(self, future: Any) -> str:
        if future is None:
            return "none"
        waiter = getattr(future, "_fut_waiter", None)
        parts = [
            clean(repr(future)) if not self.loop.get_debug() else "",
            future._state,
            f"callbacks={len(future._callbacks or ())}",
            f"must={getattr(future, '_must_cancel', '')}",
            f"waiter={type(waiter).__name__ if waiter is None else 'some'}",
            f"msg={future._cancel_message!r}",
            f"tb={future._log_traceback}",
        ]
        if hasattr(future, "cancelling"):
            parts.append(f"cancelling={future.cancelling()}")
            stack = [f.f_code.co_name for f in future.get_stack()]
            if "run_forever" in stack or "run" in stack:
                stack = stack[stack.index("main"):]  # the loop's are above
            parts.append(f"stack={stack}")
        return " ".join(parts)

    def known(self) -> str:
        tasks = asyncio.all_tasks(self.loop)
        return " ".join(sorted(clean(t.get_name()) for t in tasks))

    # Tasks and callbacks.

    def spawn(self, slot: int, body: Body, maker: str) -> Any:
        self.made += 1
        name = f"t{self.made}"
        coro: Any = self.main(body, name)
        loop = self.loop
        if maker == "wrapped":
            coro = Wrapped(coro)
        if maker == "eager" and PY312 and self.inside():
            task = asyncio.Task(coro, loop=loop, name=name, eager_start=True)
        elif maker == "Task":
            task = asyncio.Task(coro, loop=loop, name=name)
        elif maker == "python":
            task = asyncio.tasks._PyTask(coro, loop=loop, name=name)
        elif maker == "subclass":
            task = MyTask(coro, loop=loop, name=name)
        elif maker == "ensure_future":
            task = asyncio.ensure_future(coro, loop=loop)
            # A number would sort before or after others by chance.
            task.set_name(name)
        elif maker == "context":
            context = contextvars.Context()
            context.run(VAR.set, 100 + self.made)
            task = loop.create_task(coro, name=name, context=context)
        else:
            task = loop.create_task(coro, name=name)
        self.tasks[slot] = task
        return task

    def inside(self) -> bool:
        return asyncio._get_running_loop() is self.loop

    def act(self, action: tuple, future: Any = None) -> None:
        """A callback."""
        name, which = action[:2]
        self.log("callback", *(() if name == "spawn" else action))
        if future is not None:
            self.log("of", future._state)
        if name == "spawn":
            self.spawn(*action[1:])
        elif name == "cancel" and which in self.tasks:
            self.log(self.tasks[which].cancel("callback"))
        elif name == "expire":
            self.expire(which)
        elif name == "wrong":
            raise Wrong("callback")
        elif name == "fatal":
            raise Fatal("callback")
        elif name == "call_soon":
            self.loop.call_soon(self.act, which)
        elif name == "known":
            self.log(self.known())
        elif name == "collect":
            self.collect()
        elif name in ("set_result", "set_exception", "cancel_future"):
            self.settle(name, which)

    def settle(self, how: str, which: int, msg: str | None = None) -> None:
        future = self.futures[which]
        if how == "set_result":
            future.set_result(which)
        elif how == "set_exception":
            future.set_exception(Wrong(f"future {which}"))
        else:
            self.log(future.cancel(msg))

    def expire(self, slot: int) -> None:
        if slot in self.timeouts:
            self.timeouts[slot].reschedule(self.loop.time() - 1)

    # Statements.

    async def main(self, body: Body, name: str) -> str:
        self.log("start", name)
        try:
            await self.body(body)
        except BaseException as error:
            self.log("leaves by", told(error))
            raise
        self.log("end", name)
        return name

    async def body(self, body: Body) -> None:
        for statement in body:
            await self.statement(statement)

    async def statement(self, statement: tuple) -> None:
        name, *args = statement
        operation = getattr(self, "do_" + name)
        if name in NESTED or name == "fatal":
            await operation(*args)
            return
        guarded = args.pop()
        try:
            result = await operation(*args)
        except Exception as error:
            self.log(name, *args, "raised", told(error))
            if not guarded:
                raise
        else:
            self.log(name, *args, "gave", clean(repr(result)))

    async def do_log(self) -> None:
        self.log("here")

    async def do_sleep0(self) -> None:
        await asyncio.sleep(0)

    async def do_spin(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def do_tick(self) -> None:
        await asyncio.sleep(1e-9)

    async def do_await(self, slot: int) -> Any:
        if slot in self.tasks:
            return await self.tasks[slot]

    async def do_await_future(self, slot: int) -> Any:
        return await self.futures[slot]

    async def do_cancel(self, slot: int, msg: str | None) -> Any:
        if slot in self.tasks:
            return self.tasks[slot].cancel(msg)

    async def do_cancel_self(self, msg: str | None) -> Any:
        task: Any = asyncio.current_task()
        return task.cancel(msg), task.cancelling(), task._must_cancel

    async def do_uncancel(self, slot: int) -> Any:
        if slot in self.tasks:
            task = self.tasks[slot]
            return task.uncancel(), task._must_cancel

    async def do_set_result(self, slot: int) -> None:
        self.settle("set_result", slot)

    async def do_set_exception(self, slot: int) -> None:
        self.settle("set_exception", slot)

    async def do_cancel_future(self, slot: int, msg: str | None) -> None:
        self.settle("cancel", slot, msg)

    async def do_soon_result(self, slot: int) -> None:
        self.loop.call_soon(self.settle, "set_result", slot)

    async def do_new_future(self, slot: int) -> None:
        self.futures[slot] = self.loop.create_future()

    async def do_shield(self, slot: int) -> Any:
        if slot in self.tasks:
            return await asyncio.shield(self.tasks[slot])

    async def do_shield_future(self, slot: int) -> Any:
        return await asyncio.shield(self.futures[slot])

    async def do_wait_for(self, slot: int, delay: float | None) -> Any:
        if slot in self.tasks:
            return await asyncio.wait_for(self.tasks[slot], delay)

    async def do_wait_for_future(self, slot: int, delay: float | None) -> Any:
        return await asyncio.wait_for(self.futures[slot], delay)

    async def do_gather(self, slots: tuple, catch: bool) -> Any:
        tasks = [self.tasks[s] for s in slots if s in self.tasks]
        result = await asyncio.gather(*tasks, return_exceptions=catch)
        return [
            told(r) if isinstance(r, BaseException) else r for r in result
        ]

    async def do_wait(self, slots: tuple, when: str) -> Any:
        tasks = [self.tasks[s] for s in slots if s in self.tasks]
        if asyncio.current_task() in tasks:
            return "not itself"
        done, pending = await asyncio.wait(
            tasks, return_when=getattr(asyncio, when)
        )
        return len(done), len(pending)

    async def do_as_completed(self, slots: tuple) -> Any:
        tasks = [self.tasks[s] for s in slots if s in self.tasks]
        # It makes a set of them: those done come out in any order.
        waiting = [t for t in tasks if not t.done()]
        results = []
        for coming in asyncio.as_completed(waiting):
            results.append(await coming)
        return results

    async def do_expire(self, slot: int) -> None:
        self.expire(slot)

    async def do_set_var(self, value: int) -> None:
        VAR.set(value)

    async def do_wrong(self) -> None:
        raise Wrong("statement")

    async def do_cancelled(self) -> None:
        raise asyncio.CancelledError("by hand")

    async def do_fatal(self) -> None:
        raise Fatal("statement")

    async def do_state(self, slot: int) -> str:
        return self.describe(self.tasks.get(slot))

    async def do_future_state(self, slot: int) -> str:
        return self.describe(self.futures[slot])

    async def do_known(self) -> str:
        return self.known()

    async def do_done_callback(self, slot: int, action: tuple) -> None:
        if slot in self.tasks:
            task, act = self.tasks[slot], self.act
            callback = self.callbacks[slot] = lambda f: act(action, f)
            task.add_done_callback(callback)

    async def do_future_callback(self, slot: int, action: tuple) -> None:
        act = self.act
        self.futures[slot].add_done_callback(lambda f: act(action, f))

    async def do_remove_callback(self, slot: int) -> Any:
        if slot in self.tasks:
            callback = self.callbacks.get(slot)
            return self.tasks[slot].remove_done_callback(callback)

    async def do_call_soon(self, action: tuple) -> None:
        self.loop.call_soon(self.act, action)

    async def do_call_later(self, action: tuple) -> None:
        self.loop.call_later(0, self.act, action)

    async def do_by_hand(self, slot: int) -> Any:
        return await ByHand(self.futures[slot])

    async def do_bad_yield(self, thing: str) -> None:
        things = {
            "number": lambda: 5,
            "generator": lambda: (n for n in ()),
            "attribute": Odd,
        }
        await Yield(things[thing]())

    async def do_await_self(self) -> None:
        await asyncio.current_task()  # type: ignore[misc]

    async def do_foreign(self) -> None:
        await self.other

    async def do_drop(self, slot: int) -> None:
        self.tasks.pop(slot, None)

    async def do_drop_future(self, slot: int) -> None:
        self.futures[slot] = self.loop.create_future()

    async def do_collect(self) -> None:
        self.collect()

    async def do_lock(self) -> None:
        async with self.lock:
            await asyncio.sleep(0)

    async def do_event_wait(self) -> None:
        await self.event.wait()

    async def do_event_set(self) -> None:
        self.event.set()

    async def do_put(self) -> None:
        await self.queue.put(1)

    async def do_get(self) -> int:
        return await self.queue.get()

    async def do_generator(self, slot: int) -> Any:
        return await old_style(self.futures[slot])

    async def do_debug(self, on: bool) -> None:
        self.loop.set_debug(on)

    async def do_rename(self, slot: int) -> Any:
        if slot in self.tasks:
            task = self.tasks[slot]
            task.set_name(task.get_name() + "'")
            return task.get_name()

    async def do_spawn(self, slot: int, body: Body, maker: str) -> None:
        self.spawn(slot, body, maker)

    async def do_call(self, body: Body) -> None:
        await self.body(body)

    async def do_try(self, kind: str, body: Body, more: Body) -> None:
        try:
            await self.body(body)
        except asyncio.CancelledError as error:
            self.log("try saw", told(error))
            if kind != "swallow":
                raise
            await self.body(more)
        except Exception as error:
            self.log("try saw", told(error))
            if kind == "except":
                await self.body(more)
            elif kind == "log":
                raise
        finally:
            if kind == "finally":
                await self.body(more)

    async def do_timeout(
        self, slot: int, delay: float | None, body: Body
    ) -> None:
        try:
            async with asyncio.timeout(delay) as timeout:
                self.timeouts[slot] = timeout
                await self.body(body)
        except TimeoutError as error:
            self.log("timed out", told(error))
        self.log("timeout", timeout.expired())

    async def do_group(self, bodies: tuple, body: Body) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group._tasks = Ordered()  # type: ignore[attr-defined]
                for inner in bodies:
                    self.made += 1
                    name = f"t{self.made}"
                    group.create_task(self.main(inner, name), name=name)
                await self.body(body)
        except* Wrong as error:
            self.log("group saw", told(error))

    async def do_context(self, body: Body) -> None:
        context = contextvars.copy_context()
        context.run(VAR.set, 50)
        self.made += 1
        name = f"t{self.made}"
        await self.loop.create_task(
            self.main(body, name), name=name, context=context
        )

    # The whole.

    def tick(self) -> None:
        """Once in each turn: end the program when it goes on for too long."""
        self.turns += 1
        if self.turns % TURNS == 0:
            try:
                self.cancel_everything()
            except RecursionError as error:
                self.log(type(error).__name__)
        idle = self.turns % 8 == 0 and not asyncio.all_tasks(self.loop)
        if idle or self.turns >= 4 * TURNS:
            self.loop.stop()
        else:
            self.loop.call_soon(self.tick)

    def cancel_everything(self) -> None:
        self.log("everything is cancelled")
        for future in self.futures.values():
            future.cancel()
        tasks = asyncio.all_tasks(self.loop)
        for task in sorted(tasks, key=lambda t: t.get_name()):
            task.cancel("the end")

    def run(self, program: Body) -> list[str]:
        self.loop.call_soon(self.tick)
        self.spawn(NAMES, program, "create_task")
        for _ in range(5):
            try:
                self.loop.run_forever()
                break
            except Fatal as error:
                self.log("FATAL", told(error))
                self.loop.call_soon(self.tick)
        self.log("left", self.known(), self.turns)
        return self.trace


OTHER: Any = None


def comparable(trace: list[str]) -> list[str]:
    """The traceback of an exception that went up to the loop holds the loop's
    frames, and with stock asyncio the task through its handle: such a task
    goes when the collector comes, and what it says then is left out.
    """
    if not any("FATAL" in t or "Exception in callback" in t for t in trace):
        return trace
    return [line for line in trace if "was never retrieved" not in line]


def ended(machine: Machine) -> None:
    """Everything of the program is gone, and says so."""
    start = len(machine.trace)
    is_stuck = bool(asyncio.all_tasks(machine.loop))
    machine.tasks.clear()
    machine.futures.clear()
    machine.callbacks.clear()
    machine.timeouts.clear()
    gc.collect()
    # In no particular order, and without what tasks do on their way out.
    machine.trace[start:] = sorted(
        line for line in machine.trace[start:] if "REPORT" in line
    )
    if is_stuck:
        # They wait for one another; which of them hears of it first is the
        # collector's own affair.
        del machine.trace[start:]


def run(program: Body, kind: str) -> list[str]:
    """The trace of a program on one kind of loop."""
    global OTHER
    if OTHER is None:
        OTHER = asyncio.SelectorEventLoop()
    loop = new_loop(kind)
    asyncio.set_event_loop(None)
    collecting, hook = gc.isenabled(), sys.unraisablehook
    gc.disable()
    VAR.set(0)
    try:
        machine = Machine(loop)
        sys.unraisablehook = machine.ignored
        contextvars.copy_context().run(machine.run, program)
        ended(machine)
        # A copy: what is in a cycle may still have something to say.
        trace = comparable(list(machine.trace))
    finally:
        loop.close()
        sys.unraisablehook = hook
        if collecting:
            gc.enable()
    return trace


def close() -> None:
    """The loop that foreign futures belong to."""
    global OTHER
    if OTHER is not None:
        OTHER.close()
        OTHER = None


# --- comparing ------------------------------------------------------------

def is_deep(trace: list[str]) -> bool:
    """Tasks that wait in a circle are cancelled until the stack ends, and
    where that is depends on who called."""
    return any("RecursionError" in line for line in trace)


def differs(program: Body, kind: str = "asyncloop") -> bool:
    stock, ours = run(program, "asyncio"), run(program, kind)
    if stock == ours or is_deep(stock):
        return False
    # Not the loop's doing when stock asyncio does not agree with itself:
    # some of what it keeps in sets goes in the order of addresses.
    return all(run(program, "asyncio") == stock for _ in range(AGAIN))


def smaller(body: Any) -> Iterator[Any]:
    """The program without one of its parts, for each of them."""
    for index, part in enumerate(body):
        if isinstance(part, tuple) and part and isinstance(part[0], str):
            yield body[:index] + body[index + 1:]
    for index, part in enumerate(body):
        if isinstance(part, tuple):
            if part and part[0] in ("call", "try", "timeout", "group"):
                for inner in part[1:]:
                    if isinstance(inner, tuple) and inner:
                        if isinstance(inner[0], tuple):
                            yield body[:index] + inner + body[index + 1:]
            for changed in smaller(part):
                yield body[:index] + (changed,) + body[index + 1:]


def shrink(program: Body, kind: str = "asyncloop") -> Body:
    """The fewest statements that still differ."""
    again = True
    while again:
        again = False
        for attempt in smaller(program):
            try:
                still = differs(attempt, kind)
            except Exception:
                continue  # not a program any more
            if still:
                program, again = attempt, True
                break
    return program


def show(program: Body, kind: str) -> str:
    """Both traces beside their first difference."""
    stock, ours = run(program, "asyncio"), run(program, kind)
    lines = [pprint.pformat(program, width=78)]
    for number, (left, right) in enumerate(zip(stock, ours)):
        if left != right:
            lines += [*stock[:number][-12:], f"asyncio:   {left}",
                      f"{kind}: {right}"]
            break
    else:
        lines.append(f"lengths: {len(stock)} and {len(ours)}")
        shared = min(len(stock), len(ours))
        lines += stock[shared - 5:] + ["--"] + ours[shared - 5:]
    return "\n".join(lines)


def check(seed: int) -> int | None:
    """The seed, if its program differs."""
    return seed if differs(generate(seed)) else None


def prepare() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    gc.collect()
    gc.freeze()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, help="show this one only")
    parser.add_argument("--no-shrink", action="store_true")
    options = parser.parse_args()
    prepare()
    if options.seed is not None:
        program = generate(options.seed)
        print(show(program, "asyncloop"))
        return int(differs(program))
    seeds = range(options.start, options.start + options.count)
    # Forked once they are warm; each takes its share in small portions.
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, prepare) as pool:
        found = [
            seed for seed in pool.imap(check, seeds, chunksize=50)
            if seed is not None
        ]
    import asyncloop

    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"{options.count} programs on {version}, tasks "
        f"{asyncloop.build_info()['tasks']}: {len(found)} differ {found[:20]}"
    )
    if found:
        program = generate(found[0])
        if not options.no_shrink:
            program = shrink(program)
        print(show(program, "asyncloop"))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
