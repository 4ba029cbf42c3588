"""The ways by which a program comes to run on asyncloop, each in a fresh
interpreter that knows the package under test and nothing else of ours."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.child import search_path

SECONDS = 60

# What turns debug mode on is the test run's.
CLEAN = {
    name: value for name, value in os.environ.items()
    if name not in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONSAFEPATH")
}


@dataclass
class Python:
    """An interpreter in a folder of its own."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def environment(self) -> dict[str, str]:
        env = {**CLEAN, "PYTHONPATH": search_path("asyncloop"), **self.env}
        return env

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words], cwd=self.folder, text=True,
            env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        return subprocess.CompletedProcess(
            words, process.returncode, out, err
        )

    def succeed(self, *words: str) -> str:
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout


@pytest.fixture
def python(tmp_path: Path) -> Python:
    return Python(tmp_path)
