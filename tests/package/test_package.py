"""What a user gets: the installed package, its version, its messages."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What a source distribution holds and an installation needs.
SHIPPED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")

# Nothing of the checkout may leak into the interpreters started here.
CLEAN = {
    name: value for name, value in os.environ.items()
    if name not in ("PYTHONPATH", "PYTHONHOME", "ASYNCLOOP_DEBUG")
}

HELLO = """
import asyncio, asyncloop, json
async def main():
    await asyncio.sleep(0)
    return type(asyncio.get_running_loop()).__name__
print(json.dumps([asyncloop.run(main()), asyncloop.__version__,
                  asyncloop.__file__]))
"""


def source_version() -> str:
    text = (ROOT / "asyncloop" / "_version.py").read_text("utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            return ast.literal_eval(node.value)
    raise AssertionError("asyncloop/_version.py assigns nothing")


def source_copy(folder: Path) -> Path:
    """The checkout as a source distribution would give it."""
    copy = folder / "source"
    copy.mkdir()
    for name in SHIPPED:
        shutil.copy(ROOT / name, copy / name)
    built = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("src", "asyncloop"):
        shutil.copytree(ROOT / name, copy / name, ignore=built)
    return copy


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, **options,
    )


def test_the_extension_imports_in_a_fresh_interpreter() -> None:
    import asyncloop

    path = str(Path(asyncloop.__file__).parent.parent)
    code = (
        "import sys, asyncloop._core as core;"
        "print(core.__name__, 'asyncloop' in sys.modules)"
    )
    done = run(
        sys.executable, "-P", "-W", "error", "-c", code,
        env={**CLEAN, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "asyncloop._core True\n", ""
    )


def test_the_version_is_one() -> None:
    import asyncloop

    assert asyncloop.__version__ == source_version()
    assert asyncloop.build_info()["version"] == source_version()


def test_the_distribution_has_its_own_name_and_takes_that_version() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert data["project"]["name"] == "asyncloop-uv"
    assert "version" in data["project"]["dynamic"]
    done = run(sys.executable, "setup.py", "--version", cwd=ROOT, env=CLEAN)
    assert done.stdout.split()[-1:] == [source_version()], done.stderr


@pytest.mark.slow
def test_an_installation_from_source_runs(tmp_path: Path) -> None:
    copy = source_copy(tmp_path)
    place = tmp_path / "env"
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    # Without isolation, and pip run from here on that environment: a test
    # fetches nothing.
    wheel = run(
        sys.executable, "-P", "-m", "pip", "-q", "wheel", "--no-index",
        "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", copy,
        env=CLEAN, cwd=tmp_path,
    )
    assert wheel.returncode == 0, wheel.stdout + wheel.stderr
    (built,) = (tmp_path / "dist").glob("asyncloop_uv-*.whl")
    done = run(
        sys.executable, "-P", "-m", "pip", "-q", "--python", python,
        "install", "--no-index", "--no-deps", built, env=CLEAN, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hello = run(python, "-W", "error", "-c", HELLO, env=CLEAN, cwd=tmp_path)
    assert (hello.returncode, hello.stderr) == (0, "")
    name, version, where = ast.literal_eval(hello.stdout)
    assert (name, version) == ("Loop", source_version())
    assert Path(where).is_relative_to(place)
    installed = {path.name for path in Path(where).parent.iterdir()}
    assert {"py.typed", "_core.pyi"} <= installed
    assert "_core" + sysconfig.get_config_var("EXT_SUFFIX") in installed


def fake_pkg_config(folder: Path, script: str) -> str:
    path = folder / "pkg-config"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "script, problem",
    [
        ("exit 1", "pkg-config does not find it"),
        (
            'case "$1" in --modversion) echo 1.20.0;; *) exit 1;; esac',
            "version 1.20.0 is too old",
        ),
        (None, "pkg-config is not installed"),
    ],
    ids=["missing", "old", "no pkg-config"],
)
def test_no_libuv_gives_one_clear_message(
    tmp_path: Path, script: str | None, problem: str
) -> None:
    copy = source_copy(tmp_path)
    tool = str(tmp_path / "nowhere")
    if script is not None:
        tool = fake_pkg_config(tmp_path, script)
    done = run(
        sys.executable, "setup.py", "-q", "build_ext", "--inplace",
        cwd=copy, env={**CLEAN, "PKG_CONFIG": tool},
    )
    assert done.returncode == 1
    assert f"asyncloop needs libuv 1.44 or newer with its headers: {problem}" \
        in done.stderr
    for package in ("libuv1-dev", "libuv-devel", "libuv-dev", "brew install"):
        assert package in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(copy.glob("asyncloop/_core*.so"))


def test_a_sanitizer_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = run(
        sys.executable, "setup.py", "-q", "build_ext", "--inplace",
        cwd=source_copy(tmp_path),
        env={**CLEAN, "ASYNCLOOP_SANITIZE": "magic"},
    )
    assert done.returncode == 1
    assert "ASYNCLOOP_SANITIZE must be address or undefined" in done.stderr
