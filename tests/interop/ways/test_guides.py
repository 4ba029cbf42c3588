"""The commands of docs/guides, run as they are written there.

A block of Python after a line "`name.py`:" is that file. The lines of a block
of sh are commands. Those that end in & run until the last has ended. One that
is followed by curl is a server, whose answer must
tell that the loop is ours; so must what other commands print, but pytest,
whose tests do. Only the port is another one than in the text.
"""

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
from interop.ways.shell import Shell

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guides"

pytestmark = pytest.mark.native_only(reason="the guides are asyncloop's")

BLOCK = re.compile(
    r"(?:^`(?P<file>[\w/]+\.py)`:\n\n)?^```(?P<kind>python|sh)\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Step:
    """The commands of a block, and the files that stand before it."""

    page: str
    commands: list[str]
    files: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page}: {self.commands[0]}"


def steps() -> list[Step]:
    found = []
    for path in sorted(GUIDES.glob("*.md")):
        files: dict[str, str] = {}
        text = path.read_text("utf-8")
        for match in BLOCK.finditer(text):
            if match["kind"] == "sh":
                commands = match["text"].splitlines()
                found.append(Step(path.stem, commands, dict(files)))
            elif match["file"]:
                files[match["file"]] = match["text"]
    return found


@pytest.mark.parametrize("step", steps(), ids=str)
def test_its_commands_run_on_asyncloop(kind, tmp_path, step) -> None:
    if step.commands == ["python with_ray.py"] and find_spec("ray") is None:
        pytest.skip("Ray has no wheel for this Python")
    shell = Shell(tmp_path, step.files)
    *behind, command = step.commands
    if behind and all(one.endswith(" &") for one in behind):
        out = shell.run(command, [one[:-2] for one in behind])
        assert out.splitlines()[-1] == "asyncloop"
        return
    command, *ask = step.commands
    if ask:
        assert ask[0].startswith("curl ") and len(ask) == 1
        assert shell.serve(command, ask[0]) == "asyncloop"
        return
    out = shell.run(command)
    if "pytest" in command:
        assert "1 passed" in out
    elif "unittest" in command:
        assert "Ran 1 test" in out and "OK" in out
    else:
        assert out.splitlines()[-1] == "asyncloop"


def test_there_are_commands(kind) -> None:
    """Or a change of the format would leave nothing to test."""
    assert len(steps()) >= 21
