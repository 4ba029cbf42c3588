"""The threads that look up names.

A loop has a resolver of its own, made with the first name: threads apart from
its executor, so that slow names do not keep functions waiting, nor the other
way round. The queue is the executor's (src/executors/queue.h).

Nobody can end a look-up that a name server does not answer. So nobody waits
for one: the threads are daemons, closing the loop drops what is queued and
tells idle threads to leave, and an answer that comes later is dropped.
"""

from __future__ import annotations

import threading

from asyncloop import _core

DEFAULT_THREADS = 16


class _Crew:
    """What the threads know; no reference to the resolver."""

    def __init__(self) -> None:
        self.queue = _core._WorkQueue()
        self.lock = threading.Lock()  # of the three numbers
        self.limit = DEFAULT_THREADS
        self.count = 0
        self.started = 0
        self.closed = False

    def main(self) -> None:
        """The body of a thread."""
        try:
            self.queue.work(self.may_leave, None)
        except BaseException:
            with self.lock:
                self.leave()
            raise

    def may_leave(self) -> bool:
        """None was in the queue: are there too many of us?"""
        with self.lock:
            if not self.closed and self.count <= self.limit:
                return False
            self.leave()
            return True

    def leave(self) -> None:
        self.count -= 1
        self.queue.full = self.count >= self.limit

    def join(self) -> str | None:
        """The name for one more thread, if there may be one."""
        with self.lock:
            name = None
            if self.count < self.limit:
                name = f"asyncloop_resolver_{self.started}"
                self.count += 1
                self.started += 1
            self.queue.full = self.count >= self.limit
            return name


class Resolver:
    """Of one loop. C calls `_enqueue` and `close`."""

    def __init__(self) -> None:
        self._crew = _Crew()
        self._work_queue = self._crew.queue

    def _enqueue(self, item: object) -> bool:
        """Called where no thread is idle. False: closed."""
        crew = self._crew
        if crew.closed:
            return False
        name = crew.join()
        if name is not None:
            self._start(name)
        crew.queue.put(item)
        return True

    def _start(self, name: str) -> None:
        crew = self._crew
        thread = threading.Thread(target=crew.main, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            with crew.lock:
                crew.leave()
                if crew.count == 0:
                    raise
            # The others will come to it.

    def set_limit(self, limit: int) -> None:
        crew = self._crew
        with crew.lock:
            crew.limit = limit
            crew.queue.full = crew.count >= limit
            too_many = crew.count > limit
        if too_many:
            crew.queue.put(None)

    def close(self) -> None:
        """Waits for nobody, and takes no lock: in a forked child one may be
        held for ever."""
        crew = self._crew
        if crew.closed:
            return
        crew.closed = True
        crew.queue.clear()
        crew.queue.put(None)

    __del__ = close
