"""Registries answer unknown names with the nearest one, and keep the order of their table."""

import pytest

from trainwell.base import PlanError, Registry
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, LOSSES, OPTIMIZERS, SCHEDULES


def square(x: float) -> float:
    """x·x.

    More about it.
    """
    return x * x


SHAPES: Registry[object] = Registry("shape", {"round": 1, "square": square})


def test_entries_come_in_the_order_of_the_table() -> None:
    assert list(SHAPES) == ["round", "square"] and len(SHAPES) == 2 and "round" in SHAPES and "oval" not in SHAPES


def test_an_unknown_name_gets_the_nearest_one_and_all_that_are_known() -> None:
    with pytest.raises(PlanError, match=r"^Unknown shape 'sqare'\. Did you mean 'square'\? Known: round, square\.$"):
        SHAPES["sqare"]


def test_a_name_far_from_all_gets_the_list_alone() -> None:
    with pytest.raises(PlanError, match=r"^Unknown shape 'xyz'\. Known: round, square\.$"):
        SHAPES["xyz"]


def test_a_summary_is_the_first_line_of_the_docstring() -> None:
    assert SHAPES.summary("square") == "x·x."


def test_later_changes_of_the_table_given_do_not_reach_the_registry() -> None:
    table = {"one": 1}
    registry = Registry("number", table)
    table["two"] = 2
    assert "two" not in registry


@pytest.mark.parametrize("registry", [ACTIVATIONS, INITIALISERS, LOSSES, OPTIMIZERS, SCHEDULES], ids=lambda r: r.family)
def test_every_ingredient_says_in_one_line_what_it_is(registry: Registry[object]) -> None:
    for name in registry:
        summary = registry.summary(name)
        assert summary and "\n" not in summary and not summary.startswith(name), name
