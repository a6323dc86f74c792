"""Writes the reference pages of this folder from the code: `make docs`. A test compares them with the code.

A page is a function that gives its text; the table at the foot names its file.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from unittest.mock import patch

from annotated_types import BaseMetadata
from pydantic.fields import FieldInfo

from trainwell.base import Registry
from trainwell.cli.app import app
from trainwell.cli.catalog import FAMILIES
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, LOSSES, NORMS, OPTIMIZERS, REGULARISERS, SCHEDULES
from trainwell.plan import NAMED, Plan, searched
from trainwell.plan.sections import Section

FOLDER = Path(__file__).parent
NOTE = "<!-- Written by `make docs` from the code. Do not edit. -->\n\n"
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def plan_page() -> str:
    """Every value of a plan: type, range, standard value, meaning."""
    top = [(name, field) for name, field in Plan.model_fields.items() if not is_section(field)]
    parts = [
        "# The plan\n",
        "A plan is the whole configuration of one training. `plan.yaml` in a run directory holds it, each value with",
        "who chose it and why. Give your own with `--plan my.yaml`, single values with `--set key=value` (the last",
        "part of the path is enough where it is unique). What you leave open is chosen from the data and by the",
        "search.\n",
        *table(("value", "type", "standard", "meaning"), (row(name, name, Plan, field) for name, field in top)),
    ]
    for name, field in Plan.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            lines = (row(f"{name}.{key}", key, section, inner) for key, inner in section.model_fields.items())
            parts += [f"\n## {name}\n", f"{section.__doc__}\n", *table(("value", "type", "standard", "meaning"), lines)]
    return "\n".join(parts) + "\n"


def is_section(field: FieldInfo) -> bool:
    """Whether a field holds further values."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def row(path: str, name: str, owner: type[Section], field: FieldInfo) -> tuple[str, ...]:
    """One value as cells of the table."""
    registry = NAMED.get(path)
    automatic = ["auto"] if field.default == "auto" else []
    kind = type_words(field) if registry is None else " or ".join(f"`{each}`" for each in [*automatic, *registry])
    standard = "null" if field.default is None else field.default
    drawn = f"; the search draws {search}" if (search := searched(path)) is not None else ""
    return f"`{path}`", kind, f"`{standard}`", f"{field.description or ''}{drawn}".replace("|", "\\|")


def type_words(field: FieldInfo) -> str:
    """The type and range of a field as a person says it."""
    alternatives = [words for words in words_of(field.annotation) if words != "null"]
    words = " or ".join(dict.fromkeys([*alternatives, *(["null"] if "null" in words_of(field.annotation) else [])]))
    ranges = [text for item in field.metadata for text in bounds(item)]
    return ", ".join([words, *ranges])


def words_of(kind: Any) -> list[str]:
    """The alternatives of a type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return [words for part in arguments for words in words_of(part)]
    if origin is Literal:
        return [f"`{value}`" for value in arguments]
    if origin is dict:
        return [f"mapping of {words_of(arguments[0])[0]} to {' or '.join(words_of(arguments[1]))}"]
    if hasattr(kind, "__metadata__"):
        ranges = [text for item in kind.__metadata__ for text in bounds(item)]
        return [", ".join([words_of(kind.__origin__)[0], *ranges])]
    plain = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
    return [plain.get(kind, getattr(kind, "__name__", str(kind)))]


def bounds(item: Any) -> Iterator[str]:
    """Ranges in a type's metadata."""
    if isinstance(item, FieldInfo):
        for inner in item.metadata:
            yield from bounds(inner)
    elif isinstance(item, BaseMetadata):
        yield from (f"{sign} {getattr(item, name):g}" for name, sign in SIGNS.items() if hasattr(item, name))


def names_page() -> str:
    """Every family of names, as `trainwell list` shows it."""
    parts = ["# Names to choose from\n", "As `trainwell list FAMILY` shows them.\n"]
    for family, members in FAMILIES.items():
        lines = ((f"`{name}`", line.replace("|", "\\|")) for name, line in members().items())
        parts += [f"\n## {family}\n", *table(("name", "meaning"), lines)]
    return "\n".join(parts) + "\n"


def ingredients_page() -> str:
    """Every ingredient with its formula, its source, when to use it, and its hyperparameters."""
    parts = [
        "# Ingredients\n",
        "Choose one by its name in the plan, as in `--set optimizer.name=lion`; its hyperparameters are values of",
        "the same section (`--set optimizer.momentum=0.95`). In one population each member may have its own. Rows are",
        "those of the requirements: `trainwell lab coverage` lists the tests that show them.\n",
    ]
    for family, (registry, path) in INGREDIENTS.items():
        parts += [f"\n## {family}\n", f"In the plan: `{path}`.\n"]
        if registry.hypers:
            lines = (hyper_row(registry, name) for name in registry.hypers)
            parts += [*table(("hyperparameter", "range", "meaning", "standard"), lines), ""]
        for name in registry:
            doc = inspect.cleandoc(getattr(registry[name], "doc", "") or registry[name].__doc__ or "")
            parts += [f"### {name}\n", f"{doc.split('>>>')[0].rstrip()}\n"]
    return "\n".join(parts).rstrip() + "\n"


def hyper_row(registry: Registry[Any], name: str) -> tuple[str, ...]:
    """A hyperparameter as cells: its name, range, meaning, and standard value for each of its users."""
    hyper = registry.hypers[name]
    users = ", ".join(f"`{user}` {value:g}" for user, value in registry.users(name).items())
    return f"`{name}`", hyper.range, hyper.doc.replace("|", "\\|"), users


def command_page() -> str:
    """The command line's help."""
    with patch.object(sys, "argv", ["trainwell"]):  # else commands are called after the program that runs this one
        text = app.generate_docs(output_format="markdown")
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip() + "\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(NOTE + page(), encoding="utf-8")


INGREDIENTS: dict[str, tuple[Registry[Any], str]] = {
    "activations": (ACTIVATIONS, "network.activation"),
    "initialisers": (INITIALISERS, "initialiser.name"),
    "losses": (LOSSES, "loss.name"),
    "norms": (NORMS, "network.norm"),
    "optimizers": (OPTIMIZERS, "optimizer.name"),
    "regularisers": (REGULARISERS, "regularisation.NAME"),
    "schedules": (SCHEDULES, "schedule.name"),
}

PAGES: dict[str, Callable[[], str]] = {
    "command-line.md": command_page,
    "ingredients.md": ingredients_page,
    "names.md": names_page,
    "plan.md": plan_page,
}

if __name__ == "__main__":
    main()
