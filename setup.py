"""Builds the extension asyncloop._core from src/ against the system's libuv.

Environment variables that choose the kind of build:

ASYNCLOOP_WERROR=1            warnings are errors (the CI sets it)
ASYNCLOOP_DEBUG=1             -O0, assertions and the ledger on
ASYNCLOOP_SANITIZE=address    with AddressSanitizer, assertions on
ASYNCLOOP_SANITIZE=undefined  with UndefinedBehaviorSanitizer, likewise
"""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
LIBUV_MINIMUM = "1.44"

NO_LIBUV = """\
asyncloop needs libuv {minimum} or newer with its headers: {problem}.
Install it (and pkg-config, which finds it) and try again:
  Debian, Ubuntu:  apt-get install libuv1-dev pkgconf
  Fedora:          dnf install libuv-devel pkgconf
  Alpine:          apk add libuv-dev pkgconf
  macOS:           brew install libuv pkgconf"""

WARNINGS = [
    "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes",
    # Slots and methods have the signature that CPython gives them.
    "-Wno-unused-parameter",
]

KINDS = {
    "release": ["-O3", "-DNDEBUG"],
    "debug": ["-O0", "-g3", "-UNDEBUG", "-DAL_DEBUG=1"],
    "address": [
        "-O1", "-g", "-UNDEBUG", "-DAL_DEBUG=1",
        "-fsanitize=address", "-fno-omit-frame-pointer",
    ],
    "undefined": [
        "-O1", "-g", "-UNDEBUG", "-DAL_DEBUG=1",
        "-fsanitize=undefined", "-fno-sanitize-recover=undefined",
    ],
}


def flag(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def kind() -> str:
    """Which of KINDS the environment asks for."""
    sanitizer = os.environ.get("ASYNCLOOP_SANITIZE", "")
    if sanitizer and sanitizer not in ("address", "undefined"):
        sys.exit("ASYNCLOOP_SANITIZE must be address or undefined")
    return sanitizer or ("debug" if flag("ASYNCLOOP_DEBUG") else "release")


def version() -> str:
    """The version's one home is asyncloop/_version.py."""
    text = (ROOT / "asyncloop" / "_version.py").read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        sys.exit("asyncloop/_version.py defines no __version__")
    return found.group(1)


def sources() -> list[str]:
    # Relative, as setuptools wants them, and in an order that repeats.
    return sorted(
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("src/**/*.c")
    )


def headers() -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("src/**/*.h")
    )


def pkg_config(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shlex.split(os.environ.get("PKG_CONFIG", "pkg-config"))
    return subprocess.run(
        [*tool, *arguments], capture_output=True, text=True
    )


def libuv_problem() -> str | None:
    """Why libuv cannot be used, or None when it can."""
    try:
        found = pkg_config("--modversion", "libuv")
    except OSError:
        return "pkg-config is not installed"
    if found.returncode != 0:
        return "pkg-config does not find it"
    enough = pkg_config(f"--atleast-version={LIBUV_MINIMUM}", "libuv")
    if enough.returncode != 0:
        return f"version {found.stdout.strip()} is too old"
    return None


def libuv() -> dict[str, list[str]]:
    """Compiler and linker arguments, or one clear message and the end."""
    problem = libuv_problem()
    if problem is not None:
        text = NO_LIBUV.format(minimum=LIBUV_MINIMUM, problem=problem)
        # Straight to the exit: no traceback around the message.
        sys.exit(text)
    return {
        "compile": shlex.split(pkg_config("--cflags", "libuv").stdout),
        "link": shlex.split(pkg_config("--libs", "libuv").stdout),
        "version": [pkg_config("--modversion", "libuv").stdout.strip()],
    }


def lto(compiler: list[str]) -> list[str]:
    """The LTO flag that this compiler takes, tried on a tiny library."""
    if os.name == "nt":
        return []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("int probe(void) { return 1; }\n", "utf-8")
        for candidate in ("-flto=auto", "-flto"):
            command = [
                *compiler, "-Werror", "-fPIC", "-shared", "-O3", candidate,
                str(source), "-o", str(Path(folder, "probe.so")),
            ]
            try:
                tried = subprocess.run(command, capture_output=True)
            except OSError:
                # No compiler: setuptools says so better than we could.
                return []
            if tried.returncode == 0:
                return [candidate]
    return []


class BuildCore(build_ext):
    """Compiles in parallel, and only what changed since the last time."""

    def build_extensions(self) -> None:
        core = self.extensions[0]
        self._configure(core)
        self._remember(core)
        self._compile_one = self.compiler.compile
        self.compiler.compile = self._compile_all
        super().build_extensions()

    def _configure(self, core: Extension) -> None:
        uv = libuv()
        chosen = kind()
        flags = [
            "-std=c11", "-D_GNU_SOURCE=1", "-fvisibility=hidden",
            "-fno-strict-aliasing", *WARNINGS, *uv["compile"],
            # CPython's headers are not ours to warn about.
            "-isystem", sysconfig.get_path("include"),
            *KINDS[chosen],
        ]
        link = list(uv["link"])
        if flag("ASYNCLOOP_WERROR"):
            flags.append("-Werror")
        if chosen == "release":
            whole = lto(list(self.compiler.compiler_so[:1]))
            flags += whole
            # The code is generated at the link, so -O3 is said there too.
            link += [*whole, "-O3"]
        else:
            link += [f for f in flags if f.startswith("-fsanitize=")]
        core.extra_compile_args = flags
        core.extra_link_args = link
        self.libuv_version = uv["version"][0]

    def _remember(self, core: Extension) -> None:
        """Build all anew when anything but the sources is different."""
        now = json.dumps({
            "python": sys.version, "compile": core.extra_compile_args,
            "link": core.extra_link_args, "libuv": self.libuv_version,
            "system": [platform.platform(), *platform.libc_ver()],
            "compiler": getattr(self.compiler, "compiler_so", None),
            "version": version(), "inplace": bool(self.inplace),
        }, sort_keys=True)
        stamp = Path(self.build_temp, "configuration.json")
        if not stamp.exists() or stamp.read_text("utf-8") != now:
            self.force = True
        stamp.parent.mkdir(parents=True, exist_ok=True)
        # Only a finished build counts: see run().
        stamp.unlink(missing_ok=True)
        self._stamp = (stamp, now)

    def run(self) -> None:
        super().run()
        stamp, text = self._stamp
        stamp.write_text(text, "utf-8")

    def _compile_all(self, sources, output_dir=None, **options) -> list[str]:
        objects = self.compiler.object_filenames(
            sources, output_dir=output_dir
        )
        for path in objects:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        newest_header = max(
            (os.stat(path).st_mtime for path in headers()), default=0.0
        )
        stale = [
            source for source, path in zip(sources, objects)
            if self.force or not self._is_fresh(source, path, newest_header)
        ]

        def compile_one(source: str) -> None:
            self._compile_one([source], output_dir=output_dir, **options)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            # list() so that the first error is raised here.
            list(pool.map(compile_one, stale))
        return objects

    @staticmethod
    def _is_fresh(source: str, path: str, newest_header: float) -> bool:
        if not os.path.exists(path):
            return False
        made = os.stat(path).st_mtime
        return made > newest_header and made > os.stat(source).st_mtime


setup(
    ext_modules=[
        Extension(
            "asyncloop._core",
            sources=sources(),
            include_dirs=["src"],
            define_macros=[("AL_VERSION", f'"{version()}"')],
            # With setup.py, so that a change of the flags' code counts.
            depends=[*headers(), "setup.py", "asyncloop/_version.py"],
        )
    ],
    cmdclass={"build_ext": BuildCore},
)
