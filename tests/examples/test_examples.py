"""Every example runs as its docstring says, offline, and warns of nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.child import search_path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
ARGUMENTS = {"demo.py": ["--rounds", "1"]}
# demo.py is a benchmark rather than something to learn from.
MOST_LINES = 130

# What each prints, so that an example that does nothing is noticed.
PRINTS = {
    "crawler.py": r"200 pages, 199 links",
    "chat.py": r"30 clients said one thing each and heard 870",
    "producer_consumer.py": r"600 items, 3 producers, 5 consumers",
    "downloader.py": r"40 of 40\n2560 KiB in .*, at most [1-8] at once",
    "database_pool.py": r"300 transfers .* no money lost",
    "tls_echo.py": r"certificate: refused\n40 clients, 2000 messages, TLSv1",
    "pipeline.py": r"stopped by signal 15\n20 times sleep 0.2 at once: [01]\.",
    "realtime.py": r"0\.8 s: \d+ readings[^\n]*\n\d+ readings lost",
    "distributed.py": r"6057 primes below 60000.*\n3 workers ended in good",
    "demo.py": r"asyncloop faster\n",
}


def run(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, program, *ARGUMENTS.get(program, [])],
        cwd=EXAMPLES, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=120,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin",
             "PYTHONPATH": search_path("asyncloop")},
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_runs_and_prints_what_it_should(program: str) -> None:
    done = run(program, "-W", "error")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert re.search(PRINTS[program], done.stdout), done.stdout


@pytest.mark.parametrize("program", sorted(set(PROGRAMS) - {"demo.py"}))
def test_it_is_short_and_says_how_to_run_it(program: str) -> None:
    text = (EXAMPLES / program).read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert f"    python examples/{program}\n" in text or (
        f"    python examples/{program} " in text
    )


@pytest.mark.parametrize("program", sorted(set(PROGRAMS) - {"demo.py"}))
def test_its_loop_is_chosen_in_one_line(program: str) -> None:
    text = (EXAMPLES / program).read_text("utf-8")
    uses = re.findall(r"asyncloop\.(?!Loop\b)\w+\(", text)
    assert uses and set(uses) == {"asyncloop.run("}


def test_the_list_of_examples_is_complete() -> None:
    listed = re.findall(
        r"^\| \[(\S+)\]", (EXAMPLES / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert sorted(listed) == PROGRAMS
