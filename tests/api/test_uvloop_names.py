"""as_uvloop(): uvloop's public names, none of which warns."""

import pytest

from support.loops import PY316

pytestmark = pytest.mark.native_only(reason="as_uvloop is asyncloop's own")

# What uvloop 0.23 exports on this Python.
NAMES = {"Loop", "__version__", "new_event_loop", "run"}
if not PY316:
    NAMES |= {"EventLoopPolicy", "install"}

BEGIN = """
import warnings
warnings.simplefilter("error")
import asyncloop
asyncloop.as_uvloop()
"""


@pytest.fixture
def alias(child):
    """Runs a program for which uvloop is asyncloop."""

    def run(program: str) -> str:
        import textwrap

        return child.succeed(BEGIN + textwrap.dedent(program))

    return run


def test_it_has_uvloops_public_names(alias):
    out = alias("""
        import uvloop
        print(sorted(n for n in vars(uvloop) if not n.startswith("_")))
        print(uvloop.Loop is asyncloop.Loop, uvloop.__version__)
    """)
    names = sorted(NAMES - {"__version__"} | {"loop"})
    assert out == f"{names}\nTrue 0.23.0\n"


def test_star_gives_what_uvloop_gives(alias):
    out = alias("""
        names = {}
        exec("from uvloop import *", names)
        print(sorted(set(names) - {"__builtins__"}))
    """)
    assert out == f"{sorted(NAMES - {'Loop', '__version__'})}\n"


def test_its_loops_are_ours(alias):
    out = alias("""
        import uvloop
        loop = uvloop.new_event_loop()
        print(type(loop) is asyncloop.Loop, isinstance(loop, uvloop.Loop))
        loop.close()
    """)
    assert out == "True True\n"


def test_run_takes_a_coroutine_and_options(alias):
    out = alias("""
        import uvloop
        async def main():
            loop = asyncio.get_running_loop()
            return type(loop).__module__, loop.get_debug()
        print(uvloop.run(main()), uvloop.run(main(), debug=True))
        print(uvloop.run(main(), loop_factory=asyncloop.Loop))
    """)
    assert out.replace("\n", " ").split(") ") == [
        "('asyncloop', False", "('asyncloop', True", "('asyncloop', False", ""
    ]


def test_run_takes_any_awaitable(alias):
    out = alias("""
        import uvloop
        class Later:
            def __await__(self):
                yield from asyncio.sleep(0).__await__()
                return "now"
        print(uvloop.run(Later()))
    """)
    assert out == "now\n"


@pytest.mark.skipif(PY316, reason="policies are gone in Python 3.16")
def test_install_makes_our_loops_the_default(alias):
    out = alias("""
        import uvloop
        uvloop.install()
        loop = asyncio.new_event_loop()
        print(type(loop).__module__)
        loop.close()
    """)
    assert out == "asyncloop\n"


@pytest.mark.skipif(PY316, reason="policies are gone in Python 3.16")
def test_its_policy_is_ours(alias):
    out = alias("""
        import uvloop
        policy = uvloop.EventLoopPolicy()
        loop = policy.new_event_loop()
        print(type(loop) is asyncloop.Loop)
        loop.close()
    """)
    assert out == "True\n"


def test_importlib_finds_it(alias):
    out = alias("""
        import importlib, importlib.util
        print(importlib.util.find_spec("uvloop").name)
        print(importlib.import_module("uvloop").__asyncloop__)
    """)
    import asyncloop

    assert out == f"uvloop\n{asyncloop.__version__}\n"


def test_the_class_is_in_the_submodule_too(alias):
    out = alias("""
        from uvloop.loop import Loop
        import uvloop
        print(Loop is uvloop.Loop is uvloop.loop.Loop)
    """)
    assert out == "True\n"


def test_another_submodule_is_not_found(alias):
    out = alias("""
        try:
            import uvloop.dns
        except ModuleNotFoundError as error:
            print(error)
    """)
    assert out == "No module named 'uvloop.dns'\n"


def test_a_second_call_gives_the_same_module(alias):
    out = alias("""
        import uvloop
        print(asyncloop.as_uvloop() is uvloop)
    """)
    assert out == "True\n"


def test_a_uvloop_that_is_imported_is_not_replaced(child):
    out = child.succeed("""
        import types
        sys.modules["uvloop"] = real = types.ModuleType("uvloop")
        import asyncloop
        try:
            asyncloop.as_uvloop()
        except RuntimeError as error:
            print(error, sys.modules["uvloop"] is real)
    """)
    assert out == (
        "uvloop is imported already; call asyncloop.as_uvloop() before it "
        "True\n"
    )


def test_nobody_is_uvloop_unless_asked(child):
    out = child.succeed("""
        import asyncloop
        asyncloop.run(asyncio.sleep(0))
        print("uvloop" in sys.modules)
    """)
    assert out == "False\n"
