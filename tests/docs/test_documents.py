"""The documents are true: their code runs, their tables are complete.

Blocks of Python that stand alone and commands that need nothing but Python are
run as written. The guides need packages: tests/interop/ways runs those.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import asyncloop
import pytest

from support.child import search_path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in (
        "api", "command-line", "faq", "performance", "uvloop",
    )),
]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What the commands of the pages name: a program, and one as a module.
PROGRAM = """\
import asyncio
import sys

async def main():
    print(type(asyncio.get_running_loop()).__module__, *sys.argv[1:])

if __name__ == "__main__":
    asyncio.run(main())
"""
FILES = {"script.py": PROGRAM, "package/module.py": PROGRAM}


def blocks(kind: str) -> list:
    return [
        pytest.param(match[2], id=f"{path.stem}-{number}")
        for path in PAGES
        for number, match in enumerate(BLOCK.finditer(path.read_text()))
        if match[1] == kind
    ]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    # `python` is the interpreter of the tests.
    scripts = folder / "bin"
    scripts.mkdir()
    starter = scripts / "python"
    starter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    starter.chmod(0o755)
    env = {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "PYTHONPATH": search_path("asyncloop"),
    }
    return subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120,
    )


def can_run(code: str) -> bool:
    """README shows calls of Python 3.12."""
    return "asyncio.run(main(), loop_factory=" not in code or (
        sys.version_info >= (3, 12)
    )


@pytest.mark.parametrize("code", blocks("python"))
def test_a_block_of_python_runs(tmp_path: Path, code: str) -> None:
    if not can_run(code):
        code = re.sub("asyncio.run.*loop_factory.*", "", code)
    done = run(tmp_path, "python", "-W", "ignore::DeprecationWarning",
               "-c", code)
    assert (done.returncode, done.stderr) == (0, ""), done


def test_there_are_blocks_of_python() -> None:
    assert len(blocks("python")) >= 3


@pytest.mark.parametrize("commands", blocks("sh"))
def test_commands_run(tmp_path: Path, commands: str) -> None:
    # With PWD in the path of the package under test, too.
    commands = commands.replace(
        "PYTHONPATH=$PWD/site", "PYTHONPATH=$PWD/site:$PYTHONPATH"
    )
    done = run(tmp_path, "sh", "-e", "-c", commands)
    assert done.returncode == 0, done
    for line in commands.splitlines():
        if "script.py" in line or "package.module" in line:
            assert "asyncloop" in done.stdout


def test_there_are_commands() -> None:
    assert len(blocks("sh")) >= 6


def test_each_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for name in asyncloop.__all__:
        assert re.search(rf"asyncloop\.{name}\b", text), name


def test_each_name_of_the_reference_is_public() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    names = set(re.findall(r"^### `asyncloop\.(\w+)", text, re.MULTILINE))
    assert names == set(asyncloop.__all__) - {"__version__"}


def test_the_signatures_of_the_reference_are_those_of_the_code() -> None:
    import inspect

    text = (ROOT / "docs" / "api.md").read_text()
    for name in ("run", "new_event_loop", "patch", "as_uvloop"):
        signature = inspect.signature(getattr(asyncloop, name))
        shown = ", ".join(
            parameter.name if parameter.default is parameter.empty
            else f"{parameter.name}="
            f"{getattr(parameter.default, '__name__', parameter.default)}"
            for parameter in signature.parameters.values()
        ).replace("main, ", "main, *, ")
        assert f"### `asyncloop.{name}({shown})`" in text


def test_the_attributes_of_metrics_are_in_the_reference() -> None:
    import dataclasses

    text = (ROOT / "docs" / "api.md").read_text()
    for field in dataclasses.fields(asyncloop.Metrics):
        assert f"`{field.name}`" in text


def test_tests_that_differences_name_are_there() -> None:
    """Of the table in docs/differences.md: files and functions."""
    text = (ROOT / "docs" / "differences.md").read_text()
    known = "".join(
        path.read_text() for path in (ROOT / "tests").rglob("test_*.py")
    )
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in known, name
    for name in re.findall(r"`(\w+/test_\w+\.py)`", text):
        assert (ROOT / "tests" / name).is_file(), name


def test_each_page_is_reached_from_the_readme() -> None:
    """By links, through the index of guides and others."""
    found: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        for link in re.findall(r"\]\(([^)#:\s]+\.md)", page.read_text()):
            target = (page.parent / link).resolve()
            if target.is_file() and target not in found:
                waiting.append(target)
    # Decisions are reached from the code that they are about.
    pages = {
        path for path in (ROOT / "docs").rglob("*.md")
        if path.parent.name != "decisions"
    }
    assert sorted(path.name for path in pages - found) == []


def test_the_chart_and_the_table_are_those_of_the_results() -> None:
    """Or `make chart` has to be run."""
    sys.path.append(str(ROOT / "tools"))
    import chart

    found = chart.ratios()
    assert len(found) >= 15
    assert chart.CHART.read_text("utf-8") == chart.chart(found)
    text = chart.README.read_text("utf-8")
    assert text == chart.readme(found, text)


def test_the_readme_has_two_screens() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 140
