"""Programs at a terminal: prompt_toolkit and IPython, typed to in a pty."""

import sys

import pexpect
import pytest

PROMPT = """\
import asyncio, sys
from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout
from interop.kit.programs import module_of
from support import loops

async def ticks():
    for number in range(1000):
        await asyncio.sleep(0.05)
        print(f"tick {number}")

async def main():
    session = PromptSession()
    with patch_stdout():
        background = asyncio.create_task(ticks())
        name = await session.prompt_async("name> ")
        print(f"hello {name} of {module_of(asyncio.get_running_loop())}")
        try:
            await session.prompt_async("more> ")
        except KeyboardInterrupt:
            print("interrupted")
        try:
            await session.prompt_async("last> ")
        except EOFError:
            print("the end")
        background.cancel()

with asyncio.Runner(loop_factory=lambda: loops.new(sys.argv[1])) as runner:
    runner.run(main())
"""


@pytest.fixture
def terminal(programs):
    """Starts python with the arguments at a terminal."""
    opened = []

    def start(*arguments: str, site: bool = False) -> pexpect.spawn:
        child = pexpect.spawn(
            sys.executable, ["-P", *arguments], encoding="utf-8", timeout=30,
            env=programs.environment(
                site=site, TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1",
                IPYTHONDIR=str(programs.folder),
            ),
            cwd=str(programs.folder), dimensions=(24, 100),
        )
        opened.append(child)
        return child

    yield start
    for child in opened:
        child.close(force=True)


def test_a_prompt_beside_a_task_that_prints(terminal, programs, kind):
    child = terminal(str(programs.write("prompt.py", PROMPT)), kind)
    child.expect("name>")
    child.expect("tick 1")
    child.send("somebody\r")
    child.expect(f"hello somebody of {kind}")
    child.expect("more>")
    child.sendcontrol("c")
    child.expect("interrupted")
    child.expect("last>")
    child.sendcontrol("d")
    child.expect("the end")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0


def test_a_window_that_changes_its_size(terminal, programs, kind):
    """The handler of SIGWINCH is the loop's, and put back afterwards."""
    program = programs.write("resize.py", """\
import asyncio, signal, sys
from prompt_toolkit import PromptSession
from support import loops

async def main():
    loop = asyncio.get_running_loop()
    seen = []
    loop.add_signal_handler(signal.SIGWINCH, seen.append, 1)
    await PromptSession().prompt_async("size> ")
    signal.raise_signal(signal.SIGWINCH)
    await asyncio.sleep(0.05)
    print("seen", len(seen))

with asyncio.Runner(loop_factory=lambda: loops.new(sys.argv[1])) as runner:
    runner.run(main())
""")
    child = terminal(str(program), kind)
    child.expect("size>")
    child.setwinsize(30, 60)
    child.expect("size>")
    child.send("\r")
    child.expect("seen 1")


def test_ipython_awaits_at_its_prompt(terminal, kind):
    child = terminal(
        "-m", "IPython", "--no-banner", "--no-confirm-exit",
        "--colors=nocolor", site=True,
    )
    child.expect(r"In \[")
    child.send(
        "import asyncio; await asyncio.sleep(0.01); "
        "print('on', type(asyncio.get_running_loop()).__module__)\r"
    )
    child.expect(f"on {kind}")
    child.expect(r"In \[")
    child.send("await asyncio.sleep(0.01, 'result')\r")
    child.expect("Out.*result")
    child.expect(r"In \[")
    child.sendcontrol("d")
    child.expect(pexpect.EOF)
