"""Every update rule keeps every law, and the laws find rules that don't."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from trainwell.base.layout import Layout
from trainwell.ingredients.optimizers import OPTIMIZERS, Optimizer
from trainwell.testing.optimizers import LAWS


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_keeps_every_law(name: str, law: str) -> None:
    LAWS[law](name)


def _leaking(θ: Tensor, g: Tensor, s: Any, c: Any, layout: Layout) -> None:
    θ.sub_(c["learning_rate"] * g.mean(dim=0))


def _hoarding() -> Callable[..., None]:
    seen: list[Tensor] = []

    def update(θ: Tensor, g: Tensor, s: Any, c: Any, layout: Layout) -> None:
        seen.append(g.clone())
        θ.sub_(c["learning_rate"] * seen[max(0, len(seen) - 2)])

    return update


@pytest.mark.parametrize(
    ("update", "law", "sentence"),
    [
        (_leaking, "others-do-not-matter", "optimizer faulty: a member with other neighbours ends elsewhere"),
        (_leaking, "a-nan-stays-in-its-row", "optimizer faulty: NaN as weights of one member reaches others"),
        (_leaking, "alone-as-in-company", "optimizer faulty: member 0 alone ends elsewhere than in company"),
        (_leaking, "hyperparameters-are-per-member", "optimizer faulty: weight_decay changes nothing"),
        (_leaking, "it-is-documented", "optimizer faulty: the first line has no formula"),
        (_hoarding(), "the-state-is-all-there-is", "optimizer faulty: a walk resumed from its state goes another way"),
    ],
)
def test_the_laws_find_a_faulty_optimizer(
    update: Callable[..., None], law: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(OPTIMIZERS)["_entries"], "faulty", Optimizer(update))
    with pytest.raises(AssertionError, match=f"^{sentence}$"):
        LAWS[law]("faulty")
