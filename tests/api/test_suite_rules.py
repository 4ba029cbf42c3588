"""The rules of this suite hold: tried on small suites of their own.

Each runs in a pytest of its own with this suite's conftest.py and support
folder beside a test file written for the purpose.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def run(tmp_path, kind):
    """Runs the text as tests/loop/test_it.py; status and output."""
    folder = tmp_path / "tests" / "loop"
    folder.mkdir(parents=True)
    shutil.copy(os.path.join(HERE, "conftest.py"), tmp_path / "tests")
    shutil.copytree(
        os.path.join(HERE, "support"), tmp_path / "tests" / "support",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\n"
    )
    from support.child import search_path

    def run_it(text: str, loops: str = kind):
        (folder / "test_it.py").write_text(text)
        path = search_path(kind).split(os.pathsep)
        environment = dict(
            os.environ,
            PYTHONPATH=os.pathsep.join(p for p in path if p != HERE),
        )
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
             "--import-mode=importlib", "--strict-markers", "--loops", loops,
             str(folder)],
            cwd=tmp_path, env=environment, text=True, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout

    return run_it


def test_a_test_runs_once_for_each_loop(run, kind):
    status, out = run("def test_it(loop): assert loop.time()\n")
    assert status == 0 and "1 passed" in out
    if kind != "asyncio":
        status, out = run(
            "def test_it(loop): assert loop.time()\n", f"{kind},asyncio"
        )
        assert status == 0 and "2 passed" in out


def test_a_descriptor_left_open_fails_the_test(run):
    status, out = run(
        "import os\n"
        "def test_it(loop):\n    os.pipe()\n"
    )
    assert status == 1 and "descriptors left open" in out


def test_a_thread_left_running_fails_the_test(run, monkeypatch):
    status, out = run(
        "import threading, time\n"
        "from support import leakcheck\n"
        "leakcheck.JOIN_SECONDS = 0.1\n"
        "def test_it(loop):\n"
        "    threading.Thread(target=time.sleep, args=(1,)).start()\n"
    )
    assert status == 1 and "thread left running" in out


def test_an_unclosed_loop_fails_the_test(run):
    status, out = run(
        "from support import loops\n"
        "def test_it(kind):\n    loops.new(kind)\n"
    )
    assert status == 1 and "unclosed event loop" in out


def test_a_test_that_hangs_fails_and_the_next_one_runs(run):
    status, out = run(
        "import sys\n"
        "conftest = next(m for m in list(sys.modules.values())\n"
        "                if hasattr(m, 'HANG_SECONDS'))\n"
        "conftest.HANG_SECONDS = 1\n"
        "def test_it(loop):\n    loop.run_forever()\n"
        "def test_next(loop):\n    assert loop.time()\n"
    )
    assert status == 1
    assert re.search(r"Hung: no end after 1 s", out), out
    assert "1 failed, 1 passed" in out


def test_an_unbalanced_ledger_fails_the_test(run):
    status, out = run(
        "import sys, types\n"
        "core = types.ModuleType('asyncloop._core')\n"
        "count = [0]\n"
        "core._ledger = lambda: {'handle': (count[0], 0)}\n"
        "sys.modules['asyncloop._core'] = core\n"
        "def test_it(kind):\n    count[0] += 1\n"
        "def test_next(kind):\n    assert count\n",
        "asyncio",
    )
    assert status == 1 and "the ledger does not balance" in out
    assert "1 error" in out


def test_native_only_needs_a_reason(run):
    status, out = run(
        "import pytest\n"
        "@pytest.mark.native_only\n"
        "def test_it(loop): assert loop.time()\n"
    )
    assert status != 0 and "native_only needs reason" in out


def test_native_only_is_deselected_on_other_loops(run):
    text = (
        "import pytest\n"
        "@pytest.mark.native_only(reason='because')\n"
        "def test_it(loop): assert loop.time()\n"
    )
    status, out = run(text, "asyncio")
    assert "1 deselected" in out and "passed" not in out


def test_a_behaviour_test_without_a_loop_is_refused(run):
    status, out = run("def test_it(): assert True\n")
    assert status != 0 and "must run on both loops" in out
