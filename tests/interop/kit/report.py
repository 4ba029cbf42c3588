"""The table at the end: a row a system, a column a loop."""

import importlib.metadata
import json
import pathlib
import platform
import tomllib
from collections import defaultdict

import pytest

HERE = pathlib.Path(__file__).parent.parent


def systems() -> dict[str, dict]:
    with open(HERE / "systems.toml", "rb") as file:
        return tomllib.load(file)["systems"]


class Table:
    def __init__(self, config: pytest.Config) -> None:
        self.path = config.getoption("--json-table")
        self.kinds = config.getoption("--loops").split(",")
        self.servers: dict[str, str] = {}
        # Of each system and kind, the seconds and failures of its tests.
        self.seconds: dict = defaultdict(float)
        self.passed: dict = defaultdict(int)
        self.failed: dict = defaultdict(list)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item):
        report = yield
        if item.path.is_relative_to(HERE) and hasattr(item, "callspec"):
            place = item.path.relative_to(HERE).parts[0]
            key = place, item.callspec.params["kind"]
            if report.when == "call":
                self.seconds[key] += report.duration
            if not report.passed:
                self.failed[key].append(item.nodeid)
            elif report.when == "call":
                self.passed[key] += 1
        return report

    def rows(self) -> list[dict]:
        rows = []
        for name, system in systems().items():
            loops = {
                kind: {
                    "passed": self.passed[name, kind],
                    "failed": self.failed[name, kind],
                    "seconds": round(self.seconds[name, kind], 3),
                }
                for kind in self.kinds
                if self.passed[name, kind] or self.failed[name, kind]
            }
            if not loops:
                continue
            versions = {
                package: importlib.metadata.version(package)
                for package in system.get("versions", ())
            } or {"Python": platform.python_version()}
            versions |= {
                f"{server} (server)": self.servers[server]
                for server in system.get("servers", ())
                if server in self.servers
            }
            rows.append({
                "system": name, "title": system["title"],
                "versions": versions, "loops": loops,
            })
        return rows

    def pytest_terminal_summary(self, terminalreporter) -> None:
        rows = self.rows()
        if not rows:
            return
        if self.path:
            pathlib.Path(self.path).write_text(
                json.dumps({
                    "python": platform.python_version(), "systems": rows,
                }, indent=1) + "\n"
            )
        write = terminalreporter.write_line
        terminalreporter.section("ecosystem")
        head = "".join(f"{kind:>26}" for kind in self.kinds)
        write(f"{'':42}{head}")
        for row in rows:
            cells = ""
            for kind in self.kinds:
                one = row["loops"].get(kind)
                if one is None:
                    cells += f"{'-':>26}"
                    continue
                failed = len(one["failed"])
                verdict = f"{failed} FAILED of " if failed else "pass "
                total = one["passed"] + failed
                cells += f"{verdict}{total} {one['seconds']:7.2f} s".rjust(26)
            write(f"{row['title']:42}{cells}")
            write("    " + ", ".join(
                f"{name} {version}"
                for name, version in row["versions"].items()
            ))
