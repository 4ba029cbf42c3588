"""The lint: what a review forgets.

Each rule is a function from a tree to a list of problems, in rules.py. Each
is tested twice: the checkout has no problem, and a bad sample has one.
"""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Appended: nothing here may hide an installed package.
for folder in (ROOT / "tools", Path(__file__).resolve().parent):
    sys.path.append(str(folder))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def tree(tmp_path: Path):
    """Writes a small tree of files and gives its root."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return tmp_path

    return write
