"""Child processes: stock asyncio waits for one per thread on 3.11, and such a
thread may outlive its test."""

import threading

import pytest


@pytest.fixture(autouse=True)
def waiting_threads_end():
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("waitpid-", "asyncio-waitpid-")):
            thread.join(10)
