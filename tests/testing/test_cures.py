from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import trainwell
from trainwell.diagnosis import Remedy
from trainwell.testing.programs.cure_cases import CASES, SICK_CASES
from trainwell.testing.programs.cures import CureCase, Training, classes, cured, parts, score, trained
from trainwell.testing.programs.materials import material

pytestmark = [
    pytest.mark.covers("D15"),
    pytest.mark.filterwarnings("ignore:Using a target size:UserWarning"),  # a case in which shapes broadcast
]
QUICK = ("rate 20", "rate 1e-6, regression", "1-unit softmax", "(B,) against (B, 1)", "the wrong side scaled")


def case_of(name: str) -> CureCase:
    return next(case for case in CASES if case.name == name)


def test_cases_have_names_of_their_own_and_cover_all_architectures() -> None:
    assert max(Counter(case.name for case in CASES).values()) == 1
    places = Counter(case.architecture for case in SICK_CASES)
    assert len(SICK_CASES) >= 40 and min(places.values()) >= 10 and len(places) == 3
    assert {case.data for case in SICK_CASES if material(case.data).task == "regression"} >= {
        "friedman",
        "ink",
        "adding",
    }
    assert sum(case.fix is None for case in CASES) >= 3


@pytest.mark.parametrize("name", QUICK)
def test_the_known_fix_gains_much_on_rows_that_nobody_saw(name: str) -> None:
    case = case_of(name)
    assert case.fix is not None
    m = material(case.data)
    assert trained(case.fix, m, 0) - trained(case.sick, m, 0) > 0.2


def test_the_parts_do_not_overlap_and_views_hold_in_all_of_them() -> None:
    m = material("friedman")
    known, tested, held = parts(m, lambda rows: (rows[0] * 3, rows[1]))
    seen = [{row.numpy().tobytes() for row in x} for x, _ in (known, tested, held)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    assert [float(x.std()) for x, _ in (known, tested, held)] == pytest.approx([3, 3, 3], abs=0.15)


def test_a_score_is_accuracy_or_the_share_of_variance_and_never_below_zero() -> None:
    y = torch.tensor([0, 1, 1, 0])
    assert score(torch.tensor([[2.0, 1], [0, 1], [3, 1], [1, 0]]), y) == 0.75
    assert score(torch.tensor([[0.2], [0.9], [0.4], [0.1]]), y.float().unsqueeze(1)) == 0.75
    assert score(torch.tensor([[-2.0], [3.0], [0.4], [-1]]), y.float().unsqueeze(1)) == 1.0
    numbers = torch.tensor([[0.0], [2.0], [4.0]])
    assert score(torch.tensor([[0.0], [2.0], [2.0]]), numbers) == pytest.approx(0.5)
    assert score(torch.full((3, 1), 100.0), numbers) == 0.0
    assert score(torch.tensor([[0.0], [float("nan")], [2.0]]), numbers) == 0.0


def test_a_single_output_is_a_probability_where_all_are_and_else_a_logit() -> None:
    assert classes(torch.tensor([[0.4], [0.6]])).tolist() == [0, 1]
    assert classes(torch.tensor([[0.4], [-0.6]])).tolist() == [1, 0]


@dataclass
class Healer:
    """What a cure that knows the fix would give."""

    model: nn.Module
    changes: tuple[Remedy, ...]


def test_a_cure_is_given_the_sick_training_and_never_the_held_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    case, given = case_of("rate 20"), {}
    perfect = nn.Linear(64, 10)

    def cure(make_model: Any, data: Any, **options: Any) -> Healer:
        given.update(options, make_model=make_model, data=data)
        return Healer(perfect, (Remedy("smaller-rate", "why"),))

    monkeypatch.setattr(trainwell, "cure", cure, raising=False)
    outcome = cured(case, 3)
    m = material("digits")
    _, tested, held = parts(m, case.sick.view)
    assert given["make_optimizer"] is case.sick.make_optimizer and given["seed"] == 3
    assert set(given) == {
        "make_model", "data", "loss_fn", "make_optimizer", "epochs", "batch_size", "test", "metric", "seed",
    }  # fmt: skip
    rows = {row.numpy().tobytes() for x, _ in (given["data"], given["test"]) for row in x}
    assert not any(row.numpy().tobytes() in rows for row in held[0])
    assert outcome.changes == ("smaller-rate",) and outcome.after == score(perfect(held[0]), held[1])
    assert outcome.before == trained(case.sick, m, 3) and len(tested[0]) > 200


def test_a_training_of_the_table_is_a_plain_one() -> None:
    """The same numbers by a loop written out here."""
    training = Training(lambda: nn.Linear(13, 3), nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.1), 2, 64)
    m = material("wine")
    torch.manual_seed(5)
    model = nn.Linear(13, 3)
    for _ in range(2):
        order = torch.randperm(len(m.x))
        for i in range(0, len(m.x), 64):
            rows = order[i : i + 64]
            model.zero_grad()
            nn.functional.cross_entropy(model(m.x[rows]), m.y[rows]).backward()
            with torch.no_grad():
                for weights in model.parameters():
                    assert weights.grad is not None
                    weights -= 0.1 * weights.grad
    half = len(m.test_x) // 2
    right = model(m.test_x[half:]).argmax(1) == m.test_y[half:]
    assert trained(training, m, 5) == pytest.approx(float(right.float().mean()))
