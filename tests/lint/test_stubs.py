"""The stubs say what the extension has, to the letter."""

import os
import subprocess
import sys
from pathlib import Path

ALLOWED = Path(__file__).with_name("stubtest-allow.txt")


def stubtest(module: str, path: str, *options: str, cwd: Path):
    # mypy keeps its cache where it is told, not in the checkout.
    env = dict(
        os.environ, PYTHONPATH=path, MYPYPATH=path,
        MYPY_CACHE_DIR=os.devnull,
    )
    return subprocess.run(
        [sys.executable, "-P", "-m", "mypy.stubtest", module, *options],
        capture_output=True, text=True, env=env, cwd=cwd,
    )


def test_stubs_agree_with_the_package(root: Path, tmp_path: Path) -> None:
    import asyncloop

    package = Path(asyncloop.__file__).parent.parent
    options = ("--mypy-config-file", str(root / "pyproject.toml"))
    if ALLOWED.exists():
        options += ("--allowlist", str(ALLOWED))
    done = stubtest("asyncloop", str(package), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stub_that_lies_is_seen(tmp_path: Path) -> None:
    (tmp_path / "lies.py").write_text("def f(a): pass\n", "utf-8")
    (tmp_path / "lies.pyi").write_text(
        "def f(b: int) -> None: ...\n", "utf-8"
    )
    done = stubtest("lies", str(tmp_path), cwd=tmp_path)
    assert done.returncode != 0 and "lies.f" in done.stdout
