"""`python -m asyncloop run`: what `python` does, with our loops.

The program gets a `__main__` of its own in place of the command's. An
exception that ends it is shown without the frames of this file.
"""

from __future__ import annotations

import builtins
import io
import os
import pkgutil
import runpy
import sys
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType, TracebackType

from asyncloop import _compat, _patch

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main(words: list[str], usage: str) -> int | None:
    """Run the program that the words name; the exit status of a mistake in
    the command line."""
    if words[:1] == ["--as-uvloop"]:
        _patch.as_uvloop()
        del words[0]
    kind = words[0] if words else ""
    if kind in ("-h", "--help"):
        print(usage, end="")
        return 0
    if kind in ("-m", "-c") and len(words) > 1:
        start = _start_module if kind == "-m" else _start_code
        del words[0]
    elif kind and not kind.startswith("-"):
        start = _start_file
    else:
        print(usage, end="", file=sys.stderr)
        return 2
    _patch.patch()
    _run(start, words)
    return None


def _run(start: Callable[[list[str]], None], words: list[str]) -> None:
    try:
        start(words)
    except SystemExit:
        raise
    except BaseException as error:
        _show(error)
        # What remains is the interpreter's: the exit status, or the signal
        # that a KeyboardInterrupt ends with.
        sys.excepthook = _show_nothing
        raise


def _show(error: BaseException) -> None:
    """Show an exception as the interpreter does."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    last: Any = sys
    last.last_exc = last.last_value = error
    last.last_type, last.last_traceback = type(error), traceback
    sys.excepthook(type(error), error, traceback)


def _show_nothing(
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    pass


def _new_main() -> dict[str, Any]:
    module = ModuleType("__main__")
    names = module.__dict__
    names["__builtins__"] = builtins
    if "__annotations__" in vars(sys.modules["__main__"]):
        # Up to 3.13 the interpreter begins it.
        names["__annotations__"] = {}
    sys.modules["__main__"] = module
    return names


def _set_path(folder: str) -> None:
    """Put it where the interpreter has put the current folder, for -m."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _start_module(words: list[str]) -> None:
    _new_main()
    sys.argv[:] = words
    # What the interpreter calls for its own -m.
    runner: Any = runpy
    runner._run_module_as_main(words[0])


def _start_code(words: list[str]) -> None:
    names = _new_main()
    names["__loader__"] = None
    sys.argv[:] = ["-c", *words[1:]]
    _set_path("")
    exec(compile(words[0], "<string>", "exec", dont_inherit=True), names)


def _start_file(words: list[str]) -> None:
    path = os.path.join(os.getcwd(), words[0])
    sys.argv[:] = words
    if pkgutil.get_importer(path) is not None:
        # A folder or an archive with a __main__.py inside.
        path = os.path.abspath(path)
        _new_main()
        if sys.flags.safe_path:
            sys.path.insert(0, path)
        else:
            sys.path[0] = path
        runner: Any = runpy
        runner._run_module_as_main("__main__", False)
        return
    try:
        code = _read(path)
    except OSError as error:
        print(
            f"{sys.executable}: can't open file {path!r}: "
            f"[Errno {error.errno}] {error.strerror}",
            file=sys.stderr,
        )
        sys.exit(2)
    names = _new_main()
    names["__loader__"] = SourceFileLoader("__main__", path)
    names["__file__"] = path
    if _compat.SCRIPTS_HAVE_CACHED:
        names["__cached__"] = None
    _set_path(os.path.dirname(os.path.realpath(path)))
    exec(code, names)


def _read(path: str) -> CodeType:
    """The code of a source file or of a compiled one."""
    with io.open_code(path) as file:
        code: CodeType | None = pkgutil.read_code(file)
    if code is not None:
        return code
    with io.open_code(path) as file:
        source = file.read()
    return compile(source, path, "exec", dont_inherit=True)
