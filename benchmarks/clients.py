"""The C programs of clients/, compiled when they are first needed."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# By what they depend on: a checkout may be seen by several systems.
BUILD = HERE.parent / "build" / "benchmarks"
FLAGS = ("-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra")


def build(name: str, tls: bool = False) -> str:
    """The path of the program; exits when it cannot be compiled."""
    source = HERE / "clients" / f"{name}.c"
    libuv = flags_of_libuv() if name == "reference" else ()
    if tls:
        libuv = (*libuv, "-DTLS", "-lssl", "-lcrypto")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("the network rows need a C compiler: install gcc")
    facts = [source.read_text("utf-8"), *FLAGS, *libuv, compiler]
    facts += [platform.machine(), *platform.libc_ver()]
    key = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:12]
    program = BUILD / f"{name}-{key}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when whole: another run may be compiling the same.
        new = f"{program}.{os.getpid()}"
        command = [compiler, *FLAGS, "-o", new, str(source), *libuv]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name}.c does not compile:\n{done.stderr}")
        os.replace(new, program)
    return str(program)


def flags_of_libuv() -> tuple[str, ...]:
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), "--cflags"]
    done = subprocess.run(
        [*command, "--libs", "libuv"], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit("clients/reference.c needs libuv: install libuv1-dev")
    return tuple(done.stdout.split())


def has_openssl() -> bool:
    """Can programs be compiled against OpenSSL?"""
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), "--exists"]
    return subprocess.run([*command, "libssl"]).returncode == 0


def version_of_libuv() -> str:
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), "--modversion"]
    done = subprocess.run(
        [*command, "libuv"], capture_output=True, text=True, check=True
    )
    return f"libuv {done.stdout.strip()}"
