"""Descriptors closed behind the loop's back, each in a process of its own."""


def test_a_descriptor_closed_under_the_loop(child):
    """Closed without its removal: an error at most, and never an abort."""
    out = child.succeed("""
        loop = new_loop()
        for turn in range(50):
            reader, writer = os.pipe()
            loop.add_reader(reader, int)
            loop.call_later(0.0002, loop.stop)
            loop.run_forever()
            os.close(reader)
            if turn % 2:
                os.close(writer)
                writer = None
            loop.call_later(0.0002, loop.stop)
            loop.run_forever()
            loop.remove_reader(reader)
            if writer is not None:
                os.close(writer)
        print(loop.run_until_complete(asyncio.sleep(0.001, "usable")))
        loop.close()
    """)
    assert out == "usable\n"


def test_a_descriptor_closed_and_reopened_under_the_loop(child):
    out = child.succeed("""
        loop = new_loop()
        errors = []
        loop.set_exception_handler(lambda _, c: errors.append(c))
        for _ in range(50):
            reader, writer = os.pipe()
            loop.add_reader(reader, int)
            loop.call_later(0.0002, loop.stop)
            loop.run_forever()
            os.close(reader)
            again, other = os.pipe()
            assert again == reader
            got = []
            try:
                loop.remove_reader(reader)
                loop.add_reader(again, lambda: (got.append(1), loop.stop()))
                os.write(other, b"x")
                loop.call_later(5, loop.stop)
                loop.run_forever()
                loop.remove_reader(again)
            except OSError:
                pass
            for fd in (again, other, writer):
                os.close(fd)
            assert got == [1]
        print(loop.run_until_complete(asyncio.sleep(0.001, "usable")))
        loop.close()
    """)
    assert out == "usable\n"


def test_every_descriptor_closed_under_the_loop(child):
    """What an over-eager daemonizer does; it may fail but not crash."""
    done = child.run("""
        loop = new_loop()
        loop.run_until_complete(asyncio.sleep(0))
        os.closerange(3, 200)
        try:
            loop.call_later(0.01, loop.stop)
            loop.run_forever()
        except BaseException as error:
            print(type(error).__name__)
        os._exit(5)
    """)
    assert done.returncode == 5, done.stderr
