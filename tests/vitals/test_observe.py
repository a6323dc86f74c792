"""What a moment leaves in the record."""

import math

import pytest
import torch

from trainwell.engine.moment import Evaluation, LayerView, Moment
from trainwell.engine.record import Record
from trainwell.vitals import MEASURES, observe, sampling, spacing


def moment(step: int = 3, *, members: tuple[int, ...] = (0, 1), **more: object) -> Moment:
    k = len(members)
    loss, rate = 0.5 + torch.arange(k), 0.1 * (1 + torch.arange(k))
    active = more.pop("active", torch.ones(k, dtype=torch.bool))
    return Moment(step, 0.5, torch.tensor(members), loss, rate, active, **more)  # pyright: ignore[reportArgumentType]


def value(record: Record, signal: str, member: int, layer: str = "") -> float:
    _, values = record.series(signal, member=member, layer=layer)
    assert len(values) == 1
    return float(values[0])


def test_loss_and_rate_are_noted_for_each_member_by_its_identity() -> None:
    record = Record()
    observe(moment(members=(4, 9)), record)
    assert record.members() == [4, 9]
    assert value(record, "loss", 4) == 0.5 and value(record, "loss", 9) == 1.5
    assert value(record, "learning_rate", 9) == pytest.approx(0.2)


def test_an_evaluation_is_noted_when_there_is_one() -> None:
    k = torch.tensor([1.0, 2.0])
    record = Record()
    observe(moment(), record)
    assert record.layers("validation_loss", member=0) == []
    observe(moment(4, evaluation=Evaluation(k, k + 2, k + 4, k > 1)), record)
    assert value(record, "validation_loss", 1) == 2
    assert value(record, "validation_metric", 1) == 4
    assert value(record, "train_loss", 1) == 6


def test_all_vitals_of_all_layers_are_noted_when_layers_are_shown() -> None:
    weight = torch.randn(2, 3, 4)
    shown = {"weight": weight, "gradient": weight + 1, "before": weight + 2, "activation": torch.randn(2, 16, 3)}
    layers = [LayerView("hidden.0", "relu", **shown), LayerView("output", "identity", **shown)]
    record = Record()
    observe(moment(layers=layers), record)
    assert record.layers("gradient-norm", member=0) == ["hidden.0", "output"]
    assert record.layers("dead-fraction", member=1) == ["hidden.0"]
    for view in layers:
        for name, measure in MEASURES.items():
            expected = measure(view)
            if expected is not None:
                assert value(record, name, 1, view.name) == pytest.approx(float(expected[1]))


def test_members_that_have_stopped_are_not_noted() -> None:
    record = Record()
    observe(moment(members=(2, 3), active=torch.tensor([False, True])), record)
    assert record.members() == [3]


def test_before_the_first_update_there_is_no_loss() -> None:
    record = Record()
    observe(moment(0), record)
    assert record.members() == []


def test_nan_is_recorded_as_it_is() -> None:
    record, shown = Record(), moment()
    shown.loss[1] = float("nan")
    observe(shown, record)
    assert value(record, "loss", 0) == 0.5 and math.isnan(value(record, "loss", 1))


def test_layers_are_looked_at_densely_at_first_and_then_evenly() -> None:
    wants = sampling(100)
    assert [step for step in range(400) if wants(step)] == [1, 4, 16, 64, 101, 201, 301]


def test_looks_lie_apart_by_the_length_of_a_training_alone() -> None:
    assert [spacing(updates) for updates in (10, 768, 2_400, 24_000)] == [32, 64, 200, 2_000]
