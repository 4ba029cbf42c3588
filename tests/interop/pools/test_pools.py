"""Threads, processes, and blocking libraries in them."""

import asyncio
import concurrent.futures
import http.server
import multiprocessing
import os
import threading

import pytest
import requests
from interop.pools import children

METHODS = ("fork", "spawn", "forkserver")


def process_pool(method: str, workers: int = 2):
    return concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context(method)
    )


def test_a_thread_pool_works_in_parallel(run):
    async def main():
        loop = asyncio.get_running_loop()
        meeting = threading.Barrier(4)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            # Each waits for the others: one thread alone would hang.
            return await asyncio.gather(*(
                loop.run_in_executor(pool, meeting.wait, 20)
                for _ in range(4)
            ))

    assert sorted(run(main())) == [0, 1, 2, 3]


def test_to_thread_carries_the_context(run):
    import contextvars

    variable = contextvars.ContextVar("variable")

    async def main():
        variable.set("value")
        return await asyncio.to_thread(variable.get)

    assert run(main()) == "value"


@pytest.mark.parametrize("method", METHODS)
def test_a_process_pool(run, method):
    async def main():
        loop = asyncio.get_running_loop()
        with process_pool(method) as pool:
            return await asyncio.gather(*(
                loop.run_in_executor(pool, children.square, number)
                for number in range(20)
            ))

    numbers, pids = zip(*run(main()), strict=True)
    assert list(numbers) == [number * number for number in range(20)]
    assert os.getpid() not in pids


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_of_a_process_is_raised(run, method):
    async def main():
        loop = asyncio.get_running_loop()
        with process_pool(method) as pool:
            with pytest.raises(LookupError, match="far away"):
                await loop.run_in_executor(pool, children.fail, "far away")

    run(main())


def test_a_process_that_dies_breaks_its_pool(run):
    async def main():
        loop = asyncio.get_running_loop()
        with process_pool("spawn", 1) as pool:
            with pytest.raises(concurrent.futures.BrokenExecutor):
                await loop.run_in_executor(pool, children.die)

    run(main())


@pytest.mark.parametrize("method", METHODS)
def test_a_loop_in_each_process_of_a_pool(run, kind, method):
    async def main():
        loop = asyncio.get_running_loop()
        with process_pool(method) as pool:
            return await asyncio.gather(*(
                loop.run_in_executor(
                    pool, children.run_a_loop, kind, number
                )
                for number in range(4)
            ))

    assert run(main()) == [(number, kind) for number in range(4)]


@pytest.mark.parametrize("method", METHODS)
def test_a_loop_in_each_process_of_multiprocessing(run, kind, method):
    """The parent's loop runs while they are started, and reads their pipes."""

    async def main():
        loop = asyncio.get_running_loop()
        context = multiprocessing.get_context(method)
        answers, started = [], []
        for number in range(3):
            ours, theirs = context.Pipe(False)
            process = context.Process(
                target=children.send_a_loop, args=(kind, number, theirs)
            )
            process.start()
            theirs.close()
            ready = asyncio.Event()
            loop.add_reader(ours.fileno(), ready.set)
            started.append((process, ours, ready))
        for process, ours, ready in started:
            await ready.wait()
            loop.remove_reader(ours.fileno())
            answers.append(ours.recv())
            ours.close()
            await asyncio.to_thread(process.join)
            answers.append(process.exitcode)
        return answers

    assert run(main()) == [
        answer for number in range(3) for answer in ((number, kind), 0)
    ]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_requests_in_an_executor(run):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"

    async def get(number):
        response = await asyncio.to_thread(
            requests.get, url + str(number), timeout=20
        )
        response.raise_for_status()
        return response.text

    async def main():
        return await asyncio.gather(*map(get, range(50)))

    try:
        assert run(main()) == [f"/{number}" for number in range(50)]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
