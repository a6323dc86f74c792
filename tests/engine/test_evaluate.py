"""Losses and metrics in evaluation mode against scikit-learn's, in chunks or at once."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, r2_score

import trainwell.engine.evaluate as evaluate
from trainwell.engine import judge, metric, outputs, predictions
from trainwell.testing.members import Case

K, C, V = 3, 4, 50


def test_the_metric_of_classes_is_accuracy() -> None:
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(K, C, V, generator=g), torch.randint(C, (1, V), generator=g)
    expected = [accuracy_score(y[0], z[k].argmax(0)) for k in range(K)]
    assert metric(z, y, "softmax").tolist() == pytest.approx(expected)


def test_the_metric_of_labels_is_accuracy_over_all_labels() -> None:
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(K, C, V, generator=g), torch.randint(2, (1, C, V), generator=g).float()
    expected = [accuracy_score(y[0].flatten(), (z[k] > 0).float().flatten()) for k in range(K)]
    assert metric(z, y, "sigmoid").tolist() == pytest.approx(expected)


def test_the_metric_of_numbers_is_r2_averaged_over_targets() -> None:
    g = torch.Generator().manual_seed(0)
    y = torch.randn(K, C, V, generator=g, dtype=torch.float64)
    z = y + torch.randn(K, C, V, generator=g, dtype=torch.float64) * torch.tensor([0.1, 1.0, 5.0]).view(K, 1, 1)
    expected = [r2_score(y[k].T, z[k].T) for k in range(K)]
    assert metric(z, y, "identity").tolist() == pytest.approx(expected)


def test_a_constant_target_gives_a_finite_r2() -> None:
    assert metric(torch.ones(1, 1, 5), torch.zeros(1, 1, 5), "identity").isfinite().all()


@pytest.mark.parametrize("own", [False, True], ids=["shared rows", "own rows"])
def test_judging_in_small_chunks_is_judging_at_once(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    course = Case("all", {"network.norm": "batch"}, (4,), own_batches=own, regularisers=("dropout",)).course(range(K))
    arguments = (course.population, course.feed.samples, course.feed.validation, course.groups)
    whole, z = judge(*arguments), outputs(*arguments)
    monkeypatch.setattr(evaluate, "LARGEST_SIGNAL", 7 * K * 16)
    assert len(list(evaluate.chunks(course.population, 20))) == 3
    torch.testing.assert_close(outputs(*arguments), z)
    for a, b in zip(judge(*arguments), whole, strict=True):
        torch.testing.assert_close(a, b)


def test_losses_are_judged_without_label_smoothing_and_dropout() -> None:
    course = Case("plain", {"loss.label_smoothing": 0.3}, regularisers=("dropout",)).course(range(K))
    loss, _ = judge(course.population, course.feed.samples, course.feed.validation, None)
    held = course.feed.samples.take(course.feed.validation[0])
    assert held.y is not None
    for k in range(K):
        z = course.population.member(k)(held.x[0].T)
        assert float(loss[k]) == pytest.approx(F.cross_entropy(z, held.y[0]).item(), rel=1e-9)
    assert course.population.statistics.numel() == 0


def test_judging_leaves_running_statistics_and_step_alone() -> None:
    course = Case("norm", {"network.norm": "batch"}).course(range(K))
    before = {name: tensor.clone() for name, tensor in course.tensors().items()}
    judge(course.population, course.feed.samples, course.feed.validation, None)
    assert all(tensor.equal(before[name]) for name, tensor in course.tensors().items())


@pytest.mark.covers("A10")
def test_predictions_are_probabilities_for_classes_and_labels() -> None:
    z = torch.randn(K, C, V, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(predictions(z, "softmax").sum(dim=1), torch.ones(K, V))
    torch.testing.assert_close(predictions(z, "sigmoid"), 1 / (1 + torch.exp(-z)))
    assert predictions(z, "identity").equal(z)
