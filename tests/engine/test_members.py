"""The conformance suite over members' independence, on every entry of the registries; and the suite itself, on faults."""

from collections.abc import Iterator

import pytest
import torch

from trainwell.ingredients import OPTIMIZERS, Optimizer
from trainwell.testing.members import LAWS, Case, alone_as_in_company, cases, others_do_not_matter


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", cases(), ids=str)
@pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))
def test_the_law_holds(law, case: Case) -> None:  # noqa: ANN001
    law(case)


@pytest.mark.parametrize("law", ["alone-as-in-company", "a-nan-stays-in-its-row", "a-stop-loses-nothing"])
def test_the_law_holds_on_several_threads(law: str) -> None:
    torch.set_num_threads(2)
    LAWS[law](next(case for case in cases() if case.name == "everything"))


def leaking(θ, g, state, h, t) -> None:  # noqa: ANN001
    """A planted fault: a little of the other members' gradients enters every row."""
    θ.sub_(h["learning_rate"] * (g + 1e-6 * g.mean(dim=0)))


def test_the_suite_finds_an_optimizer_that_mixes_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIMIZERS._entries, "leaking", Optimizer(leaking))
    case = next(case for case in cases() if case.name == "optimizer leaking")
    with pytest.raises(AssertionError, match="optimizer leaking: member 0 alone and in company differ by .* in loss"):
        alone_as_in_company(case)
    with pytest.raises(AssertionError, match="optimizer leaking: a member with other neighbours"):
        others_do_not_matter(case)


def forgetful(θ, g, state, h, t) -> None:  # noqa: ANN001
    """A planted fault: state that no checkpoint knows of."""
    forgetful.calls = getattr(forgetful, "calls", 0) + 1
    θ.sub_(h["learning_rate"] * g * (1 + forgetful.calls / 100))


def test_the_suite_finds_state_outside_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIMIZERS._entries, "forgetful", Optimizer(forgetful))
    case = next(case for case in cases() if case.name == "optimizer forgetful")
    with pytest.raises(AssertionError, match="optimizer forgetful: killed at step .* and resumed"):
        LAWS["a-stop-loses-nothing"](case)
