"""The house as docs/architecture.md draws it: who may import whom, and what nobody may use."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "fittingroom"
FILES = sorted(SOURCE.rglob("*.py"))
TESTS = ROOT / "tests"

# A room may import the rooms of lower levels, and itself.
LEVELS = [
    {"errors"},
    {"files", "untrusted", "json_text", "printable"},
    {"array_file", "formatting", "javascript", "table", "kernels"},
    {"data", "nets", "evaluation"},
    {"training"},
    {"models"},
    {"bundles"},
    {"runs"},
    {"execution"},
    {"bench"},
    {"reporting"},
    {"serving"},
    {"cli"},
    {"interactive", "figures"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

# What a room may use besides the standard library and `errors`.
ALONE = {
    "nets": {"torch", "numpy", "numba", "llvmlite"},
    "kernels": {"torch", "numpy", "numba", "llvmlite", "psutil"},
    # The last two where they are installed: for data frames and for doubtful labels.
    "evaluation": {"numpy", "scipy", "pandas", "cleanlab"},
}

# A file that we load must never run code.
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "h5py",
}
FORBIDDEN_CALLS = {"eval", "exec"}


def room_of(path: Path) -> str:
    inside = path.relative_to(SOURCE)
    return inside.stem if len(inside.parts) == 1 else inside.parts[0]


def imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def type_checking_only(tree: ast.AST) -> set[str]:
    """Names imported for annotations alone."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            names |= set(imported(ast.Module(node.body, [])))
    return names


def wrong_imports(room: str, names: list[str]) -> list[str]:
    wrong = []
    for name in names:
        package, _, rest = name.partition(".")
        if package == "fittingroom":
            other = rest.split(".")[0]
            if other != room and LEVEL[other] >= LEVEL[room]:
                wrong.append(name)
        elif room in ALONE and package not in ALONE[room] | set(STDLIB):
            wrong.append(name)
    return wrong


STDLIB = __import__("sys").stdlib_module_names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return  # the public face looks everywhere, and so does the way in
    assert room in LEVEL, f"{path} is in a room that the house doesn't have"
    assert wrong_imports(room, imported(ast.parse(path.read_text("utf8")))) == []


def test_the_rule_can_fail() -> None:
    assert wrong_imports("data", ["fittingroom.bench.comparison.compare.compare"])
    assert wrong_imports("evaluation", ["fittingroom.data.dataset.Dataset"])
    assert wrong_imports("nets", ["sklearn.svm.SVC"])
    assert not wrong_imports("bench", ["fittingroom.runs.run.Run", "json", "sklearn.base.clone"])


def asks_for_a_protocol(tree: ast.AST) -> bool:
    """Whether a file makes specs that re-create a published protocol, wrong ones too."""
    return any(
        isinstance(node, ast.Call)
        and any(
            keyword.arg == "protocol" and ast.unparse(keyword.value) != "None"
            for keyword in node.keywords
        )
        for node in ast.walk(tree)
    )


def test_only_claims_re_create_published_protocols() -> None:
    users = [
        str(path.relative_to(SOURCE))
        for path in FILES
        if asks_for_a_protocol(ast.parse(path.read_text("utf8")))
    ]
    # The other one passes on what it is given.
    assert users == ["bench/claims/arms.py", "runs/spec.py"]
    assert asks_for_a_protocol(ast.parse("spec_of(dataset, model, protocol={})"))
    assert not asks_for_a_protocol(ast.parse("replace(spec, protocol=None)"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_file_can_run_code_when_loaded(path: Path) -> None:
    tree = ast.parse(path.read_text("utf8"))
    assert not {name.split(".")[0] for name in imported(tree)} & FORBIDDEN_MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN_CALLS
            assert called != "torch.load"
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle":
                    assert ast.unparse(keyword.value) == "False"


def test_tests_mirror_the_source() -> None:
    """Modules of JavaScript are tested together, by the name of their folder."""
    known = {str(p.relative_to(SOURCE).with_suffix("")) for p in FILES}
    known |= {str(p.parent.relative_to(SOURCE)) for p in SOURCE.rglob("*.js")}
    for path in sorted((ROOT / "tests").glob("*/**/test_*.py")):
        folder = path.parent.relative_to(ROOT / "tests").as_posix()
        name = f"{folder}/{path.stem.removeprefix('test_')}"
        assert name in known, f"{path} tests a file that doesn't exist"


def arguments_of(function: ast.FunctionDef) -> int:
    """How many it takes; `self` isn't counted, and what is passed on by a star is one."""
    args = function.args
    count = len(args.posonlyargs) + len(args.args) + len(args.kwonlyargs)
    count += (args.vararg is not None) + (args.kwarg is not None)
    return count - bool(args.args and args.args[0].arg in ("self", "cls"))


def length_of(function: ast.FunctionDef) -> int:
    """Its lines, without those of its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        assert docstring.end_lineno is not None
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_functions_are_short_and_take_few_arguments(path: Path) -> None:
    """At most sixty lines and ten arguments; those of a command are its options."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf8")))
        if isinstance(node, ast.FunctionDef)
    ]
    long = {each.name: length_of(each) for each in functions if length_of(each) > 60}
    assert long == {}
    wide = {each.name: arguments_of(each) for each in functions if arguments_of(each) > 10}
    if room_of(path) == "cli":
        wide.pop("command", None)
    assert wide == {}


def test_no_two_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_no_imports_go_round_in_circles() -> None:
    """Lazy and typing imports included."""
    names = {"fittingroom." + ".".join(p.relative_to(SOURCE).with_suffix("").parts) for p in FILES}
    graph: dict[str, set[str]] = {}
    for path in FILES:
        module = "fittingroom." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found = imported(ast.parse(path.read_text("utf8")))
        parents = {name.rpartition(".")[0] for name in found}
        graph[module] = {name for name in {*found, *parents} if name in names} - {module}
    graph["fittingroom.__init__"] = set()  # the public face looks everywhere
    assert list(TopologicalSorter(graph).static_order())
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def test_every_file_has_its_tests_in_the_same_place() -> None:
    lonely = [
        str(path.relative_to(SOURCE))
        for path in FILES
        if not path.name.startswith("__")
        and not (TESTS / path.relative_to(SOURCE).parent / f"test_{path.name}").exists()
    ]
    assert lonely == []


def test_no_room_is_a_store_room() -> None:
    names = {part for path in FILES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not names & {"utils", "common", "helpers", "misc", "util"}


def test_annotations_are_the_only_hidden_imports() -> None:
    """`TYPE_CHECKING` must not hide an import that would run the wrong way."""
    for path in FILES:
        room = room_of(path)
        if room != "__init__":
            hidden = type_checking_only(ast.parse(path.read_text("utf8")))
            assert wrong_imports(room, sorted(hidden)) == []
