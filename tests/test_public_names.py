"""One door: public names are listed, exist, and are the same for people, type checkers and `import *`."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import trainwell

SOURCE = Path(__file__).parents[1] / "src"
PACKAGES = sorted(path for path in SOURCE.rglob("__init__.py") if path.parent.name != "trainwell")


def layer(path: Path) -> str:
    return ".".join(path.parent.relative_to(SOURCE).parts)


def exports(path: Path) -> list[ast.alias]:
    """Names that an `__init__` hands on, in its order."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [alias for node in body if isinstance(node, ast.ImportFrom) for alias in node.names if alias.asname]


def test_the_public_names_of_trainwell_are_these() -> None:
    classes = ["Classifier", "Cure", "Plan", "Regressor", "Run", "Watch"]
    assert trainwell.__all__ == [*classes, "check", "cure", "fit", "joined", "load", "resume", "watch"]


def test_public_names_are_there_and_shown_by_dir() -> None:
    for name in trainwell.__all__:
        assert getattr(trainwell, name).__doc__, name
    assert set(trainwell.__all__) <= set(dir(trainwell))


def test_what_type_checkers_see_is_what_is_there() -> None:
    tree = ast.parse((SOURCE / "trainwell/__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(str(name) for name in seen) == trainwell.__all__
    for public, (module, name) in seen.items():
        assert getattr(trainwell, str(public)) is getattr(import_module(str(module)), name)


def test_an_unknown_name_of_trainwell_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        trainwell.fitt  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("path", PACKAGES, ids=layer)
def test_a_layer_hands_on_names_that_exist_each_under_its_own_name_and_once(path: Path) -> None:
    names = [alias.name for alias in exports(path)]
    assert names == [alias.asname for alias in exports(path)]
    assert len(names) == len(set(names))
    module = import_module(layer(path))
    assert [name for name in names if name.startswith("_") or not hasattr(module, name)] == []


@pytest.mark.parametrize("path", PACKAGES, ids=layer)
def test_the_imports_of_a_layer_are_sorted(path: Path) -> None:
    nodes = [n for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.ImportFrom)]
    ours = [str(node.module) for node in nodes if str(node.module).startswith("trainwell")]
    assert ours == sorted(ours)
