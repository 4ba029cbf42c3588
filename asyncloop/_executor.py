"""ThreadPoolExecutor over the queue in C.

The class is the standard library's: submit, map, shutdown, the locks, the
joining at exit are inherited. In the place of its queue stands one of ours,
in which functions of run_in_executor wait beside the work items of submit,
and its threads spend their lives in the `work` method of that queue.

What is used of the base class beyond its public methods is listed in
docs/compat.md.
"""

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import thread
from typing import Any

from asyncloop import _core

# With the names that are nobody's business.
stdlib: Any = thread

# From 3.14 on the initializer is part of a context that items run in.
_HAS_CONTEXTS = hasattr(stdlib.ThreadPoolExecutor, "prepare_context")
_LOGGER = stdlib._base.LOGGER


def _is_genuine(submit: Any) -> bool:
    """Is this the standard library's function, and not a tracer's?"""
    code = getattr(submit, "__code__", None)
    own = stdlib._worker.__code__
    return bool(
        code is not None
        and code.co_filename == own.co_filename
        and code.co_qualname == "ThreadPoolExecutor.submit"
    )


class _Worker:
    """What a thread of the pool needs; no reference to the executor."""

    def __init__(self, executor: Any, queue: "_core._WorkQueue") -> None:
        def wake(_: object) -> None:
            queue.put(None)

        # Workers leave when the executor is collected.
        self._executor = weakref.ref(executor, wake)
        self._queue = queue
        self._context: Any = None
        self._initializer: Callable[..., object] | None
        if _HAS_CONTEXTS:
            self._context = executor._create_worker_context()
            self._initializer = self._context.initialize
            self._initargs = ()
        else:
            self._initializer = executor._initializer
            self._initargs = executor._initargs

    def main(self) -> None:
        """The body of the thread."""
        if not self._begin():
            return
        try:
            self._queue.work(self._may_leave, self._context)
        except BaseException:
            _LOGGER.critical("Exception in worker", exc_info=True)
        finally:
            if self._context is not None:
                self._context.finalize()

    def _begin(self) -> bool:
        try:
            if self._initializer is not None:
                self._initializer(*self._initargs)
        except BaseException:
            _LOGGER.critical("Exception in initializer:", exc_info=True)
            executor = self._executor()
            if executor is not None:
                executor._initializer_failed()
            return False
        return True

    def _may_leave(self) -> bool:
        """None was in the queue: is it time?"""
        executor = self._executor()
        if executor is None:
            return True
        if stdlib._shutdown or executor._shutdown:
            executor._shutdown = True
            return True
        return False


class ThreadPoolExecutor(thread.ThreadPoolExecutor):
    """The standard library's thread pool over a queue in C."""

    _threads: Any
    _work_queue: Any

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(
            max_workers, thread_name_prefix, initializer, initargs
        )
        self._work_queue = _core._WorkQueue()
        _executors.add(self)

    def _enqueue(self, item: object) -> bool:
        """Called by run_in_executor where a thread is missing: what submit
        does. False when the executor takes no work any more."""
        with self._shutdown_lock, stdlib._global_shutdown_lock:
            if self._broken or self._shutdown or stdlib._shutdown:
                return False
            self._work_queue.put(item)
            self._adjust_thread_count()
            return True

    def _adjust_thread_count(self) -> None:
        """Called by submit: start a thread if one is missing."""
        queue = self._work_queue
        if queue.is_served():
            return
        count = len(self._threads)
        if count < self._max_workers:
            worker = threading.Thread(
                name=f"{self._thread_name_prefix or self}_{count}",
                target=_Worker(self, queue).main,
            )
            worker.start()
            self._threads.add(worker)
            stdlib._threads_queues[worker] = queue
        queue.full = len(self._threads) >= self._max_workers

    def _initializer_failed(self) -> None:
        self._work_queue.refuse()
        super()._initializer_failed()

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        # run_in_executor does not take the lock: first of all it must stop.
        self._work_queue.refuse()
        super().shutdown(wait, cancel_futures=cancel_futures)

    shutdown.__doc__ = thread.ThreadPoolExecutor.shutdown.__doc__

    def _after_fork_in_child(self) -> None:
        """The parent's threads and what they have to do are the parent's."""
        self._threads = set()
        self._shutdown_lock = threading.Lock()
        self._work_queue = _core._WorkQueue()
        if self._broken or self._shutdown:
            self._work_queue.refuse()


_submit: Any = ThreadPoolExecutor.submit
# run_in_executor goes past submit as long as that is what it was.
_core._register_pool(
    ThreadPoolExecutor, _submit if _is_genuine(_submit) else None
)

_executors: "weakref.WeakSet[ThreadPoolExecutor]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for executor in list(_executors):
        executor._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
