"""Starting child processes.

What asyncio gets from subprocess.Popen we get from what Popen calls itself,
fork_exec, where a call asks for nothing unusual and nobody has replaced a
part of Popen; everything else goes through Popen. From there on the child is
C (src/process): its end, its pipes, and the transport.

A Popen for a child that fork_exec started is made when somebody asks for it,
and differs in nothing from one that started it.
"""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import threading
import types
from asyncio import base_events, tasks
from asyncio.log import logger

from asyncloop._compat import (
    CHILD_WATCHER_IS_WHAT_ENTERS,
    FORK_EXEC_CHOOSES_VFORK,
    child_watcher_of_user,
)

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
STDOUT = subprocess.STDOUT

_Popen = subprocess.Popen
_vars = vars(subprocess)

# What a call may ask for without becoming Popen's business.
_PLAIN = frozenset(
    {
        "cwd",
        "env",
        "executable",
        "pass_fds",
        "process_group",
        "restore_signals",
        "start_new_session",
        "umask",
    }
)


_STOCK = {
    name: vars(base_events.BaseEventLoop)[name]
    for name in ("connect_read_pipe", "connect_write_pipe")
}


def _is_of_subprocess(function: Any) -> bool:
    return getattr(function, "__globals__", None) is _vars


def _popen_is_stock() -> bool:
    """Has nobody replaced a part of what starts a process?

    Tracers replace Popen or its __init__, debuggers fork_exec.
    """
    parts = vars(_Popen)
    return (
        subprocess.Popen is _Popen
        and _is_of_subprocess(parts.get("__init__"))
        and _is_of_subprocess(parts.get("_execute_child"))
        and _is_of_subprocess(parts.get("_get_handles"))
        and type(_vars.get("_fork_exec")) is types.BuiltinFunctionType
        and _vars.get("_USE_VFORK", True)
    )


def _close_all(files: Any) -> None:
    for file in files:
        if file is not None:
            file.close()


class _Child:
    """A child that was started, and our ends of its pipes."""

    __slots__ = ("pid", "popen", "files")

    def __init__(
        self, pid: int, popen: Any, files: tuple[Any, Any, Any]
    ) -> None:
        self.pid = pid
        self.popen = popen
        self.files = files

    def abandon(self) -> None:
        """End it: there will be no transport."""
        _close_all(self.files)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        status = _forget(self.pid)
        if self.popen is not None and self.popen.returncode is None:
            self.popen.returncode = os.waitstatus_to_exitcode(status)


def _start(
    args: Any,
    shell: bool,
    stdin: Any,
    stdout: Any,
    stderr: Any,
    bufsize: int,
    options: dict[str, Any],
) -> _Child:
    if _PLAIN.issuperset(options) and bufsize == 0 and _popen_is_stock():
        child = _start_plain(args, shell, stdin, stdout, stderr, **options)
        if child is not None:
            return child
    popen = subprocess.Popen(
        args,
        shell=shell,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        universal_newlines=False,
        bufsize=bufsize,
        **options,
    )
    return _Child(popen.pid, popen, (popen.stdin, popen.stdout, popen.stderr))


class _Streams:
    """The descriptors that the child gets, and what we opened for that."""

    __slots__ = ("opened", "files", "ours", "theirs")

    def __init__(self) -> None:
        self.opened: list[int] = []  # to be closed, whatever happens
        self.files: list[Any] = [None, None, None]  # our ends
        self.ours = [-1, -1, -1]
        self.theirs = [-1, -1, -1]

    def open(self, stdin: Any, stdout: Any, stderr: Any) -> None:
        if stdin is not None:
            self.theirs[0] = self._descriptor(stdin, 0)
        if stdout is not None:
            self.theirs[1] = self._descriptor(stdout, 1)
        if stderr is None:
            return
        if isinstance(stderr, int) and stderr == STDOUT:
            # Without one of its own, the child has our standard output.
            self.theirs[2] = (
                self.theirs[1]
                if self.theirs[1] != -1
                else sys.__stdout__.fileno()  # type: ignore[union-attr]
            )
        else:
            self.theirs[2] = self._descriptor(stderr, 2)

    def _descriptor(self, wanted: Any, number: int) -> int:
        if not isinstance(wanted, int):
            descriptor: int = wanted.fileno()
            return descriptor
        if wanted == PIPE:
            reader, writer = os.pipe()
            if number == 0:
                theirs, ours, mode = reader, writer, "wb"
            else:
                theirs, ours, mode = writer, reader, "rb"
            self.opened.append(theirs)
            self.ours[number] = ours
            self.files[number] = io.FileIO(ours, mode)
            return theirs
        if wanted == DEVNULL:
            null = os.open(os.devnull, os.O_RDWR)
            self.opened.append(null)
            return null
        return wanted


def _environment(env: Any) -> list[bytes] | None:
    if env is None:
        return None
    entries = []
    for key, value in env.items():
        name = os.fsencode(key)
        if b"=" in name:
            raise ValueError("illegal environment variable name")
        entries.append(name + b"=" + os.fsencode(value))
    return entries


def _candidates(executable: Any, env: Any) -> tuple[bytes, ...]:
    """Which files are tried, as by execvpe()."""
    name = os.fsencode(executable)
    if os.path.dirname(name):
        return (name,)
    return tuple(
        os.path.join(os.fsencode(folder), name)
        for folder in os.get_exec_path(env)
    )


def _start_plain(
    args: Any,
    shell: bool,
    stdin: Any,
    stdout: Any,
    stderr: Any,
    *,
    executable: Any = None,
    cwd: Any = None,
    env: Any = None,
    pass_fds: Any = (),
    restore_signals: Any = True,
    start_new_session: Any = False,
    umask: Any = -1,
    process_group: Any = None,
) -> _Child | None:
    """Start a child as Popen does. None: it could not be started, and what
    that means is for Popen to say, by trying."""
    command = [args] if isinstance(args, (str, bytes)) else list(args)
    if shell:
        command = ["/bin/sh", "-c", *command]
        if executable:
            command[0] = executable
    if executable is None:
        executable = command[0]
    if subprocess._active:  # type: ignore[attr-defined]
        subprocess._cleanup()  # type: ignore[attr-defined]
    streams = _Streams()
    child = None
    try:
        streams.open(stdin, stdout, stderr)
        report, report_end = os.pipe()
        streams.opened += (report, report_end)
        if report_end < 3:
            return None  # would be one of the child's own
        candidates = _candidates(executable, env)
        keep = {report_end, *pass_fds} if pass_fds else (report_end,)
        sys.audit("subprocess.Popen", executable, args, cwd, env)
        pid = subprocess._fork_exec(  # type: ignore[attr-defined]
            command,
            candidates,
            True,
            tuple(sorted(map(int, keep))),
            cwd,
            _environment(env),
            streams.theirs[0],
            streams.ours[0],
            streams.ours[1],
            streams.theirs[1],
            streams.ours[2],
            streams.theirs[2],
            report,
            report_end,
            restore_signals,
            start_new_session,
            -1 if process_group is None else process_group,
            None,
            None,
            None,
            umask,
            None,
            *FORK_EXEC_CHOOSES_VFORK,
        )
        os.close(streams.opened.pop())
        if os.read(report, 1):
            _forget(pid)
            return None
        # The program is executed, which has closed the other end.
        child = _Child(pid, None, tuple(streams.files))
        return child
    finally:
        for fd in streams.opened:
            os.close(fd)
        if child is None:
            _close_all(streams.files)


def _forget(pid: int) -> int:
    """Wait for a child that is ending or has ended; its wait status."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0  # SIGCHLD is ignored: the kernel did it


def make_popen(
    args: Any, pid: int, returncode: int | None, files: tuple[Any, Any, Any]
) -> "subprocess.Popen[bytes]":
    """The Popen that would have started this child. Called by C."""
    popen = _Popen.__new__(_Popen)
    popen.__dict__.update(
        _waitpid_lock=threading.Lock(),
        _input=None,
        _communication_started=False,
        _child_created=True,
        _closed_child_pipe_fds=True,
        _sigint_wait_secs=0.25,
        args=args,
        stdin=files[0],
        stdout=files[1],
        stderr=files[2],
        pid=pid,
        returncode=returncode,
        encoding=None,
        errors=None,
        pipesize=-1,
        text_mode=None,
    )
    return popen


async def wait_for_exit(self: Any) -> Any:
    """`_wait` of the transport, which libraries await."""
    if self._returncode is not None:
        return self._returncode
    waiter = self._loop.create_future()
    waiters = self._exit_waiters
    waiters.add(waiter)
    try:
        return await waiter
    finally:
        waiters.discard(waiter)


def _open_exit_fd(loop: Any, pid: int) -> tuple[int | None, bool]:
    """A descriptor that becomes readable at the child's end; is it a pidfd?"""
    try:
        return os.pidfd_open(pid), True
    except ProcessLookupError:
        return None, False  # SIGCHLD is ignored, and it has ended
    except (AttributeError, OSError):
        # Not on this system, or forbidden by a filter of system calls.
        return loop._watch_child(pid), False


def _is_replaced(loop: Any, name: str) -> bool:
    """Is this method of the loop another one than asyncio's?"""
    return getattr(type(loop), name) is not _STOCK[name] or name in vars(loop)


def _connects_otherwise(loop: Any) -> bool:
    return _is_replaced(loop, "connect_read_pipe") or _is_replaced(
        loop, "connect_write_pipe"
    )


class ProcessMethods:
    """What subprocess_exec and subprocess_shell of asyncio call, in a loop."""

    __slots__ = ()

    async def _make_subprocess_transport(
        self: Any,
        protocol: Any,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: Any = None,
        **kwargs: Any,
    ) -> Any:
        watcher = child_watcher_of_user(self)
        if watcher is None:
            child = _start(args, shell, stdin, stdout, stderr, bufsize, kwargs)
            return await self._connect_child(
                child, protocol, args, extra, None
            )
        with watcher as entered:
            if CHILD_WATCHER_IS_WHAT_ENTERS:
                watcher = entered
            if not watcher.is_active():
                raise RuntimeError(
                    "asyncio.get_child_watcher() is not activated, "
                    "subprocess support is not installed."
                )
            child = _start(args, shell, stdin, stdout, stderr, bufsize, kwargs)
            return await self._connect_child(
                child, protocol, args, extra, watcher
            )

    def _make_child_transport(
        self: Any,
        child: _Child,
        protocol: Any,
        args: Any,
        extra: Any,
        watched: bool,
        connect: bool,
    ) -> Any:
        exit_fd = None
        is_pidfd = False
        try:
            if watched:
                exit_fd, is_pidfd = _open_exit_fd(self, child.pid)
            transport = self._make_process(
                protocol,
                args,
                child.pid,
                exit_fd,
                is_pidfd,
                child.popen,
                child.files,
                extra,
                connect,
            )
        except BaseException:
            child.abandon()
            if exit_fd is not None:
                os.close(exit_fd)
            raise
        if watched and exit_fd is None:
            logger.warning(
                "child process pid %d exit status already read: "
                " will report returncode 255",
                child.pid,
            )
            self.call_soon(transport._process_exited, 255)
        return transport

    async def _connect_child(
        self: Any,
        child: _Child,
        protocol: Any,
        args: Any,
        extra: Any,
        watcher: Any,
    ) -> Any:
        files = child.files
        connect = not (any(files) and _connects_otherwise(self))
        transport = self._make_child_transport(
            child, protocol, args, extra, watcher is None, connect
        )
        if self.get_debug():
            program = args if isinstance(args, (bytes, str)) else args[0]
            logger.debug("process %r created: pid %s", program, child.pid)
        if watcher is not None:
            watcher.add_child_handler(
                child.pid, self._child_watcher_callback, transport
            )
        try:
            if not connect:
                await self._connect_pipes(transport, files)
            # connection_made is queued, and goes first.
            waiter = self.create_future()
            self.call_soon(_wake, waiter)
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            if transport._pending_calls is not None:
                _close_all(files)
            await tasks.shield(transport._wait())
            raise
        return transport

    async def _connect_pipes(
        self: Any, transport: Any, files: tuple[Any, Any, Any]
    ) -> None:
        """By methods of the loop that somebody has replaced."""
        for number, file in enumerate(files):
            if file is None:
                continue
            method = (
                self.connect_write_pipe
                if number == 0
                else self.connect_read_pipe
            )
            await method(functools.partial(transport._make_end, number), file)
        transport._connected()


def _wake(waiter: Any) -> None:
    if not waiter.done():
        waiter.set_result(None)
