"""What is seen before any training: a planted fault is named with a remedy, a healthy training left in peace."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.remedies.trainings import Cut, Sideways, adam, blobs, cross_entropy, curve, dense, sgd, waves
from trainwell.remedies.aim import aim_of, threshold_of
from trainwell.remedies.arena import Arena
from trainwell.remedies.candidates import candidates
from trainwell.remedies.course import Ledger
from trainwell.remedies.diagnosed import joined
from trainwell.remedies.facts import examined
from trainwell.remedies.look import Look, look, yes_above
from trainwell.remedies.pairing import loss_name
from trainwell.remedies.rows import Rows, read_rows, split
from trainwell.remedies.training import Training

mse = nn.MSELoss()
Y = torch.arange(12) % 2


def looked(
    make: Any, rows: Rows, loss: Any = cross_entropy, optimizer: Any = None, outputs: int = 3, batch: int = 16
) -> Look:
    return look(Training(make, loss, optimizer or adam(), 10, batch, aim_of(rows.y, outputs)), rows, 0)


def rings(scale: float = 1.0) -> Rows:
    return Rows(*blobs(scale)[0])


def bends() -> Rows:
    return Rows(*curve()[0])


def filled(value: float) -> Callable[[nn.Module], Any]:
    return lambda module: [nn.init.constant_(p, value) for p in module.parameters()]


def freeze_first(module: nn.Module) -> None:
    next(module.children()).requires_grad_(False)


def low(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.bias, -9.0)


def linear() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 3))


FAULTS: dict[str, tuple[Callable[[], Look], str, str]] = {
    "softmax twice": (lambda: looked(dense(2, 8, 3, end=nn.Softmax(1)), rings()), "double-softmax", "module.output"),
    "one unit": (lambda: looked(dense(2, 8, 1), rings(), outputs=1), "target-shape-mismatch", "module.outputs"),
    "mse on classes": (
        lambda: looked(dense(2, 8, 1), rings(), lambda z, y: mse(z[:, 0], y.float()), outputs=1),
        "loss-output-mismatch", "loss.name",
    ),
    "broadcast": (
        lambda: looked(dense(6, 8, 1), Rows(bends().x, bends().y[:, 0]), mse, outputs=1),
        "target-shape-mismatch", "loss.name",
    ),
    "relu at the end": (
        lambda: looked(dense(6, 8, 1, end=nn.ReLU()), bends(), mse, outputs=1), "loss-output-mismatch", "module.output",
    ),
    "inputs": (lambda: looked(dense(2, 8, 3), rings(500.0)), "unscaled-inputs", "data.scale_inputs"),
    "zeros": (lambda: looked(dense(2, 8, 3, prepare=filled(0.0)), rings()), "symmetric-units", "module.initialiser"),
    "low biases": (lambda: looked(dense(2, 8, 3, prepare=low), rings()), "dead-units", "module.initialiser"),
    "linear": (lambda: looked(linear, rings()), "missing-activation", "module.add_activation"),
    "decay": (
        lambda: looked(dense(2, 8, 3), rings(), optimizer=adam(weight_decay=5.0)),
        "too-much-regularisation", "optimizer.weight_decay",
    ),
    "batch of one": (lambda: looked(dense(2, 8, 3), rings(), batch=1), "batch-too-small", "training.batch_size"),
    "frozen": (
        lambda: looked(dense(2, 8, 3, prepare=freeze_first), rings()),
        "parameters-not-updated", "module.trainable",
    ),
    "cut off": (lambda: looked(Cut, rings()), "parameters-not-updated", "module.gradients"),
    "sideways": (lambda: looked(Sideways, Rows(*waves()[0]), outputs=2), "batch-leak", "module.batch_first"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_with_a_remedy(name: str) -> None:
    make, kind, path = FAULTS[name]
    found = {finding.kind: finding for finding in examined(make())}
    assert kind in found
    assert any(path in (remedy.change or {}) for remedy in found[kind].remedies)


def test_nothing_is_found_in_healthy_trainings() -> None:
    two = Rows(rings().x, (rings().y > 0).float()[:, None])
    healthy = [
        looked(dense(2, 16, 3), rings()),
        looked(dense(2, 16, 16, 3), rings(), optimizer=sgd(0.1, momentum=0.9, weight_decay=1e-4)),
        looked(dense(6, 16, 1), bends(), mse, outputs=1),
        looked(dense(6, 16, 1), bends(), nn.L1Loss(), outputs=1),
        looked(dense(2, 16, 1), two, nn.BCEWithLogitsLoss(), outputs=1),
        looked(dense(2, 16, 1, end=nn.Sigmoid()), two, nn.BCELoss(), outputs=1),
    ]
    assert [examined(training) for training in healthy] == [[]] * len(healthy)


def test_what_is_there_is_not_offered_and_each_change_once() -> None:
    seen = looked(dense(2, 8, 3, end=nn.Softmax(1)), rings(), optimizer=adam(1e-3))
    offered = candidates(seen, examined(seen))
    changes = [repr(remedy.change) for remedy in offered]
    assert len(set(changes)) == len(changes)
    assert offered[0].change == {"module.output": "identity"}
    assert {"optimizer.learning_rate": 0.1} in [r.change for r in offered]
    assert not any("adam" in str(r.change) for r in offered)


@pytest.mark.parametrize(
    ("loss", "threshold"),
    [(nn.BCEWithLogitsLoss(), 0.0), (nn.BCELoss(), 0.5), (mse, 0.5), (nn.L1Loss(), 0.5)],
    ids=["logits", "probabilities", "squares", "distances"],
)
def test_the_output_that_means_yes_follows_from_the_loss(loss: nn.Module, threshold: float) -> None:
    assert threshold_of(loss, torch.tensor([[0.0], [1.0]])) == pytest.approx(threshold, abs=0.06)
    rows = Rows(torch.zeros(12, 2), Y.float()[:, None])
    training = Training(dense(2, 1), loss, adam(), 1, 4, aim_of(rows.y, 1))
    assert yes_above(training, rows) == pytest.approx(threshold, abs=0.06)


def test_a_loss_is_known_by_its_values() -> None:
    z, classes, numbers = torch.zeros(12, 2), aim_of(Y, 2), aim_of(torch.rand(12), 1)
    assert loss_name(lambda o, t: F.cross_entropy(o, t), z, Y, classes) == "cross_entropy"
    assert loss_name(nn.NLLLoss(), z, Y, classes) == "nll"
    one, y = torch.zeros(12, 1), torch.rand(12, generator=torch.Generator().manual_seed(0))
    assert loss_name(mse, one, y[:, None], numbers) == "mse"
    assert loss_name(lambda o, t: ((o[:, 0] - t) ** 2).mean(), one, y, numbers) == "mse"
    assert loss_name(lambda o, t: ((o - t) ** 2).mean(), one, y, numbers) == "mse, broadcast"
    assert loss_name(nn.L1Loss(reduction="sum"), one, y[:, None], numbers) == "l1 (sum)"
    assert loss_name(lambda o, t: (o[:, 0] - t).abs().pow(1.5).mean(), one, y, numbers) == "own"
    assert loss_name(cross_entropy, z, Y.float(), classes) == "fails"


def test_rows_are_split_with_classes_in_proportion_and_none_twice() -> None:
    rows = read_rows((torch.arange(100.0)[:, None], torch.arange(100) % 4))
    train, judged = split(rows, 0.2, 3)
    assert len(train) == 80 and judged.y.bincount().tolist() == [5] * 4
    assert sorted([*train.x[:, 0].tolist(), *judged.x[:, 0].tolist()]) == list(range(100))
    again, other = split(rows, 0.2, 3)[1], split(rows, 0.2, 4)[1]
    assert torch.equal(judged.x, again.x) and not torch.equal(judged.x, other.x)


def test_findings_of_one_kind_are_told_once_with_all_remedies() -> None:
    facts = examined(FAULTS["frozen"][0]())
    twice = joined(facts, facts)
    assert [f.kind for f in twice] == [f.kind for f in facts] and twice[0].remedies == facts[0].remedies


def test_a_proof_judges_by_rows_that_the_race_did_not_judge_by() -> None:
    rows = read_rows((torch.arange(100.0)[:, None], torch.arange(100) % 4))
    training = Training(dense(1, 4), cross_entropy, adam(), 1, 16, aim_of(rows.y, 4))
    arena = Arena(training, rows, None, Ledger(20.0, (100.0, 7.0), 1), seed=3)
    raced = set(arena.parts(3)[1].x[:, 0].tolist())
    before: set[float] = set()
    for i in range(3):
        trained, judged = (set(part.x[:, 0].tolist()) for part in arena.parts(arena.fresh(i)))
        assert len(raced) == 30 and len(judged) in (23, 24) and not judged & (raced | before)
        before |= judged
        assert not trained & judged and len(trained) + len(judged) == 100
