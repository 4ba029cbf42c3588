"""The quick modules of CPython's own suite, on asyncloop.

`make conformance` runs all of it; here is what fits in a test run.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "conformance.py"

pytestmark = pytest.mark.conformance

MODULES = [
    "test_base_events",
    "test_context",
    "test_eager_task_factory",
    "test_futures",
    "test_futures2",
    "test_locks",
    "test_pep492",
    "test_queues",
    "test_runners",
    "test_staggered",
    "test_streams",
    "test_taskgroups",
    "test_threads",
    "test_timeouts",
    "test_unix_events",
    "test_waitfor",
]
# Too slow as a whole: the classes that hold the loop's own parts.
SLOW_MODULES = {
    "test_events": "EPollEventLoopTests",
    "test_tasks": "CTask_CFuture_Tests",
}


def run_tool(folder: Path, *arguments: str) -> tuple[str, list[dict]]:
    """Run the tool; its output and the modules of its report."""
    report = folder / "report.json"
    done = subprocess.run(
        [sys.executable, str(TOOL), "--report", str(report),
         "--test-timeout", "60", *arguments],
        capture_output=True, text=True, timeout=280,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output, json.loads(report.read_text())["modules"]


def has_suite() -> bool:
    try:
        return importlib.util.find_spec("test.test_asyncio") is not None
    except ModuleNotFoundError:
        return False


needs_suite = pytest.mark.skipif(
    not has_suite(),
    reason="this Python was installed without test.test_asyncio",
)


def exists(module: str) -> bool:
    return importlib.util.find_spec(f"test.test_asyncio.{module}") is not None


@needs_suite
def test_quick_modules_are_as_expected(tmp_path: Path) -> None:
    modules = [module for module in MODULES if exists(module)]
    _, results = run_tool(tmp_path, "--modules", ",".join(modules))
    assert [result["module"] for result in results] == modules
    for result in results:
        assert result["counts"]["passed"], result["module"]
        assert result["loop turns"] > 0, result["module"]


@needs_suite
@pytest.mark.parametrize("module", SLOW_MODULES)
def test_loop_part_of_a_slow_module(module: str, tmp_path: Path) -> None:
    name = f"{module}.{SLOW_MODULES[module]}"
    output, results = run_tool(tmp_path, "--tests", f"{name}.*")
    assert results[0]["counts"]["passed"] > 50, output


@needs_suite
def test_quick_modules_without_debug_mode(tmp_path: Path) -> None:
    modules = "test_locks,test_queues,test_taskgroups,test_timeouts"
    _, results = run_tool(tmp_path, "--modules", modules, "--debug-off")
    assert all(result["counts"]["passed"] for result in results)
