"""The C half, as type checkers see it.

LoopCore has what C implements. Loop adds what asyncio's own functions do for
us, with the types that AbstractEventLoop gives them, so that nothing is left
abstract. Where asyncio grew an argument, the version says so.
"""

import asyncio
import ssl as _ssl
import sys
import weakref
from _typeshed import (
    FileDescriptorLike,
    ReadableBuffer,
    StrPath,
    WriteableBuffer,
)
from asyncio.transports import _FlowControlMixin
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Sequence,
)
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context
from socket import (
    AddressFamily,
    SocketKind,
    _Address,
    _RetAddress,
    socket,
)
from traceback import StackSummary
from typing import (
    IO,
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    final,
    overload,
    type_check_only,
)
from typing_extensions import TypeVarTuple, Unpack, disjoint_base

from asyncloop._cold import ColdMethods, _LazyAttribute
from asyncloop._metrics import Metrics

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)

_Report: TypeAlias = dict[str, Any]
_ExceptionHandler: TypeAlias = Callable[
    [asyncio.AbstractEventLoop, _Report], object
]
_ServerProtocol: TypeAlias = Callable[[], asyncio.BaseProtocol]
_TLS: TypeAlias = _ssl.SSLContext | bool | None
_Stdio: TypeAlias = int | IO[Any] | None
_IPv4: TypeAlias = tuple[str, int]
_IPv6: TypeAlias = tuple[str, int, int, int]
# The second kind of IPv6 address is that of a Python built without IPv6.
_AddrInfo: TypeAlias = (
    tuple[Literal[AddressFamily.AF_INET], SocketKind, int, str, _IPv4]
    | tuple[
        Literal[AddressFamily.AF_INET6],
        SocketKind,
        int,
        str,
        _IPv6 | tuple[int, bytes],
    ]
)

if sys.version_info >= (3, 12):
    _Coroutine: TypeAlias = Coroutine[Any, Any, _T]
    _Awaitable: TypeAlias = Awaitable[_T]
else:
    # Coroutines made of generators.
    _Coroutine: TypeAlias = Coroutine[Any, Any, _T] | Generator[Any, None, _T]
    _Awaitable: TypeAlias = Awaitable[_T] | Generator[Any, None, _T]

@type_check_only
class _TaskFactory(Protocol):
    def __call__(
        self, loop: asyncio.AbstractEventLoop, coro: _Coroutine[_T], /
    ) -> asyncio.Future[_T]: ...

# Only a loop makes handles. isinstance() takes them for asyncio's, and so do
# the methods below; what follows is their own C type.
@disjoint_base
class Handle:
    def cancel(self) -> None: ...
    def cancelled(self) -> bool: ...
    if sys.version_info >= (3, 12):
        def get_context(self) -> Context: ...

    def _run(self) -> None: ...
    def _repr_info(self) -> list[str]: ...
    @property
    def _callback(self) -> Callable[..., object] | None: ...
    @property
    def _args(self) -> tuple[Any, ...] | None: ...
    @property
    def _context(self) -> Context: ...
    @property
    def _cancelled(self) -> bool: ...
    @property
    def _loop(self) -> Loop | None: ...
    @property
    def _repr(self) -> str | None: ...
    @property
    def _source_traceback(self) -> StackSummary | None: ...

@final
class TimerHandle(Handle):
    def when(self) -> float: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: asyncio.TimerHandle, /) -> bool: ...
    def __le__(self, other: asyncio.TimerHandle, /) -> bool: ...
    def __gt__(self, other: asyncio.TimerHandle, /) -> bool: ...
    def __ge__(self, other: asyncio.TimerHandle, /) -> bool: ...
    @property
    def _when(self) -> float: ...
    @property
    def _scheduled(self) -> bool: ...

@disjoint_base
class ServerCore:
    def close_clients(self) -> None: ...
    def abort_clients(self) -> None: ...

# What the loop tries addresses with; not an attribute of the module.
@final
@type_check_only
class _Connector:
    @property
    def pending(self) -> asyncio.Future[None] | None: ...
    def make_transport(
        self, factory: Callable[[], object], /
    ) -> asyncio.Future[tuple[asyncio.Transport, Any]] | None: ...
    def detach(self) -> socket | None: ...
    def errors(self) -> list[Exception]: ...
    def close(self) -> None: ...

@final
class SocketTransport(_FlowControlMixin): ...

@final
class SSLTransport(_FlowControlMixin):
    def set_read_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None: ...
    def get_read_buffer_limits(self) -> tuple[int, int]: ...
    def get_read_buffer_size(self) -> int: ...
    # It is the protocol of the transport below, too.
    def connection_made(self, transport: asyncio.BaseTransport, /) -> None: ...
    def connection_lost(self, exc: BaseException | None, /) -> None: ...
    def data_received(self, data: bytes, /) -> None: ...
    def eof_received(self) -> bool: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...

@final
class ReadPipeTransport(asyncio.ReadTransport): ...

@final
class WritePipeTransport(_FlowControlMixin): ...

@final
class DatagramTransport(_FlowControlMixin, asyncio.DatagramTransport):
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_reading(self) -> bool: ...
    def get_write_buffer_size(self) -> int: ...
    def get_write_buffer_limits(self) -> tuple[int, int]: ...
    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None: ...

@final
class SubprocessTransport(asyncio.SubprocessTransport): ...

@final
class PipeEnd(asyncio.Protocol):
    fd: int
    disconnected: bool
    pipe: asyncio.BaseTransport | None
    proc: SubprocessTransport | None
    def connection_made(
        self, transport: asyncio.BaseTransport, /
    ) -> None: ...
    def connection_lost(self, error: Exception | None, /) -> None: ...
    def data_received(self, data: bytes, /) -> None: ...

# The queue of a ThreadPoolExecutor: see _executor.py.
@final
class _WorkQueue:
    full: bool
    def __new__(cls) -> _WorkQueue: ...
    def put(self, entry: object, /) -> None: ...
    def get_nowait(self) -> Any: ...
    def clear(self) -> None: ...
    def qsize(self) -> int: ...
    def empty(self) -> bool: ...
    def refuse(self) -> None: ...
    def is_served(self) -> bool: ...
    def work(
        self, may_leave: Callable[[], bool], context: object, /
    ) -> None: ...

@disjoint_base
class LoopCore:
    slow_callback_duration: float
    def __init__(self) -> None: ...
    def __del__(self) -> None: ...

    # Running.
    def run_forever(self) -> None: ...
    def run_until_complete(self, future: _Awaitable[_T]) -> _T: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def get_debug(self) -> bool: ...
    def set_debug(self, enabled: bool) -> None: ...
    def metrics(self) -> Metrics: ...

    # Scheduling.
    def time(self) -> float: ...
    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...

    # Futures and tasks.
    def create_future(self) -> asyncio.Future[Any]: ...
    if sys.version_info >= (3, 13):
        def create_task(
            self,
            coro: _Coroutine[_T],
            *,
            name: object = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> asyncio.Task[_T]: ...
    else:
        def create_task(
            self,
            coro: _Coroutine[_T],
            *,
            name: object = None,
            context: Context | None = None,
        ) -> asyncio.Task[_T]: ...

    # Executors.
    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[_Ts]], _T],
        *args: Unpack[_Ts],
    ) -> asyncio.Future[_T]: ...

    # Names: coroutine functions in asyncio.
    def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Coroutine[Any, Any, list[_AddrInfo]]: ...
    def getnameinfo(
        self, sockaddr: _IPv4 | _IPv6, flags: int = 0
    ) -> Coroutine[Any, Any, tuple[str, str]]: ...

    # Descriptors.
    def add_reader(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], Any],
        *args: Unpack[_Ts],
    ) -> None: ...
    def add_writer(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], Any],
        *args: Unpack[_Ts],
    ) -> None: ...
    def remove_reader(self, fd: FileDescriptorLike) -> bool: ...
    def remove_writer(self, fd: FileDescriptorLike) -> bool: ...

    # Sockets. What is returned is a coroutine to whoever awaits it, makes a
    # task of it or closes it, but of a C type of its own.
    def sock_recv(
        self, sock: socket, n: int
    ) -> Coroutine[Any, Any, bytes]: ...
    def sock_recv_into(
        self, sock: socket, buf: WriteableBuffer
    ) -> Coroutine[Any, Any, int]: ...
    def sock_recvfrom(
        self, sock: socket, bufsize: int
    ) -> Coroutine[Any, Any, tuple[bytes, _RetAddress]]: ...
    def sock_recvfrom_into(
        self, sock: socket, buf: WriteableBuffer, nbytes: int = 0
    ) -> Coroutine[Any, Any, tuple[int, _RetAddress]]: ...
    def sock_sendall(
        self, sock: socket, data: ReadableBuffer
    ) -> Coroutine[Any, Any, None]: ...
    def sock_sendto(
        self, sock: socket, data: ReadableBuffer, address: _Address
    ) -> Coroutine[Any, Any, int]: ...
    def sock_connect(
        self, sock: socket, address: _Address
    ) -> Coroutine[Any, Any, None]: ...
    def sock_accept(
        self, sock: socket
    ) -> Coroutine[Any, Any, tuple[socket, _RetAddress]]: ...
    def sock_sendfile(
        self,
        sock: socket,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> Coroutine[Any, Any, int]: ...

    # Private: what libraries and asyncio's own functions touch. The two
    # lists are copies; a task that is ready stands there itself.
    @property
    def _ready(self) -> list[asyncio.Handle | asyncio.Task[Any]]: ...
    @property
    def _scheduled(self) -> list[asyncio.TimerHandle]: ...
    @property
    def _thread_id(self) -> int | None: ...
    @property
    def _closed(self) -> bool: ...
    @property
    def _asyncgens(self) -> weakref.WeakSet[AsyncGenerator[Any, Any]]: ...
    @property
    def _transports(
        self,
    ) -> weakref.WeakValueDictionary[int, asyncio.BaseTransport]: ...
    @property
    def _signal_handlers(self) -> dict[int, asyncio.Handle]: ...
    @property
    def _unix_server_sockets(self) -> dict[socket, int]: ...
    _stopping: bool
    _debug: bool
    _clock_resolution: float
    _current_handle: asyncio.Handle | None
    _exception_handler: _ExceptionHandler | None
    _task_factory: _TaskFactory | None
    _default_executor: ThreadPoolExecutor | None
    _executor_shutdown_called: bool
    _asyncgens_shutdown_called: bool
    _coroutine_origin_tracking_enabled: bool
    _coroutine_origin_tracking_saved_depth: int | None
    def _check_closed(self) -> None: ...
    def _check_running(self) -> None: ...
    def _write_to_self(self) -> None: ...
    def _add_callback(self, handle: asyncio.Handle, /) -> None: ...
    def _add_callback_signalsafe(self, handle: asyncio.Handle, /) -> None: ...
    def _timer_handle_cancelled(
        self, handle: asyncio.TimerHandle, /
    ) -> None: ...
    def _add_reader(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], Any],
        *args: Unpack[_Ts],
    ) -> asyncio.Handle: ...
    def _add_writer(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], Any],
        *args: Unpack[_Ts],
    ) -> asyncio.Handle: ...
    def _remove_reader(self, fd: FileDescriptorLike, /) -> bool: ...
    def _remove_writer(self, fd: FileDescriptorLike, /) -> bool: ...
    def _ensure_fd_no_transport(self, fd: FileDescriptorLike, /) -> None: ...
    def _connect_literal(
        self, host: object, port: object, family: object, proto: object, /
    ) -> _Connector | None: ...
    def _connect_infos(
        self, infos: object, local_infos: object, delay: float | None, /
    ) -> _Connector | None: ...
    def _connect_path(self, path: object, /) -> _Connector | None: ...
    def _watched_events(self, fd: FileDescriptorLike, /) -> int: ...
    def _signal_wakeup_fd(self) -> int: ...

class Loop(LoopCore, ColdMethods, asyncio.AbstractEventLoop):
    # Signals.
    def add_signal_handler(
        self,
        sig: int,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
    ) -> None: ...
    def remove_signal_handler(self, sig: int) -> bool: ...

    # Errors and factories.
    def set_exception_handler(
        self, handler: _ExceptionHandler | None
    ) -> None: ...
    def get_exception_handler(self) -> _ExceptionHandler | None: ...
    def default_exception_handler(self, context: _Report) -> None: ...
    def call_exception_handler(self, context: _Report) -> None: ...
    def set_task_factory(self, factory: _TaskFactory | None) -> None: ...
    def get_task_factory(self) -> _TaskFactory | None: ...

    # Executors, and the end.
    # asyncio refuses any other executor.
    def set_default_executor(  # type: ignore[override]
        self, executor: ThreadPoolExecutor
    ) -> None: ...
    async def shutdown_asyncgens(self) -> None: ...
    if sys.version_info >= (3, 12):
        async def shutdown_default_executor(
            self, timeout: float | None = None
        ) -> None: ...
    else:
        async def shutdown_default_executor(self) -> None: ...

    # Names.
    def set_resolver_threads(self, count: int) -> None: ...

    # Connections: a host and a port, or a socket.
    @overload
    async def create_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        host: str = ...,
        port: int = ...,
        *,
        ssl: _TLS = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: None = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, _ProtocolT]: ...
    @overload
    async def create_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        host: None = None,
        port: None = None,
        *,
        ssl: _TLS = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket,
        local_addr: None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, _ProtocolT]: ...

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        path: StrPath | None = None,
        *,
        ssl: _TLS = None,
        sock: socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]: ...
    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        sock: socket,
        *,
        ssl: _TLS = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]: ...
    # Since 3.11 asyncio rejects reuse_address here.
    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], _ProtocolT],
        local_addr: tuple[str, int] | str | None = None,
        remote_addr: tuple[str, int] | str | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket | None = None,
    ) -> tuple[asyncio.DatagramTransport, _ProtocolT]: ...
    async def start_tls(
        self,
        transport: asyncio.BaseTransport,
        protocol: asyncio.BaseProtocol,
        sslcontext: _ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport | None: ...
    async def sendfile(
        self,
        transport: asyncio.WriteTransport,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool = True,
    ) -> int: ...

    # Servers: a port, a host, both, or a socket.
    @overload
    async def create_server(
        self,
        protocol_factory: _ServerProtocol,
        host: str | Sequence[str] | None,
        port: int,
        *,
        family: int = 0,
        flags: int = 1,
        sock: None = None,
        backlog: int = 100,
        ssl: _TLS = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> asyncio.Server: ...
    @overload
    async def create_server(
        self,
        protocol_factory: _ServerProtocol,
        host: str | Sequence[str],
        port: int | None = None,
        *,
        family: int = 0,
        flags: int = 1,
        sock: None = None,
        backlog: int = 100,
        ssl: _TLS = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> asyncio.Server: ...
    @overload
    async def create_server(
        self,
        protocol_factory: _ServerProtocol,
        host: None = None,
        *,
        port: int,
        family: int = 0,
        flags: int = 1,
        sock: None = None,
        backlog: int = 100,
        ssl: _TLS = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> asyncio.Server: ...
    @overload
    async def create_server(
        self,
        protocol_factory: _ServerProtocol,
        host: None = None,
        port: None = None,
        *,
        family: int = 0,
        flags: int = 1,
        sock: socket,
        backlog: int = 100,
        ssl: _TLS = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> asyncio.Server: ...
    async def create_unix_server(
        self,
        protocol_factory: _ServerProtocol,
        path: StrPath | None = None,
        *,
        sock: socket | None = None,
        backlog: int = 100,
        ssl: _TLS = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = ...,
    ) -> asyncio.Server: ...
    # Pipes and processes.
    async def connect_read_pipe(
        self, protocol_factory: Callable[[], _ProtocolT], pipe: Any
    ) -> tuple[asyncio.ReadTransport, _ProtocolT]: ...
    async def connect_write_pipe(
        self, protocol_factory: Callable[[], _ProtocolT], pipe: Any
    ) -> tuple[asyncio.WriteTransport, _ProtocolT]: ...
    async def subprocess_shell(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        cmd: bytes | str,
        *,
        stdin: _Stdio = -1,
        stdout: _Stdio = -1,
        stderr: _Stdio = -1,
        universal_newlines: Literal[False] = False,
        shell: Literal[True] = True,
        bufsize: Literal[0] = 0,
        encoding: None = None,
        errors: None = None,
        text: Literal[False] | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _ProtocolT]: ...
    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        program: Any,
        *args: Any,
        stdin: _Stdio = -1,
        stdout: _Stdio = -1,
        stderr: _Stdio = -1,
        universal_newlines: Literal[False] = False,
        shell: Literal[False] = False,
        bufsize: Literal[0] = 0,
        encoding: None = None,
        errors: None = None,
        text: Literal[False] | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _ProtocolT]: ...

    # Private.
    _selector: _LazyAttribute
    def _check_callback(self, callback: object, method: str) -> None: ...
    def _check_signal(self, sig: int) -> None: ...

if sys.version_info >= (3, 14):
    from asyncio.events import _BaseDefaultEventLoopPolicy as _PolicyBase
else:
    from asyncio import DefaultEventLoopPolicy as _PolicyBase

# Not an attribute of the module: _event_loop_policy() makes it.
class _EventLoopPolicy(_PolicyBase):
    def new_event_loop(self) -> Loop: ...

def libuv_version() -> str: ...
def _adopt_reader(reader: asyncio.StreamReader, /) -> bool: ...
def _adopt_writer(writer: asyncio.StreamWriter, /) -> None: ...
def _build_info() -> dict[str, Any]: ...
def _event_loop_policy() -> type[_EventLoopPolicy]: ...
def _native_steps() -> int: ...
def _register_pool(cls: type, submit: object, /) -> None: ...
def _set_server_class(cls: type, /) -> None: ...
def _peek_future(future: asyncio.Future[Any], /) -> dict[str, int]: ...
def _peek_step(step: object, /) -> dict[str, int]: ...
def _peek_thread() -> dict[str, int]: ...
