"""What the documents describe, in networks of ours: what is measured, against what is counted in the network itself."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainwell.diagnosis import Case, Finding, diagnose
from trainwell.engine import Course, Record, train
from trainwell.testing import members
from trainwell.vitals import observe, sampling

SGD = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.05, "schedule.name": "constant", "schedule.warmup": 0.0}
PLAIN = {**SGD, "optimizer.weight_decay": 0.0, "loss.label_smoothing": 0.0, "loss.balance": 0.0}


def fresh(edits: dict[str, object]) -> Course:
    """One network of the suite at the beginning of its training."""
    return members.Case("ill", {**PLAIN, **edits}).course([0])


def trained(edits: dict[str, object]) -> tuple[Course, Case]:
    """The same after its training, and what was recorded of it."""
    course, record = fresh(edits), Record()
    for moment in train(course, until=course.total_steps - 1, wants_layers=sampling(2)):  # who finishes leaves
        observe(moment, record)
    return course, Case(record, 0, course.plans[0], course.feed.steps_per_epoch, chance_loss=float(np.log(3)))


def found(case: Case, kind: str) -> Finding:
    (finding,) = (finding for finding in diagnose(case) if finding.kind == kind)
    assert (
        finding.remedies and finding.step is not None and {"figure", "measured", "threshold"} <= set(finding.evidence)
    )
    return finding


def first_layer(course: Course) -> Tensor:
    """Sums (B, H) of the first hidden layer over the whole training part, by hand."""
    weights, rows = course.population.layout.views(course.population.theta), course.feed.train[0]
    x = course.feed.samples.x[rows]
    return x @ weights["hidden.0.weight"][0].T + weights["hidden.0.bias"][0].flatten()


@pytest.mark.covers("D1")
def test_a_vanishing_gradient_decays_towards_the_input_and_early_layers_do_not_move() -> None:
    deep: dict[str, object] = {"network.depth": 8, "network.activation": "sigmoid"}
    layers = [*(f"hidden.{i}" for i in range(8)), "output"]
    _, case = trained(deep)
    course = fresh(deep)
    batch, network = course.feed.batch(0), course.population.member(0).train()
    assert batch.y is not None
    torch.nn.functional.cross_entropy(network(batch.x[0].T), batch.y[0]).backward()
    slopes = {name.removesuffix(".weight"): p.grad for name, p in network.named_parameters() if p.dim() == 2}
    norms = [float(slope.norm()) for slope in slopes.values() if slope is not None]
    assert [case.curve("gradient-norm", layer)[1][0] for layer in layers] == pytest.approx(norms, rel=1e-9)
    assert (np.diff(np.log(norms)) > 0).all() and norms[0] < 1e-4 * norms[-1]
    paths = [float(case.curve("update-ratio", layer)[1].sum()) for layer in layers]
    assert paths[0] < 1e-4 and paths[0] < 0.01 * paths[-1]
    finding = found(case, "vanishing-gradient")
    assert finding.layer == "hidden.0" and "use-relu" in [remedy.name for remedy in finding.remedies]


@pytest.mark.covers("D3")
@pytest.mark.parametrize(("activation", "share_of_peak"), [("sigmoid", 0.05), ("tanh", 0.05)])
def test_saturated_units_are_those_at_their_bounds_for_most_of_the_data(activation: str, share_of_peak: float) -> None:
    course, case = trained(
        {"network.activation": activation, "initialiser.gain": 40.0, "optimizer.learning_rate": 1e-6}
    )
    z = first_layer(course)
    slope = (torch.sigmoid(z) * torch.sigmoid(-z) * 4) if activation == "sigmoid" else 1 - torch.tanh(z) ** 2
    lost = float(((slope < share_of_peak).double().mean(dim=0) > 0.5).double().mean())
    finding = found(case, "saturated-units")
    assert lost > 0.8 and finding.layer in ("hidden.0", "hidden.1")
    assert case.curve("saturated-fraction", "hidden.0")[1][-1] == pytest.approx(lost, abs=0.13)  # of one batch
