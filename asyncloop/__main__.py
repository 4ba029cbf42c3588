"""The command line: python -m asyncloop run | info | bench."""

from __future__ import annotations

import sys

USAGE = """\
usage: python -m asyncloop run [--as-uvloop] script.py [args]
       python -m asyncloop run [--as-uvloop] -m module [args]
       python -m asyncloop run [--as-uvloop] -c code [args]
       python -m asyncloop info [--json]
       python -m asyncloop bench [--seconds N] [--json]

run     run a program unchanged: wherever it names no other event loop,
        asyncio gives it asyncloop's. --as-uvloop also gives it asyncloop for
        uvloop, if it asks for that one.
info    what is installed here and what the kernel offers, for bug reports
bench   compare asyncio, asyncloop and, if it is installed, uvloop on this
        machine, in about 20 seconds
"""


def main(arguments: list[str]) -> int | None:
    command, rest = arguments[:1], arguments[1:]
    if command == ["run"]:
        from asyncloop import _program

        return _program.main(rest, USAGE)
    if command == ["info"]:
        from asyncloop import _info

        return _info.main(rest)
    if command == ["bench"]:
        from asyncloop import _bench

        return _bench.main(rest)
    if command and command[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if command == ["--version"]:
        from asyncloop import __version__

        print(f"asyncloop {__version__}")
        return 0
    print(USAGE, end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
