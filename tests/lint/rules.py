"""The rules. Each takes the root of a tree and gives a list of problems."""

import os
import re
import shlex
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import csource

MAX_FILE = 900
MAX_FUNCTION = 80

# Folders that no rule looks into.
FOREIGN = {
    ".git", ".venv", "build", "dist", "__pycache__", ".mypy_cache",
    ".pytest_cache",
}


def files(root: Path, *patterns: str) -> Iterator[Path]:
    """The files of the tree that match, without what is not ours."""
    for folder, names, found in os.walk(root):
        names[:] = sorted(
            name for name in names
            if name not in FOREIGN and not name.endswith(".egg-info")
        )
        for name in sorted(found):
            path = Path(folder, name)
            if any(path.match(pattern) for pattern in patterns):
                yield path


def c_files(root: Path) -> Iterator[Path]:
    return files(root / "src", "*.c", "*.h")


def reasons(root: Path, table: str) -> dict[str, str]:
    """The exceptions that reasons.toml grants from one rule."""
    path = root / "tests" / "lint" / "reasons.toml"
    if not path.exists():
        return {}
    return tomllib.loads(path.read_text("utf-8")).get(table, {})


def apply_reasons(
    found: dict[str, str], granted: dict[str, str], table: str
) -> list[str]:
    """The problems without a reason, and the reasons without a problem."""
    problems = [text for key, text in found.items() if key not in granted]
    for key, why in granted.items():
        if key not in found:
            problems.append(f"reasons.toml [{table}]: {key} is not needed")
        elif len(why.split()) < 4:
            problems.append(f"reasons.toml [{table}]: {key} gives no reason")
    return problems


def relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def lines_matching(
    paths: Iterator[Path], root: Path, pattern: str, homes: set[str],
    what: str,
) -> list[str]:
    """Lines of code (comments and strings do not count) that match."""
    problems = []
    for path in paths:
        name = relative(path, root)
        if name in homes:
            continue
        text = path.read_text("utf-8")
        if path.suffix in (".c", ".h"):
            text = csource.blank(text)
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(pattern, line):
                problems.append(f"{name}:{number}: {what}")
    return problems


def version_macros(root: Path) -> list[str]:
    """Differences between versions have one home each."""
    return [
        *lines_matching(
            c_files(root), root,
            r"\bPY_(VERSION_HEX|(MAJOR|MINOR|MICRO)_VERSION)\b",
            {"src/py/compat.h", "src/py/lock.h"},
            "a CPython version outside src/py/compat.h",
        ),
        *lines_matching(
            c_files(root), root, r"\bUV_VERSION_\w+",
            {"src/base/uvcompat.h"},
            "a libuv version outside src/base/uvcompat.h",
        ),
        *lines_matching(
            files(root / "asyncloop", "*.py"), root,
            r"\bsys\s*\.\s*(version_info|hexversion)\b"
            r"|from\s+sys\s+import\b.*\b(version_info|hexversion)\b",
            {"asyncloop/_compat.py"},
            "sys.version_info outside asyncloop/_compat.py",
        ),
    ]


def static_objects(root: Path) -> list[str]:
    """Nothing of Python's in a static variable: state is per module."""
    return lines_matching(
        c_files(root), root,
        r"^\s*static\s+(const\s+)?"
        r"(Py\w*|\w+Object)\s*\*+\s*(const\s+)?\w+\s*(=|;|\[|,)"
        r"|^\s*static\s+PyTypeObject\s+\w+\s*(=|;)",
        set(), "a Python object in a static variable",
    )


def gil_state(root: Path) -> list[str]:
    return lines_matching(
        c_files(root), root, r"\bPyGILState_\w+", {"src/loop/gil.h"},
        "PyGILState_ outside src/loop/gil.h",
    )


def included_sources(root: Path) -> list[str]:
    problems = []
    for path in c_files(root):
        text = csource.blank(path.read_text("utf-8"), strings=False)
        for name in re.findall(r'#\s*include\s*[<"]([^>"]*\.c)[>"]', text):
            problems.append(f"{relative(path, root)}: includes {name}")
    return problems


def sizes(root: Path) -> list[str]:
    """A file over 900 lines or a function over 80 needs a reason."""
    long_files: dict[str, str] = {}
    long_functions: dict[str, str] = {}
    for path in files(root / "src", "*.c", "*.h"):
        name, text = relative(path, root), path.read_text("utf-8")
        count = len(text.splitlines())
        if count > MAX_FILE:
            long_files[name] = f"{name}: {count} lines"
        for function in csource.functions(text):
            if function.lines > MAX_FUNCTION:
                key = f"{name}:{function.name}"
                long_functions[key] = f"{key}: {function.lines} lines"
    for path in files(root, "*.py"):
        name = relative(path, root)
        count = len(path.read_text("utf-8").splitlines())
        if count > MAX_FILE:
            long_files[name] = f"{name}: {count} lines"
    return [
        *apply_reasons(long_files, reasons(root, "long_files"), "long_files"),
        *apply_reasons(
            long_functions, reasons(root, "long_functions"),
            "long_functions",
        ),
    ]


# What may stand before the untracking: it runs no foreign code, but for the
# finalizer, which has to come first.
_BEFORE_UNTRACK = re.compile(
    r"^(?:(?:const )?\w+(?: \w+)? ?\*+ ?\w+ = |assert\(|\(void\)|return$|if \("
    r"|PyObject_CallFinalizerFromDealloc\(|[A-Z_]+\()"
)


def untracks_first(body: str) -> bool:
    for statement in csource.statements(body):
        if statement.startswith("PyObject_GC_UnTrack("):
            return True
        if "PyObject_CallFinalizerFromDealloc" in statement:
            continue
        if not _BEFORE_UNTRACK.match(statement) or "DECREF" in statement:
            return False
    return False


def ends_with_type(body: str) -> bool:
    last = csource.statements(body)[-1:] or [""]
    found = re.fullmatch(r"Py_DECREF\( ?(?:\(PyObject \*\))?(\w+)\)", last[0])
    if found is None:
        return False
    return bool(re.search(
        rf"PyTypeObject\s*\*\s*{found.group(1)}\s*=\s*Py_TYPE\(", body
    ))


def deallocs(root: Path) -> list[str]:
    """tp_dealloc of a heap type untracks first, ends with Py_DECREF(tp)."""
    problems, ends = [], {}
    texts = {
        relative(path, root): path.read_text("utf-8")
        for path in files(root / "src", "*.c")
    }
    # The types of a folder may share a dealloc.
    defined = {
        f.name: f for text in texts.values() for f in csource.functions(text)
    }
    for name, text in texts.items():
        for heap_type in csource.heap_types(text):
            if heap_type.dealloc is None:
                # The inherited one frees the memory and the type, but only
                # a type without references of its own may rely on it.
                if heap_type.has_gc:
                    problems.append(f"{name}: {heap_type.spec} has no dealloc")
                continue
            key = f"{name}:{heap_type.dealloc}"
            function = defined.get(heap_type.dealloc)
            if function is None:
                problems.append(f"{key} is not defined")
                continue
            if heap_type.has_gc and not untracks_first(function.body):
                problems.append(f"{key} does not untrack first")
            if not ends_with_type(function.body):
                ends[key] = f"{key} does not end with Py_DECREF(tp)"
    granted = reasons(root, "deallocs")
    return problems + apply_reasons(ends, granted, "deallocs")


def headers_alone(root: Path) -> list[str]:
    """Every header compiles without another one before it."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]
    uv = subprocess.run(
        ["pkg-config", "--cflags", "libuv"], capture_output=True, text=True
    )
    command = [
        *compiler, "-x", "c", "-std=c11", "-D_GNU_SOURCE=1", "-fsyntax-only",
        "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
        "-Wno-unused-function", "-I", str(root / "src"),
        "-isystem", sysconfig.get_path("include"),
        *shlex.split(uv.stdout), "-",
    ]

    def try_one(path: Path) -> str | None:
        name = path.relative_to(root / "src").as_posix()
        done = subprocess.run(
            command, input=f'#include "{name}"\nextern int al_end;\n',
            capture_output=True, text=True,
        )
        if done.returncode == 0:
            return None
        return f"src/{name} does not compile alone:\n{done.stderr}"

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(try_one, files(root / "src", "*.h"))
        return [problem for problem in results if problem is not None]


def formatting(root: Path, clang_format: str) -> list[str]:
    """What clang-format 14 would change."""
    paths = [str(path) for path in c_files(root)]
    if not paths:
        return []
    done = subprocess.run(
        [clang_format, "--style=file", "--dry-run", "-Werror", *paths],
        capture_output=True, text=True, cwd=root,
    )
    if done.returncode == 0:
        return []
    where = re.findall(r"^(\S+?:\d+):\d+: error: ", done.stderr, re.MULTILINE)
    return [
        f"{Path(at).relative_to(root).as_posix()}: make format"
        for at in dict.fromkeys(where)
    ] or [done.stderr]


TEXT = (
    "*.c", "*.h", "*.py", "*.pyi", "*.md", "*.toml", "*.sh", "*.in",
    "Makefile", "LAYERS", ".gitignore", ".editorconfig", ".clang-format",
    "LICENSE", "run",
)


def whitespace(root: Path) -> list[str]:
    """No blanks at a line's end, no tabs in C, one newline at the end."""
    problems = []
    for path in files(root, *TEXT):
        name, text = relative(path, root), path.read_text("utf-8")
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                problems.append(f"{name}:{number}: blanks at the end")
            if "\t" in line and path.suffix in (".c", ".h", ".py"):
                problems.append(f"{name}:{number}: a tab")
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            problems.append(f"{name}: must end with one newline")
    return problems


def anchors(text: str) -> set[str]:
    """The anchors that the headings of a page give."""
    found: set[str] = set()
    for title in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower())
        found.add(slug.replace(" ", "-"))
    return found


def links(root: Path) -> list[str]:
    """Every relative link of a page leads to a file, and to its heading."""
    problems = []
    for path in files(root, "*.md"):
        text = re.sub(
            r"^```.*?^```", "", path.read_text("utf-8"),
            flags=re.MULTILINE | re.DOTALL,
        )
        text = re.sub(r"`[^`\n]*`", "", text)
        for link in re.findall(r"\]\(<?([^)\s>]+)>?\)", text):
            if re.match(r"[a-z][a-z+.-]*:", link):
                continue
            target, _, anchor = link.partition("#")
            page = (path.parent / target) if target else path
            if not page.exists():
                problems.append(f"{relative(path, root)}: {link} leads nowhere")
            elif anchor and page.suffix == ".md":
                if anchor not in anchors(page.read_text("utf-8")):
                    problems.append(
                        f"{relative(path, root)}: no heading for {link}"
                    )
    return problems


# The index's package of that name is somebody else's.
_FOREIGN_NAME = re.compile(r"pip3? install\s+(-\S+\s+)*asyncloop(?!-uv)\b")
# /tmp and /var/tmp are everywhere; these are one person's.
_MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(work|srv|root|home)/\w")


def wording(root: Path) -> list[str]:
    """Nothing of one machine, and never the wrong package's name."""
    problems = []
    for path in files(root, *TEXT):
        name = relative(path, root)
        if name.startswith("tests/lint/"):
            continue  # the bad samples
        for number, line in enumerate(
            path.read_text("utf-8").splitlines(), 1
        ):
            if _FOREIGN_NAME.search(line):
                problems.append(f"{name}:{number}: another one's package")
            if _MACHINE_PATH.search(line):
                problems.append(f"{name}:{number}: a path of one machine")
    return problems
