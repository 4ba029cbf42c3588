"""Hostile programs: each in a process of its own, which must end well."""

import pytest


def test_collecting_garbage_in_every_callback(child):
    out = child.succeed("""
        loop = new_loop()
        class Node: pass
        def work(left):
            node = Node()
            node.self = node
            node.handle = loop.call_soon(gc.collect, 0)
            node.timer = loop.call_later(0, gc.collect, 0)
            node.lost = loop.call_later(1000, node.__class__)
            if left:
                loop.call_soon(work, left - 1)
            else:
                loop.call_later(0.001, loop.stop)
        gc.set_threshold(1)
        loop.call_soon(work, 200)
        loop.run_forever()
        loop.close()
        print("done")
    """)
    assert out == "done\n"


def test_a_callback_that_cancels_its_own_handle(child):
    out = child.succeed("""
        loop = new_loop()
        handles = {}
        class Callback:
            def __init__(self, name):
                self.name = name
            def __call__(self, *args):
                handles.pop(self.name).cancel()
                gc.collect()
                assert args == ("a" * 10, [1], 2, 3, 4, 5), args
        for name in range(100):
            args = ("a" * 10, [1], 2, 3, 4, 5)
            if name % 2:
                handles[name] = loop.call_soon(Callback(name), *args)
            else:
                handles[name] = loop.call_later(0, Callback(name), *args)
        while handles:
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        print("done")
    """)
    assert out == "done\n"


def test_a_callback_that_cancels_everything(child):
    out = child.succeed("""
        loop = new_loop()
        handles = []
        def cancel_all():
            for handle in handles:
                handle.cancel()
            handles.clear()
        handles.append(loop.call_soon(cancel_all))
        for n in range(1000):
            handles.append(loop.call_soon(print, "never"))
            handles.append(loop.call_later(0, print, "never"))
            handles.append(loop.call_later(n / 1e5, print, "never"))
        loop.call_later(0.02, loop.stop)
        loop.run_forever()
        loop.close()
        print("done")
    """)
    assert out == "done\n"


def test_a_loop_cannot_be_closed_by_its_own_callbacks(child):
    out = child.succeed("""
        loop = new_loop()
        errors = []
        loop.set_exception_handler(
            lambda _, c: errors.append(type(c["exception"]).__name__))
        loop.call_soon(loop.close)
        loop.call_later(0, loop.close)
        reader, writer = os.pipe()
        os.write(writer, b"x")
        def read():
            loop.remove_reader(reader)
            loop.close()
        loop.add_reader(reader, read)
        async def main():
            try:
                loop.close()
            except RuntimeError:
                errors.append("task")
            await asyncio.sleep(0.01)
        loop.run_until_complete(main())
        print(sorted(errors), loop.is_closed())
        loop.close()
    """)
    assert out == (
        "['RuntimeError', 'RuntimeError', 'RuntimeError', 'task'] False\n"
    )


def test_a_million_callbacks(child):
    out = child.succeed("""
        loop = new_loop()
        count = 0
        def tick(n):
            global count
            count += 1
            assert n == count
        for n in range(1, 10**6 + 1):
            loop.call_soon(tick, n)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        print(count)
    """)
    assert out == "1000000\n"


def test_a_million_timers_made_and_cancelled(child):
    out = child.succeed("""
        loop = new_loop()
        for n in range(10**6):
            loop.call_later(100 + n % 7, print, n).cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
        print(len(loop._scheduled) < 1000)
        loop.close()
    """)
    assert out == "True\n"


def test_endless_recursion_in_a_callback(child):
    out = child.succeed("""
        loop = new_loop()
        errors = []
        loop.set_exception_handler(
            lambda _, c: errors.append(type(c["exception"]).__name__))
        def down():
            down()
        async def task():
            down()
        for _ in range(3):
            loop.call_soon(down)
        try:
            loop.run_until_complete(task())
        except RecursionError:
            errors.append("task")
        print(errors)
        loop.close()
    """)
    assert out == str(["RecursionError"] * 3 + ["task"]) + "\n"


def test_a_recursion_limit_reached_inside_the_loop(child):
    """Little is left of the stack when the loop itself is called."""
    out = child.succeed("""
        loop = new_loop()
        loop.set_exception_handler(lambda *_: None)
        def down(depth):
            try:
                loop.call_soon(int)
                loop.call_later(0, int).cancel()
                loop.create_future().add_done_callback(int)
                down(depth + 1)
            except RecursionError:
                pass
        loop.call_soon(down, 0)
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        loop.close()
        print("done")
    """)
    assert out == "done\n"


def test_finalizers_that_raise_and_schedule(child):
    done = child.run("""
        loop = new_loop()
        ran = []
        class Bad:
            def __del__(self):
                loop.call_soon(ran.append, 1)
                loop.call_later(0, ran.append, 1)
                raise LookupError("in __del__")
        for _ in range(50):
            loop.call_soon(lambda own: None, Bad())
            loop.call_later(0, lambda own: None, Bad())
            loop.call_soon(lambda own: None, Bad()).cancel()
            loop.call_later(5, lambda own: None, Bad()).cancel()
        loop.call_later(0.05, loop.stop)
        loop.run_forever()
        loop.close()
        print(len(ran))
    """)
    assert (done.returncode, done.stdout) == (0, "400\n"), done.stderr
    assert done.stderr.count("LookupError: in __del__") == 200


def test_finalizers_that_cancel_while_they_are_cancelled(child):
    out = child.succeed("""
        loop = new_loop()
        class Chain:
            def __init__(self, handle):
                self.handle = handle
            def __del__(self):
                self.handle.cancel()
        for make in (loop.call_soon, lambda *a: loop.call_later(9, *a)):
            handle = make(int)
            for _ in range(300):
                handle = make(lambda own: None, Chain(handle))
            handle.cancel()
        del handle
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        loop.close()
        print("done")
    """)
    assert out == "done\n"


def test_a_finalizer_that_runs_at_close_and_uses_the_loop(child):
    out = child.succeed("""
        loop = new_loop()
        told = []
        class Late:
            def __del__(self):
                try:
                    loop.call_soon(int)
                    told.append("scheduled")
                except RuntimeError as error:
                    told.append(str(error))
        loop.call_soon(lambda own: None, Late())
        loop.call_later(9, lambda own: None, Late())
        loop.close()
        gc.collect()
        print(len(told), loop.is_closed())
    """)
    assert out == "2 True\n"


def test_handles_dropped_from_another_thread(child):
    out = child.succeed("""
        loop = new_loop()
        box = []
        def dropper():
            for _ in range(20000):
                try:
                    handle = box.pop()
                    if id(handle) % 3 == 0:
                        handle.cancel()
                    del handle
                except IndexError:
                    pass
        thread = threading.Thread(target=dropper)
        thread.start()
        def work():
            for _ in range(100):
                box.append(loop.call_soon(int))
                box.append(loop.call_later(0, int))
                box.append(loop.call_later(100, int))
            if thread.is_alive():
                loop.call_soon(work)
            else:
                loop.stop()
        loop.call_soon(work)
        loop.run_forever()
        thread.join()
        box.clear()
        loop.close()
        print("done")
    """)
    assert out == "done\n"


def test_the_last_reference_to_a_loop_dies_in_another_thread(child):
    out = child.succeed("""
        import warnings
        warnings.simplefilter("ignore")
        for closed in (True, False) * 10:
            loop = new_loop()
            loop.call_later(100, print)
            loop.run_until_complete(asyncio.sleep(0))
            if closed:
                loop.close()
            box = [loop]
            del loop
            def drop():
                box.clear()
                gc.collect()
            thread = threading.Thread(target=drop)
            thread.start()
            thread.join()
        print("done")
    """)
    assert out == "done\n"


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit",
                                   "GeneratorExit", "BaseException"])
def test_base_exceptions_from_everywhere(child, error):
    out = child.succeed(f"""
        loop = new_loop()
        loop.set_exception_handler(lambda *_: None)
        reader, writer = os.pipe()
        os.write(writer, b"x")
        def fail(*_):
            raise {error}
        async def task():
            fail()
        def remove_and_fail():
            loop.remove_reader(reader)
            fail()
        kept = []
        starts = [
            lambda: loop.call_soon(fail),
            lambda: loop.call_later(0, fail),
            lambda: loop.call_soon_threadsafe(fail),
            lambda: loop.add_reader(reader, remove_and_fail),
            lambda: kept.append(loop.create_task(task())),
            lambda: loop.create_future().add_done_callback(fail),
        ]
        for start in starts:
            start()
            for _ in range(5):
                try:
                    loop.call_soon(loop.stop)
                    loop.run_forever()
                except BaseException as caught:
                    assert type(caught) is {error}
        [task.exception() for task in kept]
        print(loop.run_until_complete(asyncio.sleep(0.001, "usable")))
        loop.close()
    """)
    assert out == "usable\n"


def test_a_loop_run_from_a_deep_stack(child):
    out = child.succeed("""
        loop = new_loop()
        def down(depth):
            if depth:
                return down(depth - 1)
            return loop.run_until_complete(asyncio.sleep(0, "deep"))
        print(down(500))
        loop.close()
    """)
    assert out == "deep\n"


@pytest.mark.native_only(reason="asyncio's heap takes deadlines that cannot "
                                "be compared, and fails in the run")
def test_arguments_of_wrong_kinds_crash_nothing(child):
    out = child.succeed("""
        loop = new_loop()
        loop.set_exception_handler(lambda *_: None)
        things = [None, 0, -1, 2**63, 1e308, float("nan"), "", b"", (), [],
                  {}, object(), type, len, loop, lambda: None, Ellipsis]
        names = ["call_soon", "call_later", "call_at", "call_soon_threadsafe",
                 "add_reader", "remove_reader", "add_writer", "remove_writer",
                 "add_signal_handler", "remove_signal_handler", "create_task",
                 "set_task_factory", "set_exception_handler", "set_debug",
                 "call_exception_handler", "run_until_complete",
                 "default_exception_handler", "set_default_executor"]
        import logging
        logging.disable()
        tried = 0
        for name in names:
            for one in things:
                for rest in [(), *((thing,) for thing in things)]:
                    tried += 1
                    if isinstance(one, int) and 0 <= one < 3 and (
                            "reader" in name or "writer" in name):
                        continue  # the child's own stdin and output
                    try:
                        getattr(loop, name)(one, *rest)
                    except Exception:
                        pass
                    if name.startswith("set_"):
                        loop.set_task_factory(None)
                        loop.set_exception_handler(lambda *_: None)
                        loop.set_debug(False)
        loop.call_soon(loop.stop)
        loop.run_forever()
        print(tried > 1000)
        loop.close()
    """)
    assert out == "True\n"


def test_a_replaced_reader_whose_end_removes_the_new_one(child):
    """The transports' method returns a handle that the watch has lost."""
    out = child.succeed("""
        import socket
        loop = new_loop()
        ours, theirs = socket.socketpair()
        class Old:
            def __call__(self):
                pass
            def __del__(self):
                loop._remove_reader(ours.fileno())
        for _ in range(50):
            loop._add_reader(ours.fileno(), Old())
            handle = loop._add_reader(ours.fileno(), print, "never")
            others = [loop.call_soon(int) for _ in range(20)]
            assert handle not in others
            assert handle.cancelled()
            del handle, others
        theirs.send(b"x")
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        loop.close()
        ours.close()
        theirs.close()
        print("done")
    """)
    assert out == "done\n"
