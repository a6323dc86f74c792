"""What is worked out for many steps at once is what each step would have worked out."""

import pytest
import torch

from trainwell.engine import Course
from trainwell.engine.ahead import AHEAD
from trainwell.ingredients import OPTIMIZERS
from trainwell.testing.members import Case


def walked(course: Course, steps: int, *, singly: bool, edit_at: int = -1) -> torch.Tensor:
    """θ after some steps on one batch; `singly`: with rates that the population does not know as its own."""
    p = course.population
    batch = course.feed.batch(0)
    for step in range(steps):
        if step == edit_at:
            p.edit(torch.tensor([1]), "learning_rate", 3e-3)
            p.edit(torch.tensor([0]), "momentum", 0.5)
        p.backward(batch)
        rate = p.rates(300, 10)
        p.update(rate.clone() if singly else rate, 300)
    return p.theta


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_columns_ahead_are_those_of_each_step(name: str) -> None:
    case = Case(name, {"optimizer.name": name, "schedule.name": "cosine", "schedule.warmup": 0.1})
    one, other = (walked(case.course(range(3)), AHEAD + 6, singly=singly) for singly in (False, True))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_change_between_two_steps_counts_from_the_next_on() -> None:
    case = Case("changed", {"optimizer.name": "adamw"})
    one, other = (walked(case.course(range(3)), 20, singly=singly, edit_at=9) for singly in (False, True))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert not one.equal(walked(case.course(range(3)), 20, singly=False))


def test_the_rates_of_a_step_do_not_hang_on_where_a_run_went_on() -> None:
    case = Case("rates", {"schedule.name": "one-cycle"})
    p, q = case.course(range(3)).population, case.course(range(3)).population
    q.step = AHEAD + 5
    for _ in range(AHEAD + 5):
        p.rates(300, 10)
        p.step += 1
    assert p.rates(300, 10).equal(q.rates(300, 10))
