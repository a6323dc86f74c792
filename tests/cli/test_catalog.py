"""What there is to choose from is read from the tables of the families."""

import pytest

from trainwell.base import Registry
from trainwell.cli.catalog import FAMILIES
from trainwell.cli.main import main
from trainwell.diagnosis import KINDS
from trainwell.ingredients import OPTIMIZERS
from trainwell.ingredients.optimizers import Optimizer, sgd


def test_all_families_are_listed_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == sorted(FAMILIES)
    assert f"optimizers: {', '.join(OPTIMIZERS)}" in lines


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_listed_a_name_and_its_meaning_a_line(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", family]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FAMILIES[family]())
    assert family == "data" or all(len(line.split()) > 1 for line in lines)


def test_an_ingredient_is_listed_with_its_hyperparameters_and_their_standard_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list", "optimizers"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("adamw "))
    assert line.endswith(" [momentum 0.9, beta2 0.999, epsilon 1e-08]")


def test_a_new_optimizer_is_listed_from_its_table_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(vars(OPTIMIZERS)["_entries"], "leap", Optimizer(sgd, doc="θ ← 0."))
    assert main(["list", "optimizers"]) == 0
    assert "leap             θ ← 0.\n" in capsys.readouterr().out
    assert isinstance(OPTIMIZERS, Registry)


def test_an_unknown_family_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "optimiser"]) == 2
    assert "Unknown family 'optimiser'. Did you mean 'optimizers'?" in capsys.readouterr().err


def test_all_kinds_of_finding_are_explained_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(KINDS)


def test_a_kind_of_finding_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "dead-units"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# dead-units\n")
    assert all(title in page for title in ("## How it is measured", "## Causes", "## Remedies", "## Sources"))


def test_an_unknown_kind_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "dead-unit"]) == 2
    assert "Did you mean 'dead-units'?" in capsys.readouterr().err
