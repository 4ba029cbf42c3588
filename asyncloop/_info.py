"""`python -m asyncloop info`: for bug reports."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import resource
import signal
import socket
import ssl
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from asyncloop import _core, build_info, libuv_version

# Other loops, and what runs on them, that reports are often about.
PACKAGES = (
    "uvloop", "aiohttp", "anyio", "fastapi", "gunicorn", "hypercorn",
    "starlette", "tornado", "uvicorn", "websockets",
)
VARIABLES = (
    "ASYNCLOOP_NATIVE_TASKS", "PYTHONASYNCIODEBUG", "PYTHONDEVMODE",
    "PYTHONMALLOC", "UV_THREADPOOL_SIZE", "UV_USE_IO_URING",
    "MALLOC_TOP_PAD_",
)


def report() -> dict[str, dict[str, Any]]:
    """All of it; nothing in it names the machine or its user."""
    return {
        "asyncloop": build_info(),
        "python": _python(),
        "system": _system(),
        "kernel features": _kernel_features(),
        "libuv features": _libuv_features(),
        "packages": _packages(),
        "environment": {
            name: os.environ[name] for name in VARIABLES if name in os.environ
        },
    }


def _python() -> dict[str, Any]:
    is_gil_enabled = getattr(sys, "_is_gil_enabled", None)
    return {
        "version": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
        "free threading": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "GIL": is_gil_enabled() if is_gil_enabled else True,
        "debug build": hasattr(sys, "gettotalrefcount"),
        "OpenSSL": ssl.OPENSSL_VERSION,
        "default loop": _default_loop(),
    }


def _default_loop() -> str:
    """The class of the loops that asyncio makes here."""
    loop = asyncio.new_event_loop()
    loop.close()
    return f"{type(loop).__module__}.{type(loop).__qualname__}"


def _system() -> dict[str, Any]:
    affinity = getattr(os, "sched_getaffinity", None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clock = time.get_clock_info("monotonic")
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or "unknown",
        "processors": os.cpu_count(),
        "usable processors": len(affinity(0)) if affinity else None,
        "open files": f"{soft} of at most {hard}",
        "clock": f"{clock.implementation}, {clock.resolution * 1e9:.0f} ns",
    }


def _kernel_features() -> dict[str, str]:
    """What the running kernel offers of what a loop can use."""
    return {
        "pidfd": _try_pidfd(),
        "timerfd": _yes(sys.platform == "linux"),
        "SO_REUSEPORT": _yes(hasattr(socket, "SO_REUSEPORT")),
        "UDP segmentation": _try_udp_segment(),
        "IPv6": _try_ipv6(),
        "sendfile": _yes(hasattr(os, "sendfile")),
        "kernel TLS": _read_tls(),
        "io_uring": _read_io_uring(),
        "somaxconn": _read("/proc/sys/net/core/somaxconn"),
    }


def _yes(there: bool) -> str:
    return "yes" if there else "no"


def _read(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return "unknown"


def _try_pidfd() -> str:
    opener = getattr(os, "pidfd_open", None)
    if opener is None:
        return "no"
    try:
        fd = opener(os.getpid())
        try:
            # Some sandboxes have the first call and not this one.
            signal.pidfd_send_signal(fd, 0)  # type: ignore[attr-defined,unused-ignore]
        finally:
            os.close(fd)
    except OSError as error:
        return f"no: {error.strerror}"
    return "yes"


def _try_udp_segment() -> str:
    # linux/udp.h; the socket module has no name for it.
    sol_udp, udp_segment = 17, 103
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(sol_udp, udp_segment, 1200)
    except OSError as error:
        return f"no: {error.strerror}"
    return "yes"


def _try_ipv6() -> str:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        return f"no: {error.strerror}"
    return "yes"


def _read_tls() -> str:
    loaded = _read("/proc/sys/net/ipv4/tcp_available_ulp").split()
    return "yes" if "tls" in loaded else "not loaded"


def _read_io_uring() -> str:
    # asyncloop does not use it; libuv does, for files, if it is told to.
    state = _read("/proc/sys/kernel/io_uring_disabled")
    return {"0": "yes", "1": "for some", "2": "switched off"}.get(
        state, "unknown"
    )


def _libuv_features() -> dict[str, str]:
    version = tuple(map(int, libuv_version().split(".")))
    return {
        "at run time": libuv_version(),
        "when built": str(build_info()["libuv_headers"]),
        "uv_metrics_info (1.45)": _yes(version >= (1, 45)),
        "uv_udp_try_send2 (1.50)": _yes(version >= (1, 50)),
        "extension": os.path.basename(_core.__file__),
    }


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m asyncloop info", description="What is installed here."
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args(arguments).json
    found = report()
    if as_json:
        print(json.dumps(found, indent=1))
        return 0
    for title, facts in found.items():
        print(title)
        for name, fact in facts.items():
            print(f"  {name:<24} {fact}")
        if not facts:
            print("  none")
    return 0
