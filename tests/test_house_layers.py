"""Imports go one way: down the list of layers, and in no circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# A layer imports only layers before it. `testing` may import all of them and is imported by none.
LAYERS = (
    "version",
    "base",
    "ingredients",
    "data",
    "plan",
    "networks",
    "engine",
    "vitals",
    "diagnosis",
    "remedies",
    "search",
    "recipe",
    "report",
    "adapters",
    "lab",
    "estimators",
    "cli",
    "testing",
)
MODULES = sorted(SOURCE.rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or in a function; of `from a import b` a.b where that is one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if is_module(name) else str(node.module) for name in names)


def is_module(name: str) -> bool:
    place = SOURCE.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def layer_of(module: str) -> str:
    return (module.split(".") + [""])[1]


def layered(path: Path) -> bool:
    return layer_of(module_name(path)) not in ("", "__main__")


@pytest.mark.parametrize("path", [path for path in MODULES if layered(path)], ids=module_name)
def test_a_file_imports_only_its_own_layer_and_those_above_it(path: Path) -> None:
    own = LAYERS.index(layer_of(module_name(path)))
    ours = [name for name in imported(path) if name.startswith("trainwell.")]
    assert [name for name in ours if LAYERS.index(layer_of(name)) > own] == []
    assert own == LAYERS.index("testing") or "testing" not in map(layer_of, ours)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module_name(path): {n for n in imported(path) if n.startswith("trainwell")} for path in MODULES}
    try:
        TopologicalSorter({module: wanted - {module} for module, wanted in graph.items()}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))


def test_every_layer_in_the_source_is_in_the_list() -> None:
    assert {layer_of(module_name(path)) for path in MODULES if layered(path)} <= set(LAYERS)


@pytest.mark.parametrize("path", sorted((SOURCE / "trainwell/report").rglob("*.py")), ids=module_name)
def test_the_report_reads_records_and_not_tensors(path: Path) -> None:
    assert "torch" not in {name.split(".")[0] for name in imported(path)}
