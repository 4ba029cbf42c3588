"""CPython's own tests of concurrent.futures, on asyncloop's thread pool."""

import importlib.util
import subprocess
import sys

import pytest

pytestmark = pytest.mark.conformance

PACKAGE = "test.test_concurrent_futures"
PROGRAM = """
import concurrent.futures, importlib, unittest
import asyncloop

# What the tests take by this name.
concurrent.futures.ThreadPoolExecutor = asyncloop.ThreadPoolExecutor

def cases(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        elif "ThreadPool" in type(test).__name__:
            yield test

chosen = unittest.TestSuite()
for name in {modules!r}:
    module = importlib.import_module("{package}" + name)
    chosen.addTests(cases(unittest.defaultTestLoader.loadTestsFromModule(
        module
    )))
result = unittest.TextTestRunner().run(chosen)
print(result.testsRun, result.wasSuccessful())
"""


def modules() -> list[str] | None:
    """One module up to 3.11, a package from 3.12 on; some installations
    have neither."""
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except ModuleNotFoundError:
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations is None:
        return [""]
    names = ["thread_pool", "shutdown", "init", "wait", "as_completed"]
    return [f".test_{name}" for name in names]


@pytest.mark.skipif(
    modules() is None, reason=f"this Python came without {PACKAGE}"
)
def test_cpythons_tests_of_thread_pools_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-c",
         PROGRAM.format(package=PACKAGE, modules=modules())],
        capture_output=True, text=True, timeout=240,
    )
    assert done.returncode == 0, done.stderr
    # Some tests print how long they took, on no line of their own.
    *_, ran, passed = done.stdout.split()
    assert passed == "True" and int(ran) > 30, done.stdout + done.stderr
