"""fork: the parent's loop is the parent's."""

import os

import pytest

if not hasattr(os, "fork"):
    pytest.skip("this system has no fork", allow_module_level=True)

# What the programs share: run `work` in a forked child and tell its end.
FORK = """
def in_child(work):
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def program(body: str) -> str:
    import textwrap
    return FORK + textwrap.dedent(body)


def test_a_child_makes_a_loop_of_its_own(child):
    out = child.succeed(program("""
        loop = new_loop()
        loop.run_until_complete(asyncio.sleep(0))

        def work():
            own = new_loop()
            print(own.run_until_complete(asyncio.sleep(0.001, "child")))
            own.close()

        print(in_child(work))
        print(loop.run_until_complete(asyncio.sleep(0.001, "parent")))
        loop.close()
    """))
    assert out == "child\n0\nparent\n"


def test_a_child_of_a_running_loop_makes_its_own(child):
    out = child.succeed(program("""
        async def main():
            def work():
                own = new_loop()
                print(own.run_until_complete(asyncio.sleep(0.001, "child")))
                own.close()
            status = in_child(work)
            await asyncio.sleep(0.001)
            return status

        loop = new_loop()
        print(loop.run_until_complete(main()))
        loop.close()
    """))
    assert out == "child\n0\n"


@pytest.mark.native_only(reason="asyncio lets the child run a loop whose "
                                "poller it shares with the parent")
@pytest.mark.parametrize("method", ["run_forever()",
                                    "run_until_complete(future)"])
def test_a_child_cannot_run_the_parents_loop(child, method):
    out = child.succeed(program(f"""
        loop = new_loop()
        future = loop.create_future()
        loop.run_until_complete(asyncio.sleep(0))

        def work():
            try:
                loop.{method}
            except RuntimeError as error:
                print("fork" in str(error))

        print(in_child(work))
        print(loop.run_until_complete(asyncio.sleep(0.001, "parent")))
        loop.close()
    """))
    assert out == "True\n0\nparent\n"


@pytest.mark.native_only(reason="asyncio's poller is shared with the child, "
                                "which takes the parent's readers out of it")
@pytest.mark.parametrize("way", ["close", "collect", "remove", "leave"])
def test_the_parent_is_undisturbed_whatever_the_child_does(child, way):
    out = child.succeed(program(f"""
        way = {way!r}
        loop = new_loop()
        reader, writer = os.pipe()
        got = []
        loop.add_reader(reader, lambda: (got.append(os.read(reader, 1)),
                                         loop.stop()))
        timer = loop.call_later(0.05, got.append, "timer")
        loop.run_until_complete(asyncio.sleep(0))

        def work():
            global loop, timer
            import warnings
            warnings.simplefilter("ignore")
            if way == "close":
                loop.close()
            elif way == "remove":
                loop.remove_reader(reader)
                timer.cancel()
            elif way == "collect":
                loop = timer = None
                gc.collect()
            own = new_loop()
            own.run_until_complete(asyncio.sleep(0.001))
            own.close()

        print(in_child(work))
        os.write(writer, b"x")
        loop.run_forever()
        while len(got) < 2:
            loop.run_until_complete(asyncio.sleep(0.01))
        print(sorted(map(str, got)))
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()
        loop.remove_reader(reader)
        loop.close()
    """))
    assert out == "0\n[\"b'x'\", 'timer']\n"


def test_a_parent_is_woken_by_threads_after_a_fork(child):
    out = child.succeed(program("""
        loop = new_loop()
        loop.run_until_complete(asyncio.sleep(0))
        print(in_child(lambda: None))
        thread = threading.Timer(
            0.02, loop.call_soon_threadsafe, (loop.stop,))
        thread.start()
        loop.run_forever()
        thread.join()
        loop.close()
        print("woken")
    """))
    assert out == "0\nwoken\n"


def test_a_parent_hears_signals_after_a_fork(child):
    out = child.succeed(program("""
        loop = new_loop()
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        print(in_child(lambda: None))
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        loop.run_forever()
        loop.close()
        print("heard")
    """))
    assert out == "0\nheard\n"


@pytest.mark.native_only(reason="asyncio's child writes into the wake-up "
                                "descriptor that it shares with the parent")
def test_a_signal_to_the_child_is_not_heard_by_the_parent(child):
    out = child.succeed(program("""
        loop = new_loop()
        heard = []
        loop.add_signal_handler(signal.SIGUSR1, heard.append, 1)
        loop.run_until_complete(asyncio.sleep(0))
        async def main():
            def work():
                os.kill(os.getpid(), signal.SIGUSR1)
            status = in_child(work)
            await asyncio.sleep(0.05)
            return status
        print(loop.run_until_complete(main()), heard)
        loop.close()
    """))
    assert out == "0 []\n"


def test_a_process_pool_made_by_fork_works(child):
    out = child.succeed("""
        import concurrent.futures, multiprocessing, warnings
        warnings.simplefilter("ignore")

        async def main():
            loop = asyncio.get_running_loop()
            context = multiprocessing.get_context("fork")
            with concurrent.futures.ProcessPoolExecutor(
                2, mp_context=context
            ) as pool:
                return await asyncio.gather(*(
                    loop.run_in_executor(pool, abs, -n) for n in range(10)
                ))

        loop = new_loop()
        print(sum(loop.run_until_complete(main())))
        loop.close()
    """)
    assert out == "45\n"


def test_the_child_can_exit_in_the_usual_way(child):
    """With the interpreter's whole shutdown, and the loop still there."""
    out = child.succeed("""
        loop = new_loop()
        loop.call_later(100, print)
        loop.run_until_complete(asyncio.sleep(0))
        pid = os.fork()
        if not pid:
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(loop.run_until_complete(asyncio.sleep(0.001, "parent")))
        loop.close()
    """)
    assert out == "7\nparent\n"


def test_what_waits_to_be_sent_is_sent_by_the_parent_only(child):
    out = child.succeed(program("""
        import contextlib
        import socket

        ours, peer = socket.socketpair()
        loop = new_loop()

        def work():
            with contextlib.suppress(RuntimeError):  # asyncio's: it runs
                loop.close()

        async def main():
            transport, protocol = await loop.create_connection(
                asyncio.Protocol, sock=ours
            )
            done = loop.create_future()
            loop.call_soon(transport.write, b"once")
            loop.call_soon(lambda: done.set_result(in_child(work)))
            print(await done)
            transport.close()
            await asyncio.sleep(0)

        loop.run_until_complete(main())
        loop.close()
        data = b""
        while piece := peer.recv(100):
            data += piece
        print(data)
    """))
    assert out == "0\nb'once'\n"
