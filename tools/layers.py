"""Checks that includes obey src/LAYERS.

src/LAYERS names one layer per line, the lowest first. A file may include its
own folder and lower lines. Folders on the same line are siblings and never
include each other. A line that names a file (module.c) is a layer of its own.

    python tools/layers.py [path/to/src]
"""

import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def read_layers(src: Path) -> dict[str, int]:
    """The level of each folder or file that LAYERS names."""
    levels: dict[str, int] = {}
    text = (src / "LAYERS").read_text("utf-8")
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    for level, names in enumerate(filter(None, lines)):
        for name in names:
            levels[name] = level
    return levels


def area_of(path: Path) -> str:
    """What LAYERS calls the place of a file, given relative to src/."""
    return path.parts[0]


def check_include(
    user: Path, target: Path, levels: dict[str, int]
) -> str | None:
    """What is wrong with `user` including `target`, or None."""
    here, there = area_of(user), area_of(target)
    if here not in levels or there not in levels or here == there:
        return None  # unknown folders are reported once, by check()
    if levels[here] == levels[there]:
        return f"{user}: includes {target}, of a sibling"
    if levels[here] < levels[there]:
        return f"{user}: includes {target}, of a higher layer"
    return None


def resolve(src: Path, user: Path, name: str) -> Path | None:
    """The included file relative to src/, or None when there is none."""
    for folder in (src, (src / user).parent):
        path = (folder / name).resolve()
        if path.is_file() and path.is_relative_to(src):
            return path.relative_to(src)
    return None


def check(src: Path) -> list[str]:
    """All violations in a source folder."""
    src = src.resolve()
    levels = read_layers(src)
    problems = []
    for path in sorted(src.rglob("*.[ch]")):
        user = path.relative_to(src)
        if area_of(user) not in levels:
            problems.append(f"{user}: its folder is not in LAYERS")
        for name in INCLUDE.findall(path.read_text("utf-8")):
            target = resolve(src, user, name)
            if target is None:
                problems.append(f"{user}: includes {name}, not in src/")
                continue
            problem = check_include(user, target, levels)
            if problem is not None:
                problems.append(problem)
    return problems


def main() -> int:
    here = Path(__file__).resolve().parent.parent / "src"
    problems = check(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
