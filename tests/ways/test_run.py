"""python -m asyncloop run: as `python`, with our loops."""

import signal
import sys
import zipfile

import pytest

RUN = ("-m", "asyncloop", "run")

# Says in every way asyncio offers whose loops a program gets.
WHOSE = """
import asyncio, sys, warnings
warnings.simplefilter("error")

async def running():
    return asyncio.get_running_loop()

def name(loop):
    loop.close()
    return type(loop).__module__.split(".")[0]

made = [asyncio.run(running()), asyncio.new_event_loop()]
with asyncio.Runner() as runner:
    made.append(runner.get_loop())
asyncio.set_event_loop(asyncio.new_event_loop())
made.append(asyncio.get_event_loop())
if hasattr(asyncio, "EventLoop"):
    made.append(asyncio.EventLoop())
asyncio.set_event_loop(None)
print({name(loop) for loop in made}, sys.argv[1:])
"""


def test_a_script_gets_our_loops_everywhere(python) -> None:
    python.write("script.py", WHOSE)
    out = python.succeed(*RUN, "script.py", "-m", "--json")
    assert out == "{'asyncloop'} ['-m', '--json']\n"


def test_a_module_gets_our_loops(python) -> None:
    python.write("package/__init__.py", "")
    python.write("package/__main__.py", WHOSE)
    out = python.succeed(*RUN, "-m", "package", "x")
    assert out == "{'asyncloop'} ['x']\n"


def test_code_gets_our_loops(python) -> None:
    assert python.succeed(*RUN, "-c", WHOSE) == "{'asyncloop'} []\n"


def test_without_us_it_gets_asyncios(python) -> None:
    """Or the tests above would show nothing."""
    assert python.succeed("-c", WHOSE) == "{'asyncio'} []\n"


def test_a_reset_policy_gives_our_loops_still(python) -> None:
    python.write("script.py", """
import asyncio, sys
if sys.version_info < (3, 16):
    import warnings
    warnings.simplefilter("ignore")
    asyncio.set_event_loop_policy(None)
loop = asyncio.new_event_loop()
print(type(loop).__module__)
loop.close()
""")
    assert python.succeed(*RUN, "script.py") == "asyncloop\n"


def test_a_loop_that_is_named_is_used(python) -> None:
    python.write("script.py", """
import asyncio
async def main():
    print(type(asyncio.get_running_loop()).__module__)
with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
    runner.run(main())
""")
    assert python.succeed(*RUN, "script.py") == "asyncio.unix_events\n"


LOOK = """
import sys
here = sys.modules["__main__"]
print(__name__, here.__dict__ is globals(), __file__, sys.argv)
print(sys.path[0], __package__, __spec__ and __spec__.name)
print(sorted(set(globals()) - {"here"}), __doc__, type(__loader__).__name__)
"""


@pytest.mark.parametrize(
    "words",
    [
        ("script.py",), ("script.py", "a", "-b"), ("./folder/../script.py",),
        ("folder/other.py", "x"), ("link.py",), ("folder", "1"),
        ("archive.zip",), ("-m", "script", "y"), ("-m", "folder"),
        ("-m", "folder.other"),
    ],
    ids=" ".join,
)
def test_the_program_sees_what_python_shows_it(python, words) -> None:
    script = python.write("script.py", LOOK)
    python.write("folder/other.py", LOOK)
    python.write("folder/__main__.py", LOOK)
    (python.folder / "link.py").symlink_to("folder/other.py")
    with zipfile.ZipFile(python.folder / "archive.zip", "w") as archive:
        archive.write(script, "__main__.py")
    assert python.succeed(*RUN, *words) == python.succeed(*words)


def test_code_sees_what_python_shows_it(python) -> None:
    look = "import sys; print(__name__, sys.argv, sys.path[0], __package__)"
    words = ("-c", look, "a")
    assert python.succeed(*RUN, *words) == python.succeed(*words)


def test_a_compiled_script_runs(python) -> None:
    import py_compile

    path = python.write("script.py", WHOSE)
    py_compile.compile(str(path), str(python.folder / "script.pyc"))
    assert "asyncloop" in python.succeed(*RUN, "script.pyc")


@pytest.mark.parametrize(
    "end", ["sys.exit()", "sys.exit(7)", "sys.exit('words')", "1 / 0",
            "raise KeyboardInterrupt", "import nowhere_to_be_found",
            "raise ExceptionGroup('g', [KeyError('k')])",
            "x = [", "raise SystemExit(None)", "import os; os._exit(3)"],
)
def test_it_ends_as_python_ends_it(python, end) -> None:
    python.write("script.py", f"import sys\nprint('begun')\n{end}\n")
    ours, plain = python.run(*RUN, "script.py"), python.run("script.py")
    assert ours.returncode == plain.returncode
    assert ours.stdout == plain.stdout
    assert ours.stderr == plain.stderr


def test_an_exception_of_asyncio_is_shown_as_python_shows_it(python) -> None:
    python.write("script.py", """
import asyncio
async def main():
    raise LookupError("lost")
asyncio.run(main())
""")
    ours, plain = python.run(*RUN, "script.py"), python.run("script.py")
    # The loop is in C: of the frames of asyncio's loop none is left.
    assert ours.stderr.splitlines()[:3] == plain.stderr.splitlines()[:3]
    assert ours.stderr.splitlines()[-3:] == plain.stderr.splitlines()[-3:]
    assert "asyncloop" not in ours.stderr


def test_the_programs_excepthook_is_called_once(python) -> None:
    python.write("script.py", """
import sys
def hook(kind, error, traceback):
    print(kind.__name__, traceback.tb_frame.f_globals["__name__"])
sys.excepthook = hook
1 / 0
""")
    ours, plain = python.run(*RUN, "script.py"), python.run("script.py")
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        plain.returncode, plain.stdout, plain.stderr
    ) == (1, "ZeroDivisionError __main__\n", "")


def test_exit_handlers_and_threads_end_in_pythons_order(python) -> None:
    python.write("script.py", """
import atexit, threading, time
atexit.register(print, "exit handler")
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
class Last:
    def __del__(self):
        print("deleted")
last = Last()
print("end")
""")
    assert python.succeed(*RUN, "script.py") == python.succeed("script.py")


def test_control_c_ends_it_by_the_signal(python) -> None:
    python.write("script.py", """
import asyncio
async def main():
    print("up", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
""")
    with python.start(*RUN, "script.py") as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")


METHODS = """
import asyncio, multiprocessing as mp, sys

def work(queue):
    loop = asyncio.new_event_loop()
    queue.put((type(loop).__module__, __name__))
    loop.close()

def start(method):
    context = mp.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=work, args=(queue,))
    child.start()
    print(method, *queue.get())
    child.join()

if __name__ == "__main__":
    for method in sys.argv[1:]:
        start(method)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("words", [("script.py",), ("-m", "script")])
def test_children_of_multiprocessing_get_our_loops(
    python, words, method
) -> None:
    python.write("script.py", METHODS)
    out = python.succeed(*RUN, *words, method)
    main = "__main__" if method == "fork" else "__mp_main__"
    assert out == f"{method} asyncloop {main}\n"


def test_grandchildren_get_our_loops(python) -> None:
    python.write("script.py", METHODS + """
def between():
    start("spawn")

if __name__ == "__main__":
    child = mp.get_context("spawn").Process(target=between)
    child.start()
    child.join()
""")
    assert python.succeed(*RUN, "script.py") == "spawn asyncloop __mp_main__\n"


def test_a_process_pool_gets_our_loops(python) -> None:
    python.write("script.py", """
import asyncio, concurrent.futures, multiprocessing

async def name():
    return type(asyncio.get_running_loop()).__module__

def work(_):
    return asyncio.run(name())

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        print(set(pool.map(work, range(4))))
""")
    assert python.succeed(*RUN, "script.py") == "{'asyncloop'}\n"


def test_as_uvloop_reaches_program_and_children(python) -> None:
    python.write("script.py", """
import multiprocessing, uvloop

def work(queue):
    import uvloop
    queue.put(uvloop.__asyncloop__)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    child = context.Process(target=work, args=(queue,))
    child.start()
    print(queue.get() == uvloop.__asyncloop__)
    child.join()
""")
    assert python.succeed(*RUN, "--as-uvloop", "script.py") == "True\n"


def test_a_file_that_is_not_there_is_told_as_python_tells_it(python) -> None:
    ours, plain = python.run(*RUN, "none.py"), python.run("none.py")
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr)


def test_a_module_that_is_not_there_is_told_as_python_tells_it(
    python,
) -> None:
    words = ("-m", "nowhere_to_be_found")
    ours, plain = python.run(*RUN, *words), python.run(*words)
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr)


def test_the_safe_path_stays_safe(python) -> None:
    look = "import sys; print(sys.path)"
    python.write("script.py", look)
    assert python.succeed("-P", *RUN, "script.py") == (
        python.succeed("-P", "script.py")
    )


@pytest.mark.parametrize(
    "words", [(), ("run",), ("run", "-m"), ("run", "--no"), ("fly",)],
    ids=" ".join,
)
def test_a_wrong_command_line_shows_the_usage(python, words) -> None:
    done = python.run("-m", "asyncloop", *words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("usage: python -m asyncloop run")


@pytest.mark.parametrize("words", [("--help",), ("run", "--help")])
def test_help_is_the_usage(python, words) -> None:
    out = python.succeed("-m", "asyncloop", *words)
    assert out.startswith("usage: python -m asyncloop run")


def test_the_version_is_told(python) -> None:
    import asyncloop

    out = python.succeed("-m", "asyncloop", "--version")
    assert out == f"asyncloop {asyncloop.__version__}\n"


def test_the_interactive_end_has_the_programs_names(python) -> None:
    python.write("script.py", "answer = 42\n")
    program = python.folder / "typed"
    program.write_text("print(answer)\n")
    import subprocess

    with program.open() as typed:
        done = subprocess.run(
            [sys.executable, "-i", *RUN, "script.py"], cwd=python.folder,
            stdin=typed, capture_output=True, text=True, timeout=60,
            env=python.environment(),
        )
    assert "42" in done.stdout
