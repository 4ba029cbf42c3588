"""Reads C source just well enough for the lint: no parser, but the format
that clang-format gives (a definition's name and its braces stand in the
first column) makes patterns reliable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""",
    re.DOTALL,
)


def blank(text: str, *, strings: bool = True) -> str:
    """The text with comments (and strings) blanked, lines kept."""

    def replace(match: re.Match[str]) -> str:
        token = match.group()
        if token[0] in "\"'" and not strings:
            return token
        return re.sub(r"[^\n]", " ", token)

    return _TOKEN.sub(replace, text)


@dataclass
class Function:
    name: str
    line: int  # of the name, from 1
    lines: int  # from the name to the closing brace
    body: str  # between the braces, comments and strings blanked


# A name in the first column, and an opening brace in the first column with
# no end of a statement or of a block in between.
_FUNCTION = re.compile(
    r"^(?:[\w*][\w* \t]*?[ \t*])?(\w+)\([^;{}]*\)[ \t\n]*\n\{\n"
    r"(.*?)^\}",
    re.MULTILINE | re.DOTALL,
)


def functions(text: str) -> Iterator[Function]:
    """The function definitions of a formatted C file."""
    plain = blank(text)
    for match in _FUNCTION.finditer(plain):
        start = plain.count("\n", 0, match.start(1)) + 1
        end = plain.count("\n", 0, match.end()) + 1
        yield Function(
            match.group(1), start, end - start + 1, match.group(2)
        )


def statements(body: str) -> list[str]:
    """The pieces of a body between semicolons and braces, stripped."""
    pieces = re.split(r"[;{}]", body)
    return [" ".join(piece.split()) for piece in pieces if piece.strip()]


@dataclass
class HeapType:
    spec: str
    dealloc: str | None
    has_gc: bool


_SPEC = re.compile(
    r"PyType_Spec\s+(\w+)\s*=\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL
)


def heap_types(text: str) -> Iterator[HeapType]:
    """The PyType_Spec tables of a file, with the dealloc of each."""
    plain = blank(text)
    for match in _SPEC.finditer(plain):
        spec, table = match.groups()
        slots = re.search(r"\.slots\s*=\s*(\w+)", table)
        dealloc = None
        if slots is not None:
            dealloc = _dealloc_in(plain, slots.group(1))
        yield HeapType(spec, dealloc, "Py_TPFLAGS_HAVE_GC" in table)


def _dealloc_in(plain: str, slots: str) -> str | None:
    array = re.search(
        rf"PyType_Slot\s+{slots}\s*\[\]\s*=\s*\{{(.*?)^\}}", plain,
        re.MULTILINE | re.DOTALL,
    )
    if array is None:
        return None
    entry = re.search(
        r"Py_tp_dealloc\s*,\s*(?:\(\s*void\s*\*\s*\)\s*)?&?\s*(\w+)",
        array.group(1),
    )
    return None if entry is None else entry.group(1)
