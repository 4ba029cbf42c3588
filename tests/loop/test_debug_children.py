"""Debug mode as a process is started with it."""

import pytest

ASK = """
    loop = new_loop()
    print(loop.get_debug())
    loop.close()
"""


@pytest.mark.parametrize(
    "value, expected", [("1", "True"), ("0", "True"), ("", "False")]
)
def test_the_environment_turns_debug_mode_on(child, value, expected):
    out = child.succeed(ASK, PYTHONASYNCIODEBUG=value)
    assert out.strip() == expected


def test_development_mode_turns_debug_mode_on(child):
    assert child.succeed(ASK, "-X", "dev").strip() == "True"


def test_it_is_off_otherwise(child):
    assert child.succeed(ASK).strip() == "False"


def test_an_unawaited_coroutine_tells_its_origin(child):
    done = child.run("""
        async def forgotten():
            pass

        async def main():
            forgotten()

        loop = new_loop()
        loop.set_debug(True)
        loop.run_until_complete(main())
        loop.close()
    """)
    assert done.returncode == 0, done.stderr
    assert "coroutine 'forgotten' was never awaited" in done.stderr
    assert "Coroutine created at (most recent call last)" in done.stderr
    assert "in main" in done.stderr


def test_an_unclosed_loop_warns_in_development_mode(child):
    done = child.run("""
        loop = new_loop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.x = loop
        del loop
        gc.collect()
        print("alive")
    """, "-X", "dev")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alive\n"
    assert done.stderr.count("ResourceWarning: unclosed event loop") == 1


def test_a_loop_left_open_at_exit_does_no_harm(child):
    done = child.run("""
        loop = new_loop()
        loop.call_later(100, print)
        loop.call_soon(print, "never")
        reader, writer = os.pipe()
        loop.add_reader(reader, print)
        print("bye")
    """)
    assert (done.returncode, done.stdout) == (0, "bye\n"), done.stderr


def test_a_warning_turned_into_an_error_does_not_break_the_finalizer(child):
    done = child.run("""
        loop = new_loop()
        del loop
        gc.collect()
        print("alive")
    """, "-W", "error")
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
    assert "unclosed event loop" in done.stderr


def test_a_slow_poll_is_no_slow_callback(child):
    out = child.succeed("""
        loop = new_loop()
        loop.slow_callback_duration = 0.05
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()
        print("done")
    """, PYTHONASYNCIODEBUG="1")
    assert out == "done\n"
