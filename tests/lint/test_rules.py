"""Every rule holds for the checkout, and sees what it is there to see."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import layers
import pytest
import rules

LAYERS = "base\nloop\nstreams tls  # siblings\nmodule.c\n"

GOOD_TYPE = """\
static void
thing_tp_dealloc(PyObject *op)
{
    ThingObject *self = (ThingObject *)op;
    PyTypeObject *tp = Py_TYPE(op);

    PyObject_GC_UnTrack(op);
    thing_tp_clear(op);
    tp->tp_free(self);
    Py_DECREF(tp);
}

static PyType_Slot thing_slots[] = {
    {Py_tp_dealloc, thing_tp_dealloc},
    {0, NULL},
};

static PyType_Spec thing_spec = {
    .name = "asyncloop._core.Thing",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = thing_slots,
};
"""


def clang_format() -> str | None:
    """The one of the environment, or another of the same version."""
    beside = Path(sys.executable).with_name("clang-format")
    found = str(beside) if beside.exists() else shutil.which("clang-format")
    if found is None:
        return None
    version = subprocess.run(
        [found, "--version"], capture_output=True, text=True
    )
    return found if "version 14." in version.stdout else None


needs_clang_format = pytest.mark.skipif(
    clang_format() is None,
    reason="clang-format 14 is not installed; `make setup` installs it",
)


def test_the_walk_sees_the_source(root: Path) -> None:
    seen = {path.name for path in rules.c_files(root)}
    assert {"compat.h", "uvcompat.h", "module.c"} <= seen


# -- layers ---------------------------------------------------------------

def test_includes_obey_layers(root: Path) -> None:
    assert layers.check(root / "src") == []


@pytest.mark.parametrize(
    "user, target, wrong",
    [
        ("loop/a.c", "base/b.h", None),
        ("loop/a.c", "loop/b.h", None),
        ("loop/a.c", "tls/b.h", "of a higher layer"),
        ("tls/a.c", "streams/b.h", "of a sibling"),
        ("module.c", "tls/b.h", None),
    ],
)
def test_layers_are_told_apart(tree, user, target, wrong) -> None:
    src = tree({"LAYERS": LAYERS, user: f'#include "{target}"\n', target: ""})
    problems = layers.check(src)
    if wrong is None:
        assert problems == []
    else:
        assert [wrong in problem for problem in problems] == [True]


def test_a_folder_outside_layers_is_reported(tree) -> None:
    src = tree({"LAYERS": LAYERS, "attic/a.c": "\n"})
    assert layers.check(src) == ["attic/a.c: its folder is not in LAYERS"]


def test_an_include_of_no_file_is_reported(tree) -> None:
    src = tree({"LAYERS": LAYERS, "loop/a.c": '#include "loop/no.h"\n'})
    assert layers.check(src) == ["loop/a.c: includes loop/no.h, not in src/"]


# -- homes ----------------------------------------------------------------

def test_versions_are_tested_in_their_homes_only(root: Path) -> None:
    assert rules.version_macros(root) == []


@pytest.mark.parametrize(
    "name, text, count",
    [
        ("src/loop/a.c", "#if PY_VERSION_HEX > 1\n", 1),
        ("src/loop/a.c", "#if PY_MINOR_VERSION > 1\n", 1),
        ("src/loop/a.c", "#if UV_VERSION_HEX > 1\n", 1),
        ("src/loop/a.c", "/* PY_VERSION_HEX */\n", 0),
        ("src/py/compat.h", "#if PY_VERSION_HEX > 1\n", 0),
        ("src/base/uvcompat.h", "#if UV_VERSION_HEX > 1\n", 0),
        ("src/py/compat.h", "#if UV_VERSION_HEX > 1\n", 1),
        ("asyncloop/_run.py", "if sys.version_info > (3, 12):\n", 1),
        ("asyncloop/_run.py", "from sys import version_info\n", 1),
        ("asyncloop/_compat.py", "if sys.version_info > (3, 12):\n", 0),
    ],
)
def test_a_version_out_of_place_is_seen(tree, name, text, count) -> None:
    assert len(rules.version_macros(tree({name: text}))) == count


def test_no_python_object_is_static(root: Path) -> None:
    assert rules.static_objects(root) == []


@pytest.mark.parametrize(
    "line, count",
    [
        ("static PyObject *cache;", 1),
        ("static PyObject *cache = NULL;", 1),
        ("    static PyObject *names[4];", 1),
        ("static HandleObject *spare;", 1),
        ("static PyTypeObject *handle_type;", 1),
        ("static PyTypeObject Handle_Type = {", 1),
        ("static PyObject *", 0),
        ("static PyObject *make(void);", 0),
        ("static PyType_Spec spec = {", 0),
    ],
)
def test_a_static_object_is_seen(tree, line, count) -> None:
    root = tree({"src/loop/a.c": line + "\n"})
    assert len(rules.static_objects(root)) == count


def test_gil_state_is_called_in_its_home_only(root: Path) -> None:
    assert rules.gil_state(root) == []


def test_gil_state_out_of_place_is_seen(tree) -> None:
    call = "    PyGILState_Ensure();\n"
    root = tree({"src/loop/a.c": call, "src/loop/gil.h": call})
    assert len(rules.gil_state(root)) == 1


def test_no_source_is_included(root: Path) -> None:
    assert rules.included_sources(root) == []


def test_an_included_source_is_seen(tree) -> None:
    root = tree({"src/a.c": '#include "b.c"\n', "src/b.c": ""})
    assert rules.included_sources(root) == ["src/a.c: includes b.c"]


# -- shapes ---------------------------------------------------------------

def test_headers_compile_alone(root: Path) -> None:
    assert rules.headers_alone(root) == []


def test_a_header_that_leans_on_another_is_seen(tree) -> None:
    root = tree({
        "src/good.h": "#include <stddef.h>\nsize_t al_size(void);\n",
        "src/bad.h": "size_t al_size(void);\n",
    })
    problems = rules.headers_alone(root)
    assert [p.splitlines()[0] for p in problems] == [
        "src/bad.h does not compile alone:"
    ]


def test_files_and_functions_are_short(root: Path) -> None:
    assert rules.sizes(root) == []


def test_a_long_function_is_seen(tree) -> None:
    body = "    step();\n" * 80
    text = f"static int\nlong_one(int a,\n         int b)\n{{\n{body}}}\n"
    root = tree({"src/a.c": text})
    assert rules.sizes(root) == ["src/a.c:long_one: 84 lines"]


def test_a_long_file_is_seen_and_a_reason_allows_it(tree) -> None:
    root = tree({"src/a.c": "int a;\n" * 901})
    assert rules.sizes(root) == ["src/a.c: 901 lines"]
    tree({"tests/lint/reasons.toml":
          '[long_files]\n"src/a.c" = "one table, easier to read whole"\n'})
    assert rules.sizes(root) == []


def test_a_reason_that_is_not_needed_is_seen(tree) -> None:
    root = tree({
        "src/a.c": "int a;\n",
        "tests/lint/reasons.toml":
            '[long_files]\n"src/a.c" = "one table, easier to read whole"\n',
    })
    assert rules.sizes(root) == [
        "reasons.toml [long_files]: src/a.c is not needed"
    ]


def test_deallocs_untrack_first_and_drop_the_type_last(root: Path) -> None:
    assert rules.deallocs(root) == []


def test_the_lint_finds_the_heap_types(root: Path) -> None:
    found = [
        heap_type
        for path in rules.files(root / "src", "*.c")
        for heap_type in rules.csource.heap_types(path.read_text("utf-8"))
    ]
    specs = sum(
        len(re.findall(r"PyType_Spec \w+ =", path.read_text("utf-8")))
        for path in rules.files(root / "src", "*.c")
    )
    assert found and len(found) == specs


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("", "", None),
        ("    PyObject_GC_UnTrack(op);\n", "", "does not untrack first"),
        (
            "    PyObject_GC_UnTrack(op);\n    thing_tp_clear(op);\n",
            "    thing_tp_clear(op);\n    PyObject_GC_UnTrack(op);\n",
            "does not untrack first",
        ),
        (
            "    PyObject_GC_UnTrack(op);\n",
            "    if (PyObject_CallFinalizerFromDealloc(op) < 0) {\n"
            "        return;\n    }\n    PyObject_GC_UnTrack(op);\n",
            None,
        ),
        ("    Py_DECREF(tp);\n", "", "does not end with Py_DECREF(tp)"),
        (" | Py_TPFLAGS_HAVE_GC", "", None),
        (
            "    {Py_tp_dealloc, thing_tp_dealloc},\n", "",
            "src/a.c: thing_spec has no dealloc",
        ),
    ],
)
def test_a_wrong_dealloc_is_seen(tree, old, new, problem) -> None:
    root = tree({"src/a.c": GOOD_TYPE.replace(old, new) if old else GOOD_TYPE})
    problems = rules.deallocs(root)
    if problem is None:
        assert problems == []
    else:
        assert len(problems) == 1 and problems[0].endswith(problem)


# -- text -----------------------------------------------------------------

@needs_clang_format
def test_the_source_is_formatted(root: Path) -> None:
    assert rules.formatting(root, clang_format()) == []


@needs_clang_format
def test_wrong_formatting_is_seen(tree, root: Path) -> None:
    style = (root / ".clang-format").read_text("utf-8")
    bad = tree({".clang-format": style, "src/a.c": "int  a;\n"})
    assert rules.formatting(bad, clang_format()) == ["src/a.c:1: make format"]


def test_lines_end_cleanly(root: Path) -> None:
    assert rules.whitespace(root) == []


@pytest.mark.parametrize(
    "text, count",
    [("a\n", 0), ("a \n", 1), ("a", 1), ("a\n\n", 1), ("\ta\n", 1), ("", 0)],
)
def test_an_unclean_line_is_seen(tree, text, count) -> None:
    assert len(rules.whitespace(tree({"src/a.c": text}))) == count


def test_links_lead_somewhere(root: Path) -> None:
    assert rules.links(root) == []


@pytest.mark.parametrize(
    "link, count",
    [
        ("there.md", 0), ("there.md#the-second-part", 0), ("#here", 0),
        ("https://example.org/x", 0), ("nowhere.md", 1),
        ("there.md#no-such-part", 1), ("../outside.md", 1),
    ],
)
def test_a_dead_link_is_seen(tree, link, count) -> None:
    root = tree({
        "docs/page.md": f"# Here\n\nSee [it]({link}) and `[a](b)`.\n",
        "docs/there.md": "# A page\n\n## The second part\n",
    })
    assert len(rules.links(root)) == count


def test_no_text_names_a_machine_or_the_wrong_package(root: Path) -> None:
    assert rules.wording(root) == []


@pytest.mark.parametrize(
    "line, count",
    [
        ("pip install asyncloop", 1), ("pip install -U asyncloop", 1),
        ("pip install asyncloop-uv", 0), ("pip install .", 0),
        # Put together, so that this file has no such path either.
        ("cd /" + "home/somebody", 1), ('"/' + 'srv/data/src"', 1),
        ("$root/" + "home/x", 0), ("https://example.org/" + "home/x", 0),
    ],
)
def test_wrong_wording_is_seen(tree, line, count) -> None:
    assert len(rules.wording(tree({"README.md": line + "\n"}))) == count
