"""python -m asyncloop info and bench."""

import io
import json
import signal

import asyncloop
from asyncloop import _bench, _bench_rows, _info

INFO = ("-m", "asyncloop", "info")
BENCH = ("-m", "asyncloop", "bench", "--seconds", "3")


def test_info_tells_what_bug_reports_need(python) -> None:
    found = json.loads(python.succeed(*INFO, "--json"))
    assert found["asyncloop"]["version"] == asyncloop.__version__
    assert found["libuv features"]["at run time"] == asyncloop.libuv_version()
    for name in ("version", "GIL", "OpenSSL", "default loop"):
        assert name in found["python"]
    for name in ("kernel", "libc", "usable processors", "open files"):
        assert name in found["system"]
    for name in ("pidfd", "UDP segmentation", "io_uring", "kernel TLS"):
        assert isinstance(found["kernel features"][name], str)


def test_info_as_text_has_the_same_facts(python) -> None:
    facts = json.loads(python.succeed(*INFO, "--json"))
    lines = python.succeed(*INFO).splitlines()
    for title, table in facts.items():
        assert title in lines
        for name, fact in table.items():
            assert f"  {name:<24} {fact}" in lines


def test_info_names_neither_machine_nor_folders(python, tmp_path) -> None:
    import socket

    text = python.succeed(*INFO, "--json")
    assert str(tmp_path) not in text and str(_info.__file__) not in text
    values = [
        str(fact) for table in json.loads(text).values()
        for fact in table.values()
    ]
    assert socket.gethostname() not in values


def test_info_tells_the_default_loop_of_a_patched_program(python) -> None:
    words = ("-m", "asyncloop", "run", *INFO, "--json")
    found = json.loads(python.succeed(*words))
    assert found["python"]["default loop"] == "asyncloop.Loop"


def test_info_shows_variables_that_matter(python) -> None:
    python.env["UV_THREADPOOL_SIZE"] = "7"
    found = json.loads(python.succeed(*INFO, "--json"))
    assert found["environment"]["UV_THREADPOOL_SIZE"] == "7"


def test_bench_measures_every_row_on_every_loop(python) -> None:
    done = python.run(*BENCH, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result["rows"]) == list(_bench_rows.ROWS)
    for values in result["rows"].values():
        assert {"asyncio", "asyncloop"} <= set(values)
        assert all(value > 0 for value in values.values())
    # Not a terminal: plain lines.
    assert done.stderr.split("\n") == ["25 %", "50 %", "75 %", "100 %", ""]


def test_bench_prints_a_table(python) -> None:
    done = python.run(*BENCH)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"asyncloop {asyncloop.__version__}, libuv ")
    assert lines[1].startswith("microseconds of CPU per operation")
    assert len(lines) == 2 + len(_bench_rows.ROWS)
    assert "\r" not in done.stdout + done.stderr


def test_bench_ends_quietly_when_interrupted(python) -> None:
    with python.start("-m", "asyncloop", "bench") as process:
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and out == ""
    assert "Traceback" not in errors


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line_that_vanishes() -> None:
    file = Terminal()
    progress = _bench.Progress(4, file)
    for _ in range(4):
        progress.step("asyncio")
    progress.end()
    text = file.getvalue()
    assert "\n" not in text and text.endswith("\r")
    assert "[##############################] 100 %" in text


def test_progress_elsewhere_is_a_line_each_quarter() -> None:
    file = io.StringIO()
    progress = _bench.Progress(40, file)
    for _ in range(40):
        progress.step("asyncio")
    progress.end()
    assert file.getvalue() == "25 %\n50 %\n75 %\n100 %\n"


def test_a_loop_that_fails_is_told_with_its_errors(
    monkeypatch, capsys
) -> None:
    monkeypatch.setattr(_bench, "loops", lambda: ["asyncio", "no_such_loop"])
    assert _bench.main(["--seconds", "1"]) == 1
    assert "No module named 'no_such_loop'" in capsys.readouterr().err


def test_bench_does_not_take_the_alias_for_uvloop(python) -> None:
    words = ("-m", "asyncloop", "run", "--as-uvloop", "-c",
             "from asyncloop import _bench; print(_bench.loops())")
    assert python.succeed(*words) == "['asyncio', 'asyncloop']\n"
