"""The end of the interpreter, and forked children."""

import textwrap

import pytest

POOL = """
def Pool(*args, **kwargs):
    if KIND == "asyncio":
        from concurrent.futures import ThreadPoolExecutor
    else:
        from asyncloop import ThreadPoolExecutor
    return ThreadPoolExecutor(*args, **kwargs)

def in_child(work):
    '''The exit status of a child that does this work.'''
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(20)
            work()
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def program(text):
    """The text, after the helpers; forks of threaded programs warn."""
    warnings = "import warnings\nwarnings.simplefilter('ignore')\n"
    return warnings + POOL + textwrap.dedent(text)


# --- exit -------------------------------------------------------------------


def test_the_exit_waits_for_what_runs_and_what_waits(child):
    out = child.succeed(program("""
        pool = Pool(1)
        def work(n):
            time.sleep(0.05)
            print(n)
        for n in range(3):
            pool.submit(work, n)
    """))
    assert out == "0\n1\n2\n"


def test_the_exit_waits_for_functions_of_a_loop(child):
    out = child.succeed(program("""
        loop = new_loop()
        pool = Pool(1)
        begun = threading.Event()
        def work():
            begun.set()
            time.sleep(0.05)
            print("ended")
        loop.run_in_executor(pool, work)
        loop.run_in_executor(pool, print, "next")
        begun.wait()
        loop.close()
        print("closed")
    """))
    assert out == "closed\nended\nnext\n"


def test_the_exit_with_idle_workers_is_prompt(child):
    out = child.succeed(program("""
        loop = new_loop()
        async def main():
            barrier = threading.Barrier(3)
            await asyncio.gather(*(
                loop.run_in_executor(None, barrier.wait) for _ in range(3)
            ))
            loop.run_until_complete(main())
        loop.close()
        print("closed")
    """))
    assert out == "closed\n"


def test_the_exit_with_an_open_loop_and_a_busy_worker(child):
    done = child.run(program("""
        loop = new_loop()
        begun = threading.Event()
        def work():
            begun.set()
            time.sleep(0.1)
            print("ended")
        loop.run_in_executor(None, work)
        begun.wait()
        print("leaving")
    """))
    assert done.returncode == 0
    assert done.stdout == "leaving\nended\n"


def test_nothing_is_taken_while_the_interpreter_ends(child):
    out = child.succeed(program("""
        pool = Pool(2)
        loop = new_loop()
        pool.submit(int).result()
        def late():
            threading.main_thread().join()
            try:
                pool.submit(int)
            except RuntimeError as error:
                print(error)
            try:
                loop.run_in_executor(pool, int)
            except RuntimeError as error:
                print(error)
            loop.close()
        threading.Thread(target=late).start()
    """))
    first, second = out.splitlines()
    assert first.startswith("cannot schedule new futures after ")
    assert second == first


def test_an_exception_at_the_end_does_not_hang(child):
    done = child.run(program("""
        loop = new_loop()
        async def main():
            loop.run_in_executor(None, time.sleep, 0.05)
            raise SystemExit(3)
        loop.run_until_complete(main())
    """))
    assert done.returncode == 3, done.stderr


def test_ctrl_c_while_a_function_runs(child):
    done = child.run(program("""
        release = threading.Event()
        async def main():
            loop = asyncio.get_running_loop()
            loop.call_later(0.02, os.kill, os.getpid(), signal.SIGINT)
            loop.call_later(0.03, release.set)
            try:
                await loop.run_in_executor(None, release.wait, 10)
            finally:
                release.set()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            try:
                runner.run(main())
            except KeyboardInterrupt:
                print("interrupted")
    """))
    assert (done.returncode, done.stdout) == (0, "interrupted\n")


# --- fork -------------------------------------------------------------------


def test_a_childs_own_loop_has_workers_of_its_own(child):
    out = child.succeed(program("""
        def use():
            loop = new_loop()
            print(loop.run_until_complete(loop.run_in_executor(
                None, lambda: threading.current_thread().name
            )))
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

        loop = new_loop()
        loop.run_until_complete(loop.run_in_executor(None, int))
        print(in_child(use))
        loop.run_until_complete(loop.run_in_executor(None, int))
        loop.close()
    """))
    assert out == "asyncio_0\n0\n"


@pytest.mark.native_only(
    reason="the standard library's child waits for workers it has not got"
)
@pytest.mark.parametrize("idle", ["0", "0.02"])
def test_a_child_may_use_the_parents_pool(child, idle):
    out = child.succeed(program(f"""
        pool = Pool(2, "pool")
        loop = new_loop()
        loop.run_until_complete(loop.run_in_executor(pool, int))
        time.sleep({idle})

        def use():
            assert pool.submit(abs, -1).result(10) == 1
            own = new_loop()
            print(own.run_until_complete(own.run_in_executor(
                pool, lambda: threading.current_thread().name
            )), len(pool._threads))
            own.close()
            pool.shutdown()

        print(in_child(use))
        print(loop.run_until_complete(loop.run_in_executor(pool, abs, -5)))
        pool.shutdown()
        loop.close()
    """))
    assert out == "pool_0 1\n0\n5\n"


def test_what_the_parent_has_queued_is_the_parents(child):
    out = child.succeed(program("""
        pool = Pool(1)
        release = threading.Event()
        pool.submit(release.wait, 20)
        waiting = pool.submit(print, "once")

        def use():
            pool.shutdown(wait=False)

        print(in_child(use))
        release.set()
        waiting.result(10)
        pool.shutdown()
    """))
    assert out == "0\nonce\n"


def test_a_child_of_a_busy_parent_can_exit_in_the_usual_way(child):
    out = child.succeed(program("""
        loop = new_loop()
        release = threading.Event()
        loop.run_in_executor(None, release.wait, 20)
        loop.run_until_complete(loop.run_in_executor(None, int))
        pid = os.fork()
        if not pid:
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        release.set()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    """))
    assert out == "7\n"


@pytest.mark.native_only(reason="asyncio's child runs the parent's loop")
def test_a_fork_right_after_a_function_was_queued(child):
    """By a callback, whose worker has not been told yet; the child comes
    back to the parent's loop."""
    out = child.succeed(program("""
        loop = new_loop()

        async def main():
            for _ in range(5):
                await loop.run_in_executor(None, int)
                future = loop.run_in_executor(None, abs, -3)
                pid = os.fork()
                if not pid:
                    signal.alarm(20)
                    asyncio.current_task().add_done_callback(
                        lambda _: os._exit(4)
                    )
                    loop.call_soon(os._exit, 5)
                    return
                os.waitpid(pid, 0)
                print(await future)

        try:
            loop.run_until_complete(main())
        except RuntimeError:
            os._exit(3)  # the child: not its loop
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    """))
    assert out == "3\n" * 5


def test_a_worker_may_fork(child):
    out = child.succeed(program("""
        loop = new_loop()

        def work():
            return in_child(lambda: print("child", flush=True))

        print(loop.run_until_complete(loop.run_in_executor(None, work)))
        print(loop.run_until_complete(loop.run_in_executor(None, abs, -2)))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    """))
    assert out == "child\n0\n2\n"


@pytest.mark.native_only(
    reason="the standard library's worker waits in its queue for ever"
)
def test_a_child_that_comes_back_from_the_function_ends(child):
    """Its only thread is a worker, whose queue is the parent's."""
    out = child.succeed(program("""
        loop = new_loop()

        def work():
            pid = os.fork()
            if pid:
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        print(loop.run_until_complete(loop.run_in_executor(None, work)))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    """))
    assert out == "0\n"
