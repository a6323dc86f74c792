"""The conformance suite over members' independence, on every entry of the registries; and the suite on faults."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from trainwell.base.layout import Layout
from trainwell.ingredients import OPTIMIZERS, REGULARISERS, Optimizer
from trainwell.ingredients.optimizers import Columns, State
from trainwell.plan import NAMED
from trainwell.testing.members import (
    ALIKE,
    FEW,
    LAWS,
    SHORT,
    Case,
    alone_as_in_company,
    cases,
    crossed,
    live,
    order_does_not_matter,
    others_do_not_matter,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_no_ingredient_lets_members_feel_each_other(case: Case) -> None:
    others_do_not_matter(case)


@pytest.mark.parametrize("case", crossed(), ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_the_law_holds_for_ingredients_of_all_families_together(law: str, case: Case) -> None:
    LAWS[law](case)


def test_every_ingredient_is_in_a_case_and_its_members_live_lives_of_their_own() -> None:
    for made in (cases(), crossed()):
        found = {(path, case.edits[path]) for case in made for path in case.edits.keys() & NAMED.keys()}
        assert {
            (path, name) for path, registry in NAMED.items() for name in registry if name not in ALIKE.get(path, ())
        } <= found
        assert set(REGULARISERS) <= {name for case in made for name in case.regularisers}
    for case in crossed():
        losses = live(case.course(range(FEW)), until=SHORT).losses[:SHORT]
        assert losses.isfinite().all() and (losses[0] != losses[-1]).all(), case
        assert len(losses[-1].unique()) == FEW, case


def test_the_laws_hold_on_several_threads() -> None:
    torch.set_num_threads(2)
    everything = next(case for case in cases() if case.name == "everything")
    others_do_not_matter(everything)
    order_does_not_matter(everything)


def leaking(θ: Tensor, g: Tensor, state: State, c: Columns, layout: Layout) -> None:
    """A planted fault: a little of the other members' gradients enters every row."""
    θ.sub_(c["learning_rate"] * (g + 1e-6 * g.mean(dim=0)))


def test_the_suite_finds_an_optimizer_that_mixes_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIMIZERS._entries, "leaking", Optimizer(leaking))
    case = next(case for case in cases() if case.name == "optimizer leaking")
    with pytest.raises(AssertionError, match="optimizer leaking: member 32 alone and in company differ by .* in loss"):
        alone_as_in_company(case)
    with pytest.raises(AssertionError, match="optimizer leaking: a member with other neighbours"):
        others_do_not_matter(case)


class Forgetful:
    """A planted fault: state that no checkpoint knows of."""

    calls = 0

    def __call__(self, θ: Tensor, g: Tensor, state: State, c: Columns, layout: Layout) -> None:
        self.calls += 1
        θ.sub_(c["learning_rate"] * g * (1 + self.calls / 100))


def test_the_suite_finds_state_outside_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIMIZERS._entries, "forgetful", Optimizer(Forgetful()))
    case = next(case for case in cases() if case.name == "optimizer forgetful")
    with pytest.raises(AssertionError, match="optimizer forgetful: killed at steps .* and resumed"):
        LAWS["a-stop-loses-nothing"](case)
