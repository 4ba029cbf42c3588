"""What add_reader and its kin refuse, and how."""

import os
import socket

import pytest

from support import loops
from support.loops import collect_errors, run_turns

ADDERS = ["add_reader", "add_writer"]
REMOVERS = ["remove_reader", "remove_writer"]


@pytest.mark.parametrize("method", ADDERS)
def test_a_regular_file_is_refused_at_once(loop, method, tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        with pytest.raises(PermissionError):
            getattr(loop, method)(file, print)
        assert getattr(loop, method.replace("add", "remove"))(file) is False


@pytest.mark.parametrize("method", ADDERS)
def test_dev_null_is_refused_at_once(loop, method):
    with open(os.devnull, "r+b", buffering=0) as null:
        with pytest.raises(PermissionError):
            getattr(loop, method)(null, print)


@pytest.mark.parametrize("method", ADDERS)
def test_a_directory_is_refused_at_once(loop, method, tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(PermissionError):
            getattr(loop, method)(fd, print)
    finally:
        os.close(fd)


@pytest.mark.parametrize("method", ADDERS)
def test_a_closed_number_is_refused(loop, method):
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError):
        getattr(loop, method)(reader, print)


@pytest.mark.parametrize("method", ADDERS + REMOVERS)
def test_a_negative_number_is_refused(loop, method):
    arguments = (-1, print) if method in ADDERS else (-1,)
    with pytest.raises(ValueError):
        getattr(loop, method)(*arguments)


@pytest.mark.parametrize("method", ADDERS + REMOVERS)
@pytest.mark.parametrize("thing", ["text", None, object(), 1.5], ids=str)
def test_what_has_no_descriptor_is_refused(loop, method, thing):
    arguments = (thing, print) if method in ADDERS else (thing,)
    with pytest.raises((ValueError, TypeError)):
        getattr(loop, method)(*arguments)


@pytest.mark.parametrize("method", ADDERS + REMOVERS)
def test_a_closed_socket_is_refused_as_asyncio_does(loop, method):
    sock = socket.socket()
    sock.close()
    arguments = (sock, print) if method in ADDERS else (sock,)
    stock = loops.new("asyncio")
    try:
        with pytest.raises(Exception) as expected:
            getattr(stock, method)(*arguments)
    finally:
        stock.close()
    with pytest.raises(expected.type):
        getattr(loop, method)(*arguments)


def test_an_object_whose_fileno_fails_is_refused(loop):
    class Bad:
        def fileno(self):
            raise LookupError("no number")

    with pytest.raises((LookupError, ValueError)):
        loop.add_reader(Bad(), print)


def test_removing_a_closed_number_is_no_error(loop):
    reader, writer = os.pipe()
    loop.add_reader(reader, print)
    run_turns(loop)
    os.close(reader)
    os.close(writer)
    assert loop.remove_reader(reader) is True
    assert loop.remove_reader(reader) is False


def test_missing_arguments_are_a_type_error(loop):
    for method in ADDERS:
        with pytest.raises(TypeError):
            getattr(loop, method)()
        with pytest.raises(TypeError):
            getattr(loop, method)(0)
    for method in REMOVERS:
        with pytest.raises(TypeError):
            getattr(loop, method)()


def test_a_refused_descriptor_leaves_the_loop_usable(loop, tmp_path):
    for _ in range(50):
        with open(tmp_path / "file", "w+b") as file:
            with pytest.raises(PermissionError):
                loop.add_reader(file, print)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        loop.add_reader(ours, loop.stop)
        loop.run_forever()
        assert loop.remove_reader(ours) is True


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_of_a_reader_leaves_the_run(loop, error):
    ours, theirs = socket.socketpair()

    def fail():
        ours.recv(1)
        raise error

    with ours, theirs:
        loop.add_reader(ours, fail)
        theirs.send(b"x")
        with pytest.raises(error):
            loop.run_forever()
        # The registration stays, as in asyncio.
        loop.add_reader(ours, loop.stop)
        theirs.send(b"x")
        loop.run_forever()
        assert loop.remove_reader(ours) is True


def test_a_reader_that_raises_is_called_again(loop):
    errors = collect_errors(loop)
    ours, theirs = socket.socketpair()

    def fail():
        ours.recv(1)
        if len(errors) == 2:
            loop.stop()
        raise ValueError

    with ours, theirs:
        loop.add_reader(ours, fail)
        theirs.send(b"xyz")
        loop.run_forever()
        loop.remove_reader(ours)
    assert [type(e["exception"]) for e in errors] == [ValueError] * 3


METHODS = ADDERS + REMOVERS


@pytest.mark.parametrize("method", METHODS)
def test_a_transports_descriptor_is_refused(loop, method):
    import asyncio

    async def main():
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await loop.create_connection(
                asyncio.Protocol, sock=ours
            )
            number = transport.get_extra_info("socket").fileno()
            arguments = (number, print) if method in ADDERS else (number,)
            try:
                with pytest.raises(
                    RuntimeError, match="is used by transport"
                ):
                    getattr(loop, method)(*arguments)
            finally:
                transport.close()
                await asyncio.sleep(0)
        return "refused"

    assert loop.run_until_complete(main()) == "refused"


def test_a_descriptor_is_free_once_its_transport_is_closed(loop):
    import asyncio

    async def main():
        ours, theirs = socket.socketpair()
        with theirs, ours.dup() as twin:
            transport, _ = await loop.create_connection(
                asyncio.Protocol, sock=ours
            )
            number = transport.get_extra_info("socket").fileno()
            transport.close()
            while transport.get_extra_info("socket").fileno() >= 0:
                await asyncio.sleep(0)
            os.dup2(twin.fileno(), number)
            seen = loop.create_future()
            loop.add_reader(number, seen.set_result, None)
            theirs.send(b"x")
            await seen
            loop.remove_reader(number)
            os.close(number)
        return "free"

    assert loop.run_until_complete(main()) == "free"
