"""The shape of the code: a pure core that imports nothing from outside, and nothing too large."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "prefect_crash_monitor"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

ROOMS = (
    "model",  # values
    "redaction",
    "text",
    "errors",
    "prefect_api",
    "config",
    "observe",
    "explain",
    "ghosts",
    "evaluate",  # judge
    "count",
    "publish",
    "remediate",  # act
    "notify",  # tell
    "state",  # remember
    "report",
    "triage",  # look closely
    "cycle",  # the sentence
    "demo",
    "cli",
)
"""The rooms of the package, in the order in which they may import: each only those above it."""

FACES = ("__init__", "__main__", "blocks", "deployed", "policy")
"""What stands outside of the rooms: what users import and start."""

EDGE_PREFIXES = (
    "read_",
    "write_",
    "send_",
    "run_",
    "free_",
    "mark_",
    "register_",
    "execute_",
    "log_",
)
EDGE_NAMES = {"client", "ledger_store", "silence_store", "__main__", "blocks", "deployed"}
EDGE_ROOMS = {"cli", "demo"}
"""What may talk to Prefect, files and the clock, told by its name; everything else is core."""

OURS = "prefect_crash_monitor"
OUTSIDE = {
    *("asyncio", "http", "logging", "multiprocessing", "os", "socket", "ssl", "subprocess"),
    *("threading", "urllib.request", "importlib.import_module", "__import__"),
}
"""What of Python itself a decision does without."""

THIRD_PARTIES = {"pydantic", "pandas", "rich"}
"""What else a decision may use; nothing of these reaches out."""

CLOCKS = {"now", "utcnow", "today", "monotonic", "perf_counter", "time"}


def module_of(path: Path) -> str:
    """The module's name within the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def is_edge(module: str) -> bool:
    """Whether a module may act, by its name alone."""
    room, _, name = module.partition(".")
    name = name.rpartition(".")[2] or room
    return room in EDGE_ROOMS or name in EDGE_NAMES or name.startswith(EDGE_PREFIXES)


CORE = {module_of(path): path for path in MODULES if not is_edge(module_of(path))}
EDGE = {module_of(path) for path in MODULES} - set(CORE)


def tree_of(path: Path) -> ast.Module:
    """What a file says."""
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    """Every module that is imported anywhere in a file, by its full name."""
    package = path.relative_to(PACKAGE.parent).parent.parts if PACKAGE in path.parents else ()
    return imported(tree_of(path), package)


def imported(tree: ast.AST, package: tuple[str, ...] = ()) -> set[str]:
    """Full names of what is imported: modules, and what `from` takes out of them, if one or not.

    Also `import_module` and `__import__`, and what they are called with: a name made elsewhere
    may be any module.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}".strip(".") for alias in node.names)}
        elif isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            found |= {DYNAMIC[name]} if name in DYNAMIC else set()
    return found - {""}


DYNAMIC = {"import_module": "importlib.import_module", "__import__": "__import__"}
"""Functions that import, however one gets at them."""


def within(names: Iterable[str], roots: Iterable[str]) -> set[str]:
    """Which of the names are these modules, or anything in them."""
    return {name for name in names for root in roots if f"{name}.".startswith(f"{root}.")}


def foreign(names: Iterable[str]) -> set[str]:
    """The packages among the imports that neither come with Python nor are ours."""
    packages = {name.partition(".")[0] for name in names}
    return packages - sys.stdlib_module_names - {OURS, "__import__"}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its length without its docstring, from `def` to the last line."""
    length = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= (first.end_lineno or 0) - first.lineno + 1
    return length


def offenders(paths: Iterable[Path], judge: Callable[[Path], object]) -> dict[str, object]:
    """Which files have what is not allowed, and what."""
    return {str(path.relative_to(ROOT)): found for path in paths if (found := judge(path))}


def test_the_core_imports_nothing_from_outside():
    """Neither Prefect nor a connection, a process or a log: a decision is a plain function."""

    def outside(path: Path) -> set[str]:
        names = imports(path)
        return within(names, OUTSIDE) | (foreign(names) - THIRD_PARTIES)

    assert offenders(CORE.values(), outside) == {}


@pytest.mark.parametrize(
    "program",
    [
        "import prefect",
        "import prefect.client.orchestration as anything",
        "from prefect import flow",
        "from prefect.events.schemas import events",
        "def decide():\n    import httpx",
        "def decide():\n    from httpx import get",
        "if TYPE_CHECKING:\n    import prefect",
        "import importlib\nimportlib.import_module('prefect')",
        "from importlib import import_module",
        "module = __import__('pre' + 'fect')",
        "from urllib.request import urlopen",
        "import aiohttp",
    ],
)
def test_an_import_from_outside_is_seen_in_any_form(program):
    """Else the test of the core shows nothing."""
    names = imported(ast.parse(program))

    assert within(names, OUTSIDE) | (foreign(names) - THIRD_PARTIES)


@pytest.mark.parametrize(
    "program",
    [
        "import prefect_crash_monitor.ghosts.sweep",
        "from prefect_crash_monitor.ghosts import sweep",
        "from prefect_crash_monitor.ghosts.sweep import look",
        "from . import sweep",
        "from .sweep import look",
        "from ..ghosts import sweep",
    ],
)
def test_an_import_of_ours_is_seen_in_any_form(program):
    """By its full name, also where it is relative to the module that imports it."""
    edge = {f"{OURS}.ghosts.sweep"}

    assert within(imported(ast.parse(program), (OURS, "ghosts")), edge)


def test_the_core_imports_only_the_core():
    """What it imports of ours is core, too."""

    def edges(path: Path) -> set[str]:
        return within(imports(path), {f"{OURS}.{name}" for name in EDGE})

    assert offenders(CORE.values(), edges) == {}


def test_the_core_has_no_clock():
    """`now` is passed in."""

    def clocks(path: Path) -> set[str]:
        calls = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
        return {call.attr for call in calls if isinstance(call, ast.Attribute)} & CLOCKS

    assert offenders(CORE.values(), clocks) == {}


def test_a_room_imports_only_those_before_it():
    """One crash goes through the rooms in their order; nothing looks ahead."""

    def ahead(path: Path) -> list[str]:
        room = module_of(path).partition(".")[0]
        if room in FACES:
            return []
        allowed = {*ROOMS[: ROOMS.index(room) + 1], *FACES, "__version__"}
        ours = [n.removeprefix(f"{OURS}.") for n in imports(path) if n.startswith(f"{OURS}.")]
        return [name for name in ours if name.partition(".")[0] not in allowed]

    assert offenders(MODULES, ahead) == {}


def test_every_module_is_in_a_room_and_every_room_says_what_it_is_for():
    """At the top there are only the faces; a room has at most 15 modules and one paragraph."""
    rooms = {path.parent for path in MODULES if path.parent != PACKAGE}
    top = {module_of(path) for path in MODULES if path.parent == PACKAGE}

    assert top == {*FACES, "errors"}
    assert {room.relative_to(PACKAGE).parts[0] for room in rooms} | {"errors"} == set(ROOMS)
    assert [room.name for room in rooms if len(list(room.glob("*.py"))) > 16] == []
    assert [
        room.name for room in rooms if not ast.get_docstring(tree_of(room / "__init__.py"))
    ] == []


def test_no_two_modules_of_one_room_are_told_apart_by_one_letter():
    """`act`, `acts` and `acting` were three things."""
    names = sorted(module_of(path) for path in MODULES)

    assert [a for a in names if f"{a}s" in names] == []


def test_importing_the_core_loads_no_prefect():
    """Importing Prefect takes seconds; neither the core nor the command line may do it."""
    ours = "prefect_crash_monitor"
    names = [ours, f"{ours}.cli", *(f"{ours}.{name}" for name in CORE if name != "__init__")]
    program = f"import sys, {', '.join(names)}; print({{'prefect', 'httpx'}} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_no_module_is_long():
    """At most 300 lines, tests 500."""

    def too_long(path: Path) -> int:
        lines = len(path.read_text().splitlines())
        return lines if lines > (500 if path in TESTS else 300) else 0

    assert offenders([*MODULES, *TESTS], too_long) == {}


def test_functions_are_short():
    """None has more than 50 lines, as then it has two things to say; half have at most 8."""

    def too_long(path: Path) -> dict[str, int]:
        return {f.name: lines_of(f) for f in functions(path) if lines_of(f) > 50}

    assert offenders(MODULES, too_long) == {}
    assert median(lines_of(f) for path in MODULES for f in functions(path)) <= 8


def test_every_test_says_what_it_shows():
    """A docstring, a sentence."""

    def silent(path: Path) -> list[str]:
        tests = [f for f in functions(path) if f.name.startswith("test_")]
        return [f.name for f in tests if not (ast.get_docstring(f) or "").endswith((".", "?"))]

    assert offenders(TESTS, silent) == {}


@pytest.mark.parametrize("word", ["utils", "helpers", "manager", "common", "misc"])
def test_modules_are_named_by_the_domain(word):
    """A drawer for everything is where a concept has no name."""
    assert [path for path in [*MODULES, *TESTS] if word in path.stem] == []


STABLE = {"flows": f"{OURS}.deployed", "blocks": f"{OURS}.blocks"}
"""The one module of ours that files in a folder may import."""


def beyond_the_stable(folder: str, names: set[str]) -> set[str]:
    """What a file of this folder imports that it may not: only Python, Prefect and one of ours."""
    ours = within(names, [OURS]) - within(names, [STABLE[folder]]) - {OURS}
    return ours | (foreign(names) - {"prefect"}) | within(names, DYNAMIC.values())


@pytest.mark.parametrize("folder", STABLE)
def test_what_is_copied_into_projects_imports_one_stable_module(folder):
    """Files that `init` wrote stay when the package is upgraded: nothing else may break them."""
    paths = sorted((ROOT / folder).glob("*.py"))

    assert paths
    assert offenders(paths, lambda path: beyond_the_stable(folder, imports(path))) == {}
    assert all(within(imports(path), [STABLE[folder]]) for path in paths)


@pytest.mark.parametrize(
    "program",
    [
        "import prefect_crash_monitor.cycle",
        "import prefect_crash_monitor.cycle as deployed",
        "from prefect_crash_monitor import cycle",
        "from prefect_crash_monitor.cycle import run_cycle",
        "from prefect_crash_monitor import deployed, cycle",
        "def inside():\n    import prefect_crash_monitor.cycle",
        "import pandas",
        "from pandas import DataFrame",
        "import a_file_beside_it",
        "from importlib import import_module",
    ],
)
def test_an_import_that_may_break_a_copy_is_seen(program):
    """In any form, beside one that is allowed."""
    allowed = "from prefect import flow\nfrom prefect_crash_monitor import deployed\n"

    assert not beyond_the_stable("flows", imported(ast.parse(allowed)))
    assert beyond_the_stable("flows", imported(ast.parse(allowed + program)))
