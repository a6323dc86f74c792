"""House rules that a tool can hold: inheritance, sizes, names, and nothing of the machine that wrote a file."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "trainwell"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

# Bases from elsewhere that are abstract, or meant to be derived from.
OPEN_BASES = {
    "BaseEstimator",
    "BaseModel",
    "Callback",
    "ClassifierMixin",
    "Enum",
    "Exception",
    "Generic",
    "HTMLParser",
    "Mapping",
    "NamedTuple",
    "Protocol",
    "RegressorMixin",
    "StrEnum",
    "TrainerCallback",
    "TypedDict",
    "ValueError",
    "nn.Module",
    "torch.autograd.Function",
    "TorchFunctionMode",
}


TORCH = {"nn.Module", "TorchFunctionMode"}  # they hold state of their own


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def classes() -> list[tuple[Path, ast.ClassDef]]:
    return [(path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).split("[")[0] for base in node.bases]


def is_bare(node: ast.ClassDef) -> bool:
    """Whether a class adds nothing that a subclass could override: no method, no field with a value or type."""
    return not any(isinstance(item, ast.FunctionDef | ast.AnnAssign) for item in node.body)


def test_nothing_is_derived_from_a_class_that_can_be_used_itself() -> None:
    allowed = OPEN_BASES | {node.name for _, node in classes() if is_bare(node)}
    wrong = [f"{name_of(p)}: {n.name}({base})" for p, n in classes() for base in bases(n) if base not in allowed]
    assert wrong == []


def test_super_is_called_only_to_initialise_a_module_of_torch() -> None:
    calls = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "super"
        and node.attr != "__init__"
    ]
    initialising = [(p, n) for p, n in classes() if "super().__init__" in ast.unparse(n) and not set(bases(n)) <= TORCH]
    assert calls == []
    assert [f"{name_of(path)}: {node.name}" for path, node in initialising] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_and_its_functions_are_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    functions = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= LONGEST_FUNCTION] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_is_named_by_what_it_holds_and_says_so(path: Path) -> None:
    assert not {"utils", "util", "common", "helpers", "helper", "misc"} & set(
        path.relative_to(SOURCE).with_suffix("").parts
    )
    assert ast.get_docstring(TREES[path]), "a file begins with what it holds"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_functions_and_classes_have_a_docstring_and_annotations(path: Path) -> None:
    public = [
        node
        for node in TREES[path].body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [node.name for node in public if not ast.get_docstring(node)] == []
    functions = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef)]
    arguments = [(f.name, a.arg) for f in functions for a in [*f.args.args, *f.args.kwonlyargs] if a.annotation is None]
    assert [pair for pair in arguments if pair[1] not in ("self", "cls")] == []


def tracked() -> list[Path]:
    """Files that are, or may be, committed."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):  # a copy without its history
        names = [str(p.relative_to(ROOT)) for part in ("src", "tests", "docs") for p in (ROOT / part).rglob("*")]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_file_names_a_path_of_the_machine_that_wrote_it() -> None:
    places = "|".join(["work", "root", "tmp", "home", "Users"])
    path = re.compile(rf"(?<![\w.:/])/({places})/[\w.]")
    found = []
    for file in tracked():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(ROOT)}: {match.group()}" for match in path.finditer(text)]
    assert found == []


def test_no_file_is_large() -> None:
    large = {str(file.relative_to(ROOT)): file.stat().st_size for file in tracked() if file.stat().st_size > 1_000_000}
    assert large == {}
