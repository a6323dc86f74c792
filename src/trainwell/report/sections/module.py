"""A user's own module in the section on the data: what it is, and how networks of it were computed at once."""

from collections.abc import Mapping
from typing import Any

from trainwell.report.blocks import Block, Cell, Head, Pairs, Table, row
from trainwell.report.words import is_number, number

WAYS = {
    "batched": "all networks at once, by a rule for each kind of layer",
    "vmap": "all networks at once, by torch.vmap",
    "loop": "one network after another",
}
DROPOUT = {
    "plan": "its rate is a value of the plan, and was searched",
    "own": "its layers keep the different rates that you gave them",
    "none": "it has no layer of dropout",
}


def module_blocks(e: Mapping[str, Any]) -> list[Block]:
    """Class, size and layers; how it was computed, and why so. Nothing in a run on a table."""
    about: Mapping[str, Any] = e.get("module") or {}
    if not about:
        return []
    way, why = str(about.get("way")), str(about.get("why", ""))
    pairs = [("Class", str(about.get("class", "–")))]
    if is_number(e.get("parameters")):
        pairs.append(("Weights", number(e["parameters"])))
    pairs.append(("Outputs", number(about.get("outputs"))))
    pairs.append(("Computed", f"{WAYS.get(way, way)} (way: {way})"))
    pairs.append(("Why so", why))
    pairs.append(("Dropout", DROPOUT.get(str(about.get("dropout")), "–")))
    if about.get("scaled_into"):
        text = f"standardised while training; its scale is worked into the last layer, {about['scaled_into']}"
        pairs.append(("Target", text))
    lines = [_indented(line) for line in str(about.get("layers", "")).splitlines()]
    layers = Table(
        (Head("As torch prints it"),), tuple(row(Cell(line, code=True)) for line in lines), folded="Its layers"
    )
    return [Pairs(tuple(pairs), "Your module"), layers]


def _indented(line: str) -> str:
    """With spaces at its start that HTML keeps."""
    bare = line.lstrip()
    return chr(0xA0) * (len(line) - len(bare)) + bare
