"""Rules on what is known of a user's program, on programs written by hand: each with its fault, and without."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trainwell.diagnosis import KINDS, RULES, Case, diagnose
from trainwell.engine import Record
from trainwell.vitals.losses import LossReading
from trainwell.vitals.program import Program, Stuck
from trainwell.vitals.sequences import Memory
from trainwell.vitals.strays import strays
from trainwell.vitals.sureness import Follows, Shares
from trainwell.vitals.targets import Targets

CLASSES = Targets("multiclass", 400, 3, (130, 140, 130), False, True, False, 0, 2, 1, 0.8, 0.66, 0.7)
NUMBERS = Targets("regression", 400, 0, (), False, False, False, -2.5, 2.5, 0, 1, 1.0, 0.8)
CE = LossReading("cross-entropy", "identity", (32, 3), (32, 3))
MSE = LossReading("squared", "identity", (32, 1), (32, 1))
SETTINGS = {"optimizer.learning_rate": 1e-3, "optimizer.name": "adam", "training.batch_size": 32, "network.depth": 2}
HEALTHY = Program(
    SETTINGS, CE, CLASSES, batch=32, bends=2, weighted=3, narrowest=16, accumulating=(0, 6), training_in_eval=(0, 300),
    judged_in_train=(0, 5), modal=True, over=True,
)  # fmt: skip
FALL = 1.1 * np.exp(-np.arange(300) / 60) + 0.05


def case_of(program: Program, losses: Any = FALL, **more: Any) -> Case:
    """A training with this program and these losses; its layers are healthy."""
    record = Record()
    for step, loss in enumerate(losses, start=1):
        record.add(step, "", "loss", [0], [float(loss)])
    for step in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        if step > len(losses):
            break
        for layer in ("0", "2", "4"):
            signals = {"gradient-norm": 0.5, "update-ratio": 1e-3, "weight-norm": 4.0, "activation-std": 1.0}
            for signal, value in {**signals, "signal-std": 1.0}.items():
                record.add(step, layer, signal, [0], [value])
    return Case(record, 0, program=program, chance_loss=1.0986, **more)


def put(case: Case, signal: str, layer: str, rows: Any) -> None:
    """These steps and values instead of what the record has."""
    case.record._rows.pop((signal, layer, 0), None)
    for step, value in rows:
        case.record.add(step, layer, signal, [0], [float(value)])


def kinds(case: Case) -> list[str]:
    return [finding.kind for finding in diagnose(case) if finding.severity != "info"]


def changed(**more: Any) -> Program:
    return replace(HEALTHY, **more)


def read(kind: str, output: str = "identity", shape: tuple[int, ...] = (32, 3), **more: Any) -> LossReading:
    return LossReading(kind, output, shape, more.get("compared", shape))


FAULTS: dict[str, tuple[str, Program]] = {
    "softmax before cross-entropy": ("double-softmax", changed(loss=read("cross-entropy", "softmax"))),
    "sigmoid before logits": ("double-softmax", changed(loss=read("binary-logits", "sigmoid", (32, 1)))),
    "broadcast": (
        "target-shape-mismatch",
        changed(loss=replace(MSE, compared=(32, 32)), targets=NUMBERS),
    ),
    "softmax of one": ("loss-output-mismatch", changed(loss=read("binary", "softmax", (32, 1)))),
    "cross-entropy of one": ("loss-output-mismatch", changed(loss=read("cross-entropy", "identity", (32, 1)))),
    "rates as logarithms": ("loss-output-mismatch", changed(loss=read("poisson-log", "softplus", (32, 1)))),
    "any numbers as rates": ("loss-output-mismatch", changed(loss=read("poisson", "identity", (32, 1)))),
    "classes in binary": ("loss-output-mismatch", changed(loss=read("binary-logits", "identity", (32, 1)))),
    "classes by distance": ("loss-output-mismatch", changed(loss=MSE)),
    "nll of raw outputs": ("loss-output-mismatch", changed(loss=read("nll"))),
    "relu before logits": ("loss-output-mismatch", changed(loss=read("cross-entropy", "relu"))),
    "softplus on a regression": (
        "loss-output-mismatch",
        changed(loss=replace(MSE, output="softplus"), targets=NUMBERS),
    ),
    "tanh on a regression": ("loss-output-mismatch", changed(loss=replace(MSE, output="tanh"), targets=NUMBERS)),
    "named a classification": (
        "loss-output-mismatch",
        changed(loss=MSE, targets=NUMBERS, given_task="multiclass"),
    ),
    "runs along the batch": ("batch-leak", changed(along=("lstm",))),
    "softmax over samples": ("batch-leak", changed(loss=replace(CE, across=True))),
    "old gradients": ("gradients-accumulate", changed(accumulating=(6, 6))),
    "frozen": ("parameters-not-updated", changed(stuck=Stuck(frozen=("0.weight",)))),
    "forgotten": ("parameters-not-updated", changed(stuck=Stuck(forgotten=("4.weight", "4.bias")))),
    "no gradient": ("parameters-not-updated", changed(stuck=Stuck(unreached=("0.weight",)))),
    "no step": ("parameters-not-updated", changed(stuck=Stuck(idle=True))),
    "in a list": ("parameters-not-updated", changed(stuck=Stuck(unregistered=("layers",)))),
    "updates in evaluation": ("wrong-mode", changed(training_in_eval=(290, 300))),
    "judged in training": ("wrong-mode", changed(judged_in_train=(5, 5))),
    "dropped in evaluation": ("wrong-mode", changed(dropped="dropout", modal=False)),
    "alike units": ("symmetric-units", changed(symmetric=("0", "2"))),
    "no function": ("missing-activation", changed(bends=0, chains=(2, 2))),
    "no function in part": ("missing-activation", changed(chains=(2, 3))),
    "rows twice": ("duplicate-rows", changed(doubled=0.6)),
    "rows judged by": ("train-test-leak", changed(leaked=(0.2, 60))),
    "rows spread unlike": ("data-drift", changed(stretched=4.1)),
    "another scale": ("data-drift", changed(apart=5.0)),
    "one class": (
        "class-imbalance",
        changed(targets=replace(CLASSES, counts=(392, 4, 4))),
    ),
}


@pytest.mark.covers("A11", "D7", "D9", "L7")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_program_is_named_with_its_evidence_and_a_remedy(name: str) -> None:
    kind, program = FAULTS[name]
    finding = RULES[kind](case_of(program))
    assert finding is not None and finding.severity in ("warning", "critical") and finding.kind == kind
    assert {"figure", "measured", "threshold", "healthy"} <= set(finding.evidence) and finding.kind in KINDS
    assert finding.remedies and finding.message.endswith(".") and "\n" not in finding.message


def test_of_a_healthy_program_nothing_is_said() -> None:
    assert kinds(case_of(HEALTHY)) == []
    assert kinds(case_of(changed(loss=MSE, targets=NUMBERS), FALL / 1.1)) == []


@pytest.mark.parametrize(
    "program",
    [
        changed(loss=MSE, targets=replace(CLASSES, constant=True)),  # a GAN's targets: all ones
        changed(loss=replace(MSE, output="sigmoid"), targets=replace(NUMBERS, low=0.0, high=1.0)),
        changed(loss=replace(MSE, output="relu"), targets=replace(NUMBERS, low=0.5, high=9.0)),
        changed(modal=False, training_in_eval=(300, 300)),
        changed(leaked=(0.97, 300)),  # judged by the training rows on purpose
        changed(leaked=(0.04, 13)),  # rows that are in the data twice
        changed(stretched=1.6),  # noise was added to the rows trained on
        changed(stuck=Stuck(left_out=("backbone.weight",))),  # trained before, and left as it is
        changed(accumulating=(1, 6)),
        changed(idle_biases=("0",)),
        changed(bends=0, weighted=1),  # a linear model is meant to be one
        changed(bends=0, weighted=3),  # something that is not seen lies between its layers
        changed(chains=(1, 4)),  # two layers as one, of many
        changed(loss=LossReading(), targets=None),
        changed(loss=replace(CE, weighted=True), targets=replace(CLASSES, counts=(392, 4, 4))),  # rare ones weigh more
        changed(loss=read("poisson-log", "identity", (32, 1))),
        changed(loss=read("poisson", "softplus", (32, 1))),
        changed(loss=read("binary-logits", "identity", (32, 2))),  # thresholds of ordered classes, made by the loss
    ],
)
def test_what_is_done_on_purpose_is_not_blamed(program: Program) -> None:
    assert kinds(case_of(program)) == []


CURVES: dict[str, tuple[str, np.ndarray]] = {
    "flat": ("not-learning", np.full(300, 1.1)),
    "ended early": ("underfitting", 1.1 - 0.4 * np.linspace(0, 1, 60) ** 2),
    "flat, then falls": ("slow-start", np.r_[np.full(120, 1.1), np.linspace(1.1, 0.1, 30), np.full(150, 0.1)]),
}
SWINGS = 2.0 + 1.8 * np.sign(np.sin(np.arange(300) / 4))


@pytest.mark.covers("D9")
@pytest.mark.parametrize(("far", "held", "expected"), [(2.9, 0.6, True), (2.9, 0.11, False), (0.4, 0.6, False)])
def test_one_input_that_lies_elsewhere_is_drift_where_the_network_is_worse(
    far: float, held: float, expected: bool
) -> None:
    case = case_of(changed(furthest=(far, 3)))
    for i in range(1, 6):
        case.record.add(60 * i, "", "validation_loss", [0], [held])
        case.record.add(60 * i, "", "train_loss", [0], [0.1])
    found = RULES["data-drift"](case)
    assert (found is not None) == expected and (found is None or "input 3" in found.message)


def test_weights_of_a_loss_that_runs_off_grow_without_bound() -> None:
    runs = 0.8 - np.expm1(np.arange(300) / 75)
    nears = 0.8 - 40 * -np.expm1(-np.arange(300) / 75)  # a likelihood that comes to an end below 0
    for losses, expected in ((runs, True), (nears, False)):
        case = case_of(changed(loss=LossReading(), targets=None), losses)
        for layer in ("0", "2", "4"):
            put(case, "weight-norm", layer, [(1, 2.0), (16, 2.1), (64, 3.0), (256, 12.0)])
        assert ("weights-grow" in kinds(case)) == expected
    assert "slow-start" not in kinds(case_of(changed(loss=LossReading(), targets=None), runs))


def test_a_code_of_one_number_is_too_narrow_though_no_targets_were_told() -> None:
    case = case_of(changed(loss=MSE, targets=None, narrowest=1), 0.6 + 0.4 * np.exp(-np.arange(300) / 60))
    case = replace(case, chance_loss=None)
    assert "underfitting" in kinds(case)
    assert "underfitting" not in kinds(replace(case, program=changed(loss=MSE, targets=None, narrowest=8)))


def test_a_metric_of_a_network_that_learned_nothing_does_not_fall() -> None:
    for best, expected in ((0.008, False), (0.8, True)):
        case = case_of(HEALTHY, np.linspace(1.1, 0.9, 300))
        for i in range(10):
            case.record.add(30 * (i + 1), "", "validation_loss", [0], [0.98 + 0.001 * i])
            case.record.add(30 * (i + 1), "", "train_loss", [0], [1.1 - 0.02 * i])
            case.record.add(30 * (i + 1), "", "validation_metric", [0], [best * (1 - 0.09 * i)])
        assert ("overfitting" in kinds(case)) == expected


@pytest.mark.parametrize("losses", [[], [float("nan")] * 300, [1.0], [float("inf")] * 3, [0.0] * 50])
@pytest.mark.parametrize("kind", RULES)
def test_no_rule_fails_on_losses_of_which_nothing_can_be_told(kind: str, losses: list[float]) -> None:
    for batch in (1, 32, 4096):
        program = changed(settings={**SETTINGS, "training.batch_size": batch}, batch=batch)
        for chance in (None, 1.0986):
            RULES[kind](replace(case_of(program, losses), chance_loss=chance))


@pytest.mark.covers("B8", "D6", "D12", "H7")
@pytest.mark.parametrize("name", CURVES)
def test_the_shape_of_a_loss_curve_is_named(name: str) -> None:
    kind, losses = CURVES[name]
    assert kind in kinds(case_of(HEALTHY, losses))


@pytest.mark.parametrize(
    "losses",
    [
        FALL,
        1.1 * np.exp(-np.arange(2000) / 200) + 0.4,
        np.linspace(1.1, 0.02, 400),
        0.5 + 0.6 * np.exp(-np.arange(400) / 80) + 0.1 * np.random.default_rng(0).standard_normal(400),
    ],
)
def test_ordinary_curves_are_passed_over(losses: np.ndarray) -> None:
    assert kinds(case_of(HEALTHY, losses)) == []


def at_speed(case: Case, speed: float) -> Case:
    """The same with updates of this size in all layers."""
    for layer in ("0", "2", "4"):
        put(case, "update-ratio", layer, [(step, speed) for step in (1, 2, 4, 8, 64, 256)])
    return case


@pytest.mark.covers("B8", "D6")
def test_a_loss_swings_where_updates_are_large_enough_to_make_it_swing() -> None:
    assert "oscillating-loss" in kinds(at_speed(case_of(HEALTHY, SWINGS), 0.05))
    assert "oscillating-loss" not in kinds(at_speed(case_of(HEALTHY, SWINGS), 1e-3))  # rare samples in some batches


def test_a_first_update_that_replaces_the_weights_is_too_large_whatever_is_learned() -> None:
    at_once, case = case_of(HEALTHY), case_of(HEALTHY, np.r_[1.1, np.full(16, 1.3), FALL])
    for layer in ("0", "2", "4"):
        for one in (at_once, case):
            put(one, "update-ratio", layer, [(1, 4.0), (2, 0.7), (4, 0.1), (8, 0.02), (64, 0.02)])
    assert kinds(at_once) == []  # first weights of nearly nothing, and the loss falls from the first update on
    assert kinds(case) == ["learning-rate-too-large"]
    put(case, "update-ratio", "4", [(1, 0.01), (2, 0.01), (4, 0.01), (8, 0.01)])
    put(case, "update-ratio", "2", [(1, 0.01), (2, 0.01), (4, 0.01), (8, 0.01)])
    assert kinds(case) == []  # one layer that begins at almost nothing


@pytest.mark.covers("D6")
def test_what_was_learned_and_then_thrown_away_by_a_rising_rate_is_named() -> None:
    losses = np.r_[np.linspace(1.1, 0.3, 150), np.linspace(0.3, 1.3, 150)]
    case = case_of(HEALTHY, losses)
    assert "learning-rate-too-large" not in kinds(case)  # a game of two networks may go so
    for layer in ("0", "2", "4"):
        put(
            case,
            "update-ratio",
            layer,
            [(1, 5e-3), (2, 5e-3), (4, 5e-3), (8, 5e-3), (128, 0.02), (256, 0.06), (290, 0.06), (300, 0.06)],
        )
    assert "learning-rate-too-large" in kinds(case)


def test_two_units_for_ten_classes_are_too_few() -> None:
    ten = replace(CLASSES, classes=10, counts=(40,) * 10)
    assert "underfitting" in kinds(case_of(changed(targets=ten, narrowest=2), np.full(300, 0.8)))
    assert kinds(case_of(changed(targets=ten, narrowest=2))) == []  # and yet they do
    assert kinds(case_of(changed(targets=ten, narrowest=8), np.full(300, 0.8))) == []


def starved(high: float, fell: int, pace: float = 10.0) -> Case:
    """The rate falls to nothing by a step; the loss stays at a share of that of chance."""
    losses = 1.0986 * (high + (1 - high) * np.exp(-np.arange(300) / pace))
    case = case_of(HEALTHY, losses)
    steps = (1, 2, 4, 8, 16, 32, 64, 128, 200, 256, 300)
    put(case, "learning_rate", "", [(step, 0.1 if step < fell else 1e-6) for step in steps])
    for layer in ("0", "2", "4"):
        put(case, "update-ratio", layer, [(step, 1e-2 if step < fell else 1e-7) for step in steps])
    return case


@pytest.mark.covers("D6", "B5")
def test_a_schedule_that_ends_long_before_the_training_is_named() -> None:
    assert "learning-rate-too-small" in kinds(starved(0.8, fell=64))
    assert kinds(starved(0.8, fell=200)) == []  # most of the training had a rate
    assert kinds(starved(0.1, fell=64)) == []  # it was done by then
    assert "learning-rate-too-small" in kinds(starved(0.4, fell=32))  # at once
    assert kinds(starved(0.4, fell=64)) == []
    assert "learning-rate-too-small" in kinds(starved(0.4, fell=64, pace=20.0))  # it was still falling by then


def test_a_deep_network_whose_first_update_is_as_large_as_its_weights_and_whose_loss_stays_high_is_named() -> None:
    def thrown(first: float, end: float, layers: int = 5) -> list[str]:
        case = case_of(HEALTHY, 1.0986 * np.concatenate([np.linspace(1, end, 60), np.full(240, end)]))
        for layer in range(layers):
            ratios = (first, first / 2, first / 4, 0.03, 0.02, 0.01)
            put(case, "update-ratio", str(layer), list(zip((1, 2, 4, 16, 64, 256), ratios, strict=True)))
        return kinds(case)

    assert "learning-rate-too-large" in thrown(1.0, 0.7)
    assert "learning-rate-too-large" not in thrown(1.0, 0.4)  # it learned all the same
    assert "learning-rate-too-large" not in thrown(0.5, 0.7)
    assert "learning-rate-too-large" not in thrown(1.0, 0.7, layers=2)  # factors of a matrix begin small


def test_two_classes_that_no_judgement_tells_apart_are_not_learned_though_rows_are_known_by_heart() -> None:
    def judged(held: float) -> list[str]:
        two = replace(CLASSES, task="binary", classes=2, high=1)
        program = changed(loss=read("binary-logits", "identity", (32, 1)), targets=two)
        case = replace(case_of(program, 0.69 * (1 - 0.03 * np.linspace(0, 1, 300))), chance_loss=0.69)
        for step in range(30, 301, 30):
            case.record.add(step, "", "validation_loss", [0], [held])
            held += 1e-3
        return kinds(case)

    assert judged(0.695) == ["not-learning"]
    assert judged(0.67) == []  # a little of it is true of others


def test_labels_are_wrong_where_errors_neither_fade_with_sureness_nor_have_a_taste_nor_are_gathered() -> None:
    two = float("nan")
    assert kinds(case_of(changed(sureness=Shares(2000, 0.5, (0.3, 0.25, 0.2), 1.1, 1.0)))) == ["label-noise"]
    assert kinds(case_of(changed(sureness=Shares(2000, 0.5, (0.3, 0.3, 0.28), two, 1.0)))) == ["label-noise"]
    far_off = case_of(changed(sureness=Shares(2000, 0.5, (0.3, 0.25, 0.2), 1.1, 1.0)), 10 * FALL + 3)
    assert "label-noise" not in kinds(far_off)  # it is sure of what it began with
    for well in (
        Shares(2000, 0.5, (0.3, 0.25, 0.2), 12.0, 1.0),  # certain classes are taken for one another
        Shares(2000, 0.5, (0.3, 0.15, 0.02), 1.1, 1.0),
        Shares(2000, 0.5, (0.3, 0.22, 0.16), two, 1.0),
        Shares(2000, 0.5, (0.3, 0.3, 0.28), two, 4.0),  # whole batches are wrong: two networks play a game
        Shares(2000, 0.1, (0.5, 0.5, 0.5), 1.1, 1.0),
        Shares(100, 0.5, (0.3, 0.3, 0.3), 1.1, 1.0),
        Shares(2000, 0.9, (0.03, 0.03, 0.03), 1.1, 1.0),
    ):
        assert kinds(case_of(changed(sureness=well))) == []


def judged_at(program: Program, times: float, judgements: int = 8) -> Case:
    """A training whose rows to judge by cost so many times what those cost that it is trained on."""
    losses = np.linspace(0.6, 0.3, 320)
    case = case_of(program, losses)
    steps = np.linspace(40, 320, judgements).astype(int)
    for step in steps.tolist():
        case.record.add(step, "", "validation_loss", [0], [times * float(losses[max(0, step - 50) : step].mean())])
    return case


def test_wrong_labels_that_are_known_by_heart_are_told_by_first_outputs_and_cheaper_judgements_together() -> None:
    early, later = (
        Shares(1024, 0.35, (0.2, 0.17, 0.13), float("nan"), 1.0),
        Shares(1024, 0.9, (0.02, 0.0, 0.0), 1.0, 1.0),
    )
    learned = changed(early=early, sureness=later)
    (finding,) = [f for f in diagnose(judged_at(learned, 0.6)) if f.severity != "info"]
    assert finding.kind == "label-noise" and "0.60 times" in finding.message
    for well in (
        judged_at(learned, 0.95),  # not learned yet, at that age
        judged_at(learned, 0.6, judgements=3),
        judged_at(changed(early=later, sureness=later), 0.6),  # noise on inputs makes training dearer
        judged_at(replace(learned, dropout=0.3), 0.6),
        judged_at(replace(learned, early=early._replace(samples=400)), 0.6),
        judged_at(replace(learned, early=early._replace(wrong=(0.12, 0.13, 0.26))), 0.6),
        judged_at(learned, 0.2),  # it is surer of other rows than labels that are wrong so often would let it be
    ):
        assert kinds(well) == []


def test_numbers_are_wrong_where_some_lie_anywhere_and_the_others_about_too_steep_a_line() -> None:
    draw = np.random.default_rng(0)
    truth, anywhere = draw.normal(size=1000), draw.random(1000) < 0.4
    dealt_out = np.where(anywhere, draw.permutation(truth), truth) + 0.2 * draw.normal(size=1000)
    sick = changed(strays=strays(0.6 * truth, dealt_out))
    assert kinds(case_of(sick)) == ["label-noise"]
    best_at = lambda place: judged(case_of(sick), 0.9 + 0.01 * np.abs(np.arange(6) - place), 0.9 + np.zeros(6))
    assert kinds(best_at(2)) == ["label-noise"] and kinds(best_at(0)) == []  # no outputs of use by then
    one = 1 / (1 + np.exp(-2 * truth))
    two_kinds = np.where(draw.random(1000) < one, 1.0, -1.0)
    skewed = np.exp(truth)
    for outputs, targets in (
        (truth, truth + 0.7 * draw.standard_t(2, 1000)),  # heavy tails
        (truth, truth * (1 + 0.8 * draw.normal(size=1000))),  # noise that grows
        (0.3 * truth, truth + 0.5 * draw.normal(size=1000)),  # has not learned yet
        (2 * one - 1, two_kinds + 0.1 * draw.normal(size=1000)),  # overlap
        (2 * one - 1, two_kinds + 0.5 * draw.normal(size=1000)),
        (skewed, skewed * np.exp(0.6 * draw.normal(size=1000))),
        (np.zeros(1000) + 0.01 * truth, truth),  # knows nothing
        (truth, np.maximum(truth + draw.normal(size=1000), 0)),  # many zeros
        (skewed + 2, np.round(skewed + draw.exponential(2.0, 1000))),  # counts
        (0.6 * truth[:200], dealt_out[:200]),  # too few to tell
    ):
        assert kinds(case_of(changed(strays=strays(outputs, targets)))) == []


def test_a_loss_without_a_bottom_is_told_from_one_that_lies_below_0() -> None:
    own = changed(loss=LossReading(), targets=NUMBERS)
    falls = 2.0 - np.exp(np.arange(200) / 12)
    found = RULES["loss-output-mismatch"](case_of(own, falls))
    assert found is not None and found.severity == "critical" and "slow-start" not in kinds(case_of(own, falls))
    for sound in (20 - 320 * (1 - np.exp(-np.arange(200) / 30)), -np.arange(200) * 0.5 - 1, FALL):  # as of a flow
        assert RULES["loss-output-mismatch"](case_of(own, sound)) is None


def test_outputs_that_become_one_point_under_a_loss_of_the_user_s_own() -> None:
    own = changed(loss=LossReading(), targets=None)
    steps = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    for last, said in ((5e-4, ["shrinking-activations"]), (0.05, [])):
        case = case_of(own)
        put(case, "signal-std", "4", zip(steps, np.geomspace(0.5, last, len(steps)), strict=True))
        assert kinds(case) == said
    known = case_of(changed(loss=MSE, targets=NUMBERS), FALL / 1.1)
    put(known, "signal-std", "4", zip(steps, np.geomspace(0.5, 5e-4, len(steps)), strict=True))
    assert kinds(known) == []  # targets may be alike


def test_a_plain_recurrent_layer_that_forgets_is_the_cause_only_where_nothing_is_learned() -> None:
    forgets = changed(memory=(Memory("rnn", 80, 0.6, 0.6**80),))
    stays = np.full(300, 1.08)
    found = RULES["vanishing-gradient"](case_of(forgets, stays))
    assert found is not None and found.layer == "rnn" and "80 steps" in found.message
    assert RULES["vanishing-gradient"](case_of(forgets)) is None
    assert RULES["vanishing-gradient"](case_of(changed(memory=(Memory("rnn", 20, 0.9, 0.9**20),)), stays)) is None


def test_batches_of_one_class_each_are_not_shuffled() -> None:
    assert kinds(case_of(changed(single=(9, 10)))) == ["data-drift"]
    assert kinds(case_of(changed(single=(1, 10)))) == []
    two = replace(CLASSES, classes=2, counts=(200, 200))
    assert kinds(case_of(changed(single=(9, 10), targets=two))) == []  # real and made ones in turn


def test_lost_columns_are_named_and_the_corners_of_images_are_not() -> None:
    scale = {"largest_mean": 0.0, "largest_std": 1.0, "smallest_std": 0.0, "constant": 0.5, "inputs": 10.0}
    assert kinds(case_of(HEALTHY, input_scale=scale)) == ["constant-input"]
    assert kinds(case_of(HEALTHY, input_scale=scale | {"inputs": 784.0})) == []
    assert kinds(case_of(HEALTHY, input_scale=scale | {"constant": 0.1})) == []


def test_units_at_the_bounds_of_an_output_are_where_targets_are() -> None:
    case = case_of(HEALTHY)
    for layer, share in (("2", 0.0), ("4", 0.9)):
        put(case, "saturated-fraction", layer, [(step, share) for step in (1, 2, 4, 8, 64)])
    assert kinds(case) == []
    put(case, "saturated-fraction", "2", [(step, 0.9) for step in (1, 2, 4, 8, 64)])
    assert kinds(case) == ["saturated-units"]


def test_gradients_of_many_outputs_are_small_each() -> None:
    images = changed(loss=replace(MSE, shape=(32, 784), compared=(32, 784)), targets=NUMBERS)
    case = replace(case_of(images, np.full(300, 0.9)), chance_loss=0.9)
    for layer in ("0", "2", "4"):
        put(case, "gradient-norm", layer, [(step, 5e-3) for step in (1, 2, 4, 8, 64, 256)])
    assert "vanishing-gradient" not in kinds(case)
    for layer in ("0", "2", "4"):
        put(case, "gradient-norm", layer, [(step, 1e-5) for step in (1, 2, 4, 8, 64, 256)])
    assert "vanishing-gradient" in kinds(case)


def test_a_gradient_clipped_to_nothing_is_a_rate_too_small() -> None:
    case = replace(case_of(HEALTHY, np.linspace(1.0986, 1.09, 300)), chance_loss=1.0986)
    for layer in ("0", "2", "4"):
        put(case, "gradient-norm", layer, [(step, 6e-5) for step in (1, 2, 4, 8, 64, 256)])
    assert "learning-rate-too-small" in kinds(at_speed(case, 1e-6))


def test_a_loss_that_falls_straight_to_the_end_has_ended_too_early_unless_judgements_get_worse() -> None:
    losses = np.linspace(1.1, 0.5, 120) + 0.02 * np.random.default_rng(0).standard_normal(120)
    assert kinds(case_of(HEALTHY, losses)) == ["underfitting"]
    worse = judged(case_of(HEALTHY, losses), np.linspace(0.6, 0.9, 8), np.linspace(0.9, 0.7, 8))
    assert "underfitting" not in kinds(worse)


@pytest.mark.covers("D1", "D2")
def test_gradients_of_squares_are_held_against_errors_and_not_against_the_loss() -> None:
    dollars = changed(loss=MSE, targets=replace(NUMBERS, std=1e5))
    case = replace(case_of(dollars, 1e10 * (1 + 0 * FALL)), chance_loss=1e10)
    assert case.slope == 1e5
    for layer in ("0", "2", "4"):
        put(case, "gradient-norm", layer, [(step, 2e5) for step in (1, 2, 4, 8, 64, 256)])
    assert "vanishing-gradient" not in kinds(case)
    never = replace(case, program=replace(dollars, output_range=(-3.0, 40.0)))
    assert "initial-loss-off" in kinds(never) and "initial-loss-off" not in kinds(case)


def judged(case: Case, losses: Any, metrics: Any) -> Case:
    """The case with these judgements, every thirty updates."""
    for i, (loss, metric) in enumerate(zip(losses, metrics, strict=True), start=1):
        case.record.add(30 * i, "", "validation_loss", [0], [float(loss)])
        case.record.add(30 * i, "", "validation_metric", [0], [float(metric)])
    return case


def test_judgements_that_are_all_the_same_show_that_training_changes_nothing() -> None:
    same = judged(case_of(changed(loss=LossReading(), targets=None)), [1.2394] * 6, [0.38] * 6)
    assert "not-learning" in kinds(same)
    moving = judged(case_of(HEALTHY), np.linspace(1.2, 0.4, 6), [0.9] * 6)
    assert kinds(moving) == []


def test_a_loss_that_stays_without_a_gradient_is_on_a_plateau() -> None:
    noise = 0.2 * np.random.default_rng(0).standard_normal(300)
    flat = case_of(changed(loss=LossReading(), targets=None), 1.2 + noise)
    flat = replace(flat, chance_loss=None)
    assert "plateau" not in kinds(flat)  # its layers have a gradient: it may be a game of two networks
    for layer in ("0", "2", "4"):
        put(flat, "gradient-norm", layer, [(step, 1e-9) for step in (1, 2, 4, 8, 64, 256)])
    assert {"plateau", "vanishing-gradient"} <= set(kinds(flat))
    put(flat, "loss", "", enumerate(np.r_[[1.9, 1.9, 2.0], 1.2 + noise[3:]], start=1))  # high by chance at first
    assert flat.learned and "plateau" in kinds(flat)
    put(flat, "loss", "", enumerate(np.r_[np.linspace(2.4, 1.2, 30), 1.2 + 0.1 * noise[30:]], start=1))
    assert "plateau" not in kinds(flat)  # it did fall, and found its floor


def test_noise_of_the_batches_is_not_taken_for_learning() -> None:
    draw = np.random.default_rng(3)
    noisy = 1.0986 * (1 + 0.25 * draw.standard_normal(300))  # as of squared errors of 32 rows
    assert not case_of(HEALTHY, noisy).learned
    assert case_of(HEALTHY, noisy - 0.13).learned  # a weak signal, over the whole training


def test_the_judge_of_a_game_that_stays_near_chance_is_no_failure() -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal(400)
    judge = changed(loss=read("binary-logits", "identity", (32, 1)), targets=replace(CLASSES, task="binary", high=1))
    case = replace(case_of(judge, 0.672 + noise), chance_loss=0.693)
    assert "not-learning" not in kinds(case)
    assert "not-learning" in kinds(replace(case_of(judge, 0.693 + noise), chance_loss=0.693))


def test_a_metric_of_other_rows_is_told() -> None:
    metrics = 0.1 + 0.02 * np.array([0, 1, -1, 1, 0, -1, 1, -1, 0, -0.5])
    case = judged(case_of(HEALTHY), np.linspace(1.2, 0.1, 10), metrics)
    assert "loss-not-the-metric" in [finding.kind for finding in diagnose(case)]
    case = judged(case_of(HEALTHY), np.linspace(1.2, 0.1, 10), np.linspace(0.4, 0.8, 10))
    assert "loss-not-the-metric" not in [finding.kind for finding in diagnose(case)]


def test_a_sum_for_a_loss_is_an_information_until_it_does_harm() -> None:
    summed = changed(loss=replace(CE, terms=32))
    told = {f.kind: f.severity for f in diagnose(replace(case_of(summed, 32 * FALL), chance_loss=32 * 1.0986))}
    assert told["loss-sums"] == "info"
    wild = replace(case_of(summed, np.full(300, 60.0)), chance_loss=32 * 1.0986)
    for layer in ("0", "2", "4"):
        put(wild, "update-ratio", layer, [(step, 0.8) for step in (1, 2, 4, 8, 64, 256)])
    found = [f for f in diagnose(wild) if f.severity != "info"]
    assert found[0].kind == "loss-sums" and all(f.evidence["caused_by"] == "loss-sums" for f in found[1:])


def test_nothing_is_said_of_the_end_before_it_has_come() -> None:
    running = changed(over=False)
    for _, losses in CURVES.values():
        assert kinds(case_of(running, losses)) == []


@pytest.mark.covers("D13")
def test_batches_of_one_and_of_all_are_named() -> None:
    noisy = np.random.default_rng(1).exponential(0.7, 300)
    one = changed(settings={**SETTINGS, "training.batch_size": 1})
    assert "batch-too-small" in kinds(case_of(one, noisy))
    calm = case_of(one, 0.8 + 0.1 * np.random.default_rng(1).standard_normal(300))
    assert kinds(calm) == []  # small steps average over many samples
    for layer in ("0", "2", "4"):
        put(calm, "update-ratio", layer, [(step, 0.03) for step in (1, 2, 4, 8, 64, 256)])
    assert kinds(calm) == ["batch-too-small"]
    whole = changed(settings={**SETTINGS, "training.batch_size": 1000})
    assert "batch-too-large" in kinds(case_of(whole, np.linspace(1.1, 1.0, 8)))
    huge = changed(settings={**SETTINGS, "training.batch_size": 8000})
    assert kinds(case_of(huge, 1.1 - 0.05 * np.arange(120) ** 0.5)) == ["batch-too-large"]
    assert kinds(case_of(huge, 0.6 + 0.5 * np.exp(-np.arange(120) / 10))) == []  # it was done


@pytest.mark.covers("D14")
def test_weights_that_collapse_or_grow_are_named() -> None:
    def with_weights(values: list[float], program: Program = HEALTHY, losses: Any = FALL) -> Case:
        case = case_of(program, losses)
        for layer in ("0", "2", "4"):
            put(case, "weight-norm", layer, list(zip((1, 4, 64, 200, 300), values, strict=True)))
        return case

    assert "weights-collapse" in kinds(with_weights([4.0, 3.0, 1.0, 0.1, 0.01]))
    assert "weights-grow" in kinds(with_weights([4.0, 5.0, 20.0, 60.0, 200.0]))
    assert kinds(with_weights([0.2, 1.0, 3.0, 3.9, 4.0])) == []  # small first weights grew, and stayed
    added = changed(loss=replace(HEALTHY.loss, alone=False))
    noise = 0.05 * np.random.default_rng(0).normal(size=300)
    for falls, named in ((0.4 - 0.004 * np.arange(300), True), (-0.05 + np.zeros(300), False)):  # around 0: a game
        assert ("weights-grow" in kinds(with_weights([4.0, 4.5, 5.0, 6.0, 7.0], added, falls + noise))) == named
    decayed = changed(settings={**SETTINGS, "optimizer.weight_decay": 10.0})
    sick = with_weights([4.0, 3.0, 1.0, 0.1, 0.01], decayed)
    flat = replace(sick, record=Record.from_frame(sick.record.frame()))
    put(flat, "loss", "", [(step, 1.09) for step in range(1, 301)])
    assert "too-much-regularisation" in kinds(flat)


@pytest.mark.covers("D5", "D11", "I13")
@pytest.mark.parametrize(
    ("kind", "values", "signal"),
    [
        ("shrinking-activations", [1.0, 0.1, 0.01, 0.001, 1.0], "signal-std"),
        ("growing-activations", [1.0, 4.0, 16.0, 64.0, 1.0], "signal-std"),
        ("growing-activations", [1.0, 4.0, 16.0, 64.0, 1.0], "activation-mean"),
        ("layers-out-of-step", [1e-9, 1e-3, 1e-3, 1e-3, 1e-3], "update-ratio"),
    ],
)
def test_trends_over_layers_are_named(kind: str, values: list[float], signal: str) -> None:
    case = case_of(HEALTHY)
    for name in ("0", "2", "4"):
        case.record._rows.pop((signal, name, 0), None)
    for i, value in enumerate(values):
        rows = {"signal-std": 1.0, "activation-std": 1.0} | {signal: value}
        for name, number in rows.items():
            put(case, name, f"{2 * i}", [(step, number) for step in (1, 2, 4, 8)])
    assert kind in kinds(case)


def test_a_loss_of_two_parts_is_not_held_against_the_chance_of_one() -> None:
    two = replace(MSE, alone=False, joined=True)
    fell = np.r_[np.linspace(4.0, 1.3, 100), np.full(200, 1.3)]
    assert kinds(case_of(changed(loss=two, targets=NUMBERS), fell)) == []
    assert "not-learning" in kinds(case_of(changed(loss=two, targets=NUMBERS), np.full(300, 1.3)))
    assert "not-learning" in kinds(case_of(changed(loss=replace(two, joined=False), targets=NUMBERS), fell))


def test_a_first_loss_that_is_infinite_is_not_far_off_but_no_number() -> None:
    found = kinds(case_of(HEALTHY, np.r_[np.inf, np.full(99, np.nan)]))
    assert "initial-loss-off" not in found and "initial-loss-off" in kinds(
        case_of(HEALTHY, np.r_[1e6, np.full(99, 1e6)])
    )


def test_updates_that_are_decay_don_t_make_a_rate_too_large() -> None:
    def thrown(decay: float) -> list[str]:
        settings = {**SETTINGS, "optimizer.weight_decay": decay, "optimizer.name": "adamw"}
        case = case_of(changed(settings=settings), FLAT)
        for layer in ("0", "2", "4"):
            put(case, "update-ratio", layer, [(step, 0.2) for step in (1, 4, 16, 64, 256)])
        for step, _ in enumerate(FLAT, start=1):
            case.record.add(step, "", "learning_rate", [0], [2e-3])
        return kinds(case)

    assert "learning-rate-too-large" in thrown(0.01) and "learning-rate-too-large" not in thrown(100.0)


def test_gradients_clipped_by_an_infinite_norm_have_exploded() -> None:
    def clipped(first: float) -> list[Any]:
        case = case_of(changed(silent=(8, 8)), np.full(300, first))
        for layer in ("0", "2", "4"):
            put(case, "gradient-norm", layer, [(step, 0.0) for step in (1, 4, 16, 64, 256)])
        return [f for f in diagnose(case) if f.severity != "info"]

    found = {f.kind: f for f in clipped(1e12)}
    assert "exploding-gradient" in found and "parameters-not-updated" not in found
    assert found["plateau"].evidence["caused_by"] == "exploding-gradient"
    assert "clip-gradients" not in {remedy.name for remedy in found["exploding-gradient"].remedies}
    emptied = {f.kind: f for f in clipped(1.2)}
    assert "parameters-not-updated" in emptied and "exploding-gradient" not in emptied
    assert emptied["parameters-not-updated"].message.endswith("step()?")


def test_what_shows_before_any_update_does_not_come_from_updates_that_fail() -> None:
    program = changed(silent=(8, 8))
    case = case_of(program, np.full(300, 60.0))
    for layer in ("0", "2", "4"):
        put(case, "gradient-norm", layer, [(step, 0.0) for step in (1, 4, 16, 64, 256)])
    far_off = next(f for f in diagnose(case) if f.kind == "initial-loss-off")
    assert "caused_by" not in far_off.evidence


def test_a_signal_that_grows_from_step_to_step_is_named_where_it_does_harm() -> None:
    def grows(by: float, losses: Any) -> list[str]:
        case = case_of(HEALTHY, losses)
        put(case, "run-growth", "2", [(1, by), (4, 1.0)])
        return kinds(case)

    assert "growing-activations" in grows(1e4, FLAT) and "growing-activations" in grows(float("inf"), FLAT)
    assert "growing-activations" in grows(1e4, np.r_[1e6, FALL])
    assert "growing-activations" not in grows(100.0, FLAT)
    assert grows(1e4, FALL) == []  # it learns from the beginning


def test_causes_come_before_what_follows_from_them() -> None:
    program = changed(loss=read("cross-entropy", "softmax"), symmetric=("0",))
    found = [f for f in diagnose(case_of(program, np.full(300, 1.1))) if f.severity != "info"]
    assert [f.kind for f in found] == ["double-softmax", "symmetric-units", "not-learning"]
    assert found[-1].evidence["caused_by"] == "double-softmax" and found[-1].severity == "warning"


@pytest.mark.covers("D9")
def test_gradients_that_are_emptied_before_each_update_are_named() -> None:
    def silent(none: int, grads: float, **more: Any) -> list[str]:
        case = case_of(changed(silent=(none, 8), **more), 1.1 + np.zeros(300))
        for layer in ("0", "2", "4"):
            put(case, "gradient-norm", layer, [(step, grads) for step in (1, 2, 4, 8, 16, 64)])
        return kinds(case)

    assert "parameters-not-updated" in silent(8, 0.0)
    assert "parameters-not-updated" not in silent(1, 0.0)  # at first, as where the last layer begins at 0
    assert "parameters-not-updated" not in silent(8, 0.5)
    assert "parameters-not-updated" not in silent(8, 0.0, constant_output=True)  # the outputs' fault


def test_a_penalty_that_silences_an_inner_layer_is_too_much() -> None:
    def faded(last: float, alone: bool) -> list[str]:
        case = case_of(changed(loss=replace(CE, alone=alone)))
        put(case, "signal-std", "2", list(zip((1, 4, 16, 64, 256), np.geomspace(0.1, last, 5), strict=True)))
        put(case, "signal-std", "4", [(step, 0.1) for step in (1, 4, 16, 64, 256)])
        return kinds(case)

    assert faded(0.005, alone=False) == ["too-much-regularisation"]
    assert faded(0.05, alone=False) == [] and faded(0.005, alone=True) == []


def test_a_difference_that_grows_with_its_gradients_explodes() -> None:
    def swelling(size: float, steep: float) -> list[str]:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], 300)
        case = replace(
            case_of(changed(loss=LossReading()), signs * np.geomspace(0.1, 0.1 * size, 300)), chance_loss=None
        )
        for layer in ("0", "2", "4"):
            slopes = np.geomspace(0.5, 0.5 * steep, 6)
            put(case, "gradient-norm", layer, list(zip((1, 2, 4, 16, 64, 256), slopes, strict=True)))
        return kinds(case)

    assert "exploding-gradient" in swelling(1000, 1000)
    assert "exploding-gradient" not in swelling(8, 1000) and "exploding-gradient" not in swelling(1000, 10)


def test_a_loss_of_rare_classes_swings_with_the_draw_of_its_batches() -> None:
    def swinging(counts: tuple[int, int]) -> list[str]:
        share = min(counts) / sum(counts)
        chance = -share * np.log(share) - (1 - share) * np.log(1 - share)
        two = replace(CLASSES, task="binary", classes=2, counts=counts, high=1)
        program = changed(loss=read("binary-logits", "identity", (256, 1)), targets=two)
        program = replace(program, settings={**SETTINGS, "training.batch_size": 256}, batch=256)
        losses = chance * (0.85 + 0.2 * np.random.default_rng(0).choice([-1.0, 1.0], 300))
        case = replace(case_of(program, np.r_[np.full(20, chance), losses]), chance_loss=float(chance))
        for layer in ("0", "2", "4"):
            put(case, "update-ratio", layer, [(step, 0.2) for step in (1, 2, 4, 16, 64, 256)])
        return kinds(case)

    assert "oscillating-loss" in swinging((2000, 2000))
    assert "oscillating-loss" not in swinging((3600, 400))


def test_windows_that_overlap_those_trained_on_are_a_leak() -> None:
    assert kinds(case_of(changed(overlapping=0.6))) == ["train-test-leak"]
    assert kinds(case_of(changed(overlapping=0.3))) == []


def test_a_layer_that_began_at_nothing_hides_no_rate_that_is_too_small() -> None:
    case = case_of(HEALTHY, np.full(300, 1.1))
    for layer in ("0", "2", "4"):
        put(case, "update-ratio", layer, [(step, 1e-6) for step in (1, 2, 4, 16, 64, 256)])
    put(case, "update-ratio", "positions", list(zip((1, 2, 4, 16, 64, 256), (1, 1, 0.6, 0.1, 0.02, 0.01), strict=True)))
    put(case, "weight-norm", "positions", [(step, 1e-6 * step) for step in (1, 2, 4, 16, 64, 256)])
    assert "learning-rate-too-small" in kinds(case) and "layers-out-of-step" not in kinds(case)


def test_a_loss_of_exactly_zero_that_gives_no_gradient_is_named() -> None:
    case = case_of(changed(silent=(8, 8), loss=LossReading()), np.zeros(300))
    for layer in ("0", "2", "4"):
        put(case, "gradient-norm", layer, [(step, 0.0) for step in (1, 2, 4, 8, 16, 64)])
    (finding,) = [f for f in diagnose(case) if f.kind == "parameters-not-updated"]
    assert finding.severity == "critical" and "difference of equal things" in finding.message


def test_far_leaps_again_and_again_are_a_warning_and_a_single_one_is_an_information() -> None:
    def leaping(times: int, height: float) -> list[str]:
        losses = FALL + 0.2
        losses[np.linspace(60, 280, times).astype(int)] = height
        return kinds(case_of(HEALTHY, losses))

    assert "loss-spike" in leaping(8, 30.0)
    assert "loss-spike" not in leaping(2, 30.0)
    assert "loss-spike" not in leaping(8, 3.0)


FLAT = np.full(300, 1.09) + 0.01 * np.sin(np.arange(300))


def judged_of(program: Program, held: float, train: float) -> Case:
    """A training with five judgements of these losses."""
    case = case_of(program)
    for i in range(1, 6):
        case.record.add(60 * i, "", "validation_loss", [0], [held])
        case.record.add(60 * i, "", "train_loss", [0], [train])
    return case


def test_what_is_frozen_on_purpose_is_blamed_only_where_nothing_is_learned_on_top_of_it() -> None:
    program = changed(stuck=Stuck(still=("embedding.weight",)))
    assert kinds(case_of(program)) == []
    assert kinds(case_of(program, FLAT))[0] == "parameters-not-updated"


def test_one_layer_that_vanishes_is_a_wall_where_nothing_is_learned() -> None:
    def shrunk(losses: np.ndarray) -> list[str]:
        case = case_of(changed(settings={**SETTINGS, "optimizer.weight_decay": 2.0}), losses)
        put(case, "weight-norm", "2", [(1, 4.0), (4, 3.8), (64, 1.0), (256, 1e-4)])
        return kinds(case)

    assert {"weights-collapse", "too-much-regularisation"} <= set(shrunk(FLAT))
    assert shrunk(FALL) == []


def test_of_very_many_wrong_labels_little_can_be_learned_and_right_ones_cost_less() -> None:
    noisy = Shares(2000, 0.25, (0.3, 0.28, 0.25), float("nan"), 1.0)
    assert kinds(judged_at(changed(sureness=noisy), 0.8)) == ["label-noise"]
    for well in (
        judged_at(changed(sureness=noisy), 1.0),
        judged_at(changed(sureness=noisy._replace(skill=0.15)), 0.8),
        judged_at(changed(sureness=noisy, dropout=0.3), 0.8),
    ):
        assert kinds(well) == []


def test_rows_a_little_apart_are_drift_where_they_cost_many_times_as_much() -> None:
    assert "data-drift" in kinds(judged_of(changed(apart=1.2), 0.7, 0.05))
    assert "data-drift" not in kinds(judged_of(changed(apart=1.2), 0.2, 0.05))
    assert "data-drift" not in kinds(judged_of(changed(apart=0.4), 0.7, 0.05))


def test_statistics_for_evaluation_that_lag_are_named_where_judgements_are_the_worse_for_it() -> None:
    lagging = changed(lagging=("norm", 0.06))
    mode = RULES["wrong-mode"]
    finding = mode(judged_of(lagging, 0.4, 0.1))
    assert finding is not None and finding.severity == "warning" and finding.layer == "norm" and "6%" in finding.message
    assert mode(judged_of(lagging, 0.12, 0.1)) is None
    assert mode(judged_of(changed(lagging=("norm", 0.6)), 0.4, 0.1)) is None
    assert mode(case_of(lagging)) is None  # nobody judged


def test_a_rate_that_falls_from_step_to_step_is_known_between_two_looks_at_it() -> None:
    def halved(every: int, end: float) -> list[str]:
        losses = 1.0986 * np.concatenate([np.linspace(1, end, 60), np.full(540, end)])
        case = case_of(HEALTHY, losses)
        put(case, "learning_rate", "", [(step, 0.05 * 0.5 ** (step / every)) for step in (1, 4, 16, 64, 128, 300, 600)])
        for layer in ("0", "2", "4"):
            put(case, "update-ratio", layer, [(1, 1e-3), (16, 5e-3), (64, 8e-4), (256, 1e-10)])
        return kinds(case)

    assert halved(10, 0.45) == ["learning-rate-too-small"]  # a hundredth at step 67 of 600, though noted at 128
    assert halved(10, 0.1) == []  # it was done
    assert halved(30, 0.45) == []


def test_an_input_that_tells_the_target_alone_is_a_leak() -> None:
    finding = RULES["train-test-leak"](case_of(changed(telling=21)))
    assert finding is not None and finding.severity == "warning" and "Input 21" in finding.message


def test_targets_that_lie_elsewhere_cost_more_than_chance_from_the_first_judgement_on() -> None:
    numbers = changed(loss=MSE, targets=NUMBERS)

    def judged(held: list[float], train: list[float], program: Program = numbers) -> list[str]:
        case = case_of(program, FALL / 1.1)
        for i, (one, other) in enumerate(zip(held, train, strict=True), start=1):
            case.record.add(60 * i, "", "validation_loss", [0], [one])
            case.record.add(60 * i, "", "train_loss", [0], [other])
        return kinds(case)

    falls = [0.5, 0.3, 0.2, 0.15, 0.12]
    assert "data-drift" in judged([4.1, 3.9, 4.2, 4.0, 4.1], falls)
    assert "data-drift" not in judged([40.0, 24.0, 16.0, 12.0, 9.6], falls)  # in other units
    assert "data-drift" not in judged([0.5, 0.9, 1.8, 3.5, 4.2], falls)  # learned by heart, later
    assert "data-drift" not in judged([4.1, 3.9, 4.2, 4.0, 4.1], falls, replace(numbers, lagging=("norm", 0.9)))
    assert "data-drift" not in judged([4.1, 3.9, 4.2, 4.0, 4.1], falls, HEALTHY)  # of classes by heart it may be


def test_rows_spread_a_little_unlike_are_drift_where_they_cost_many_times_as_much() -> None:
    assert "data-drift" in kinds(judged_of(changed(stretched=1.3), 0.7, 0.05))
    assert "data-drift" not in kinds(judged_of(changed(stretched=1.3), 0.2, 0.05))
    assert "data-drift" not in kinds(judged_of(changed(stretched=1.1), 0.7, 0.05))


def test_rows_that_hold_one_number_only_are_named_instead_of_their_being_alike() -> None:
    scale = {"largest_mean": 0.1, "largest_std": 0.2, "constant": 0.4, "inputs": 784.0}
    assert kinds(case_of(changed(doubled=0.6, blank=0.6), input_scale=scale)) == ["constant-input"]
    assert kinds(case_of(changed(doubled=0.6, blank=0.05), input_scale=scale)) == ["duplicate-rows"]


def test_where_rows_are_copied_nearly_all_may_be_judged_by_and_all_are_on_purpose() -> None:
    assert kinds(case_of(changed(leaked=(0.94, 96), doubled=0.06))) == ["train-test-leak"]
    assert kinds(case_of(changed(leaked=(0.94, 96)))) == kinds(case_of(changed(leaked=(1.0, 96), doubled=0.06))) == []


def test_a_layer_that_stands_still_is_out_of_step_sooner() -> None:
    def apart(slow: float) -> list[str]:
        case = case_of(HEALTHY)
        put(case, "update-ratio", "4", [(step, slow) for step in (1, 4, 16, 64, 256)])
        put(case, "update-ratio", "0", [(step, 2000 * slow) for step in (1, 4, 16, 64, 256)])
        return kinds(case)

    assert "layers-out-of-step" in apart(5e-7) and "layers-out-of-step" not in apart(5e-6)


def test_heavy_momentum_makes_waves() -> None:
    def waves(momentum: float, height: float) -> list[str]:
        program = changed(settings={**SETTINGS, "optimizer.momentum": momentum})
        return kinds(case_of(program, (FALL + 0.1) * np.exp(height * np.sin(np.arange(300) / 12))))

    assert waves(0.99, 0.5) == ["oscillating-loss"]
    assert waves(0.9, 0.5) == waves(0.99, 0.1) == []


def test_outputs_that_explain_next_to_nothing_of_many_rows_follow_nothing() -> None:
    noisy = 1.0 + 0.1 * np.random.default_rng(0).standard_normal(600)  # chance was measured on a few batches: 1.0986
    hardly, weakly = (changed(loss=MSE, targets=NUMBERS, follows=Follows(2048, 3.5, part)) for part in (0.006, 0.03))
    assert kinds(case_of(hardly, noisy)) == ["not-learning"]
    assert kinds(case_of(weakly, noisy)) == []


def test_a_chance_that_was_measured_too_high_does_not_hide_that_outputs_follow_nothing() -> None:
    nothing = changed(loss=MSE, targets=NUMBERS, follows=Follows(1024, 0.5, -0.004))
    low = 0.8 + 0.2 * np.random.default_rng(0).standard_normal(300)  # of 1.0986; by noise some thirty are at 0.73
    assert kinds(case_of(nothing, low)) == ["not-learning"]
    ruined = np.r_[np.linspace(1.1, 0.2, 100), np.full(100, 0.2), np.full(100, 1.1)]
    assert "not-learning" not in kinds(case_of(nothing, ruined))  # it did learn something


def test_rows_that_are_learned_while_no_judgement_gets_below_chance_are_learned_in_vain() -> None:
    def judged_by(held: Any) -> list[str]:
        case = judged(case_of(HEALTHY, np.linspace(1.1, 0.95, 300)), held, 0.4 + 0.01 * np.arange(10) % 3)
        for i in range(1, 11):
            case.record.add(30 * i, "", "train_loss", [0], [1.1 - 0.015 * i])
        return kinds(case)

    assert judged_by(np.r_[np.linspace(1.10, 1.08, 5), np.linspace(1.085, 1.11, 5)]) == ["not-learning"]
    assert "not-learning" not in judged_by(np.linspace(1.10, 0.96, 10))


def test_a_loss_that_falls_so_slowly_that_it_stays_at_chance_is_of_a_rate_too_small() -> None:
    def at(losses: np.ndarray) -> list[str]:
        return kinds(at_speed(case_of(HEALTHY, losses), 3e-4))

    assert "learning-rate-too-small" in at(np.linspace(1.3, 1.12, 300))
    assert "learning-rate-too-small" not in at(1.12 + 0.01 * np.sin(np.arange(300) / 20))


def test_a_momentum_that_carries_the_loss_to_twice_its_least_is_named() -> None:
    swollen = np.r_[np.linspace(1.1, 0.3, 150), np.linspace(0.3, 0.8, 150)]
    for momentum, named in ((0.99, True), (0.9, False)):
        program = changed(settings={**SETTINGS, "optimizer.momentum": momentum})
        assert ("oscillating-loss" in kinds(case_of(program, swollen))) == named


def test_a_decay_that_takes_the_weights_away_at_every_update_is_too_strong() -> None:
    def decayed(optimizer: str, losses: Any, decay: float) -> list[str]:
        settings = {**SETTINGS, "optimizer.name": optimizer, "optimizer.weight_decay": decay}
        case = case_of(changed(settings=settings), losses)
        put(case, "learning_rate", "", [(step, 3e-3) for step in (1, 4, 16, 64, 256)])
        return kinds(case)

    high = np.linspace(1.1, 0.95, 300)
    assert "too-much-regularisation" in decayed("adamw", high, 20.0)
    assert "too-much-regularisation" not in decayed("adamw", high, 0.1)
    assert "too-much-regularisation" not in decayed("adamw", FALL, 20.0)
    assert "too-much-regularisation" not in decayed("adam", high, 20.0)  # Adam divides it by the gradient's size


def test_of_rare_classes_an_information_is_enough_where_the_metric_heeds_them_and_is_good() -> None:
    def metric(name: str, value: float) -> list[str]:
        case = case_of(FAULTS["one class"][1])
        case.record.add(300, "", f"validation_{name}", [0], [value])
        return kinds(case)

    assert metric("roc_auc", 0.93) == metric("f1", 0.6) == []
    assert metric("roc_auc", 0.55) == metric("f1", 0.0) == metric("accuracy", 0.98) == ["class-imbalance"]


def test_few_masks_of_many_places_are_enough_to_see_a_rare_class() -> None:
    masks = replace(CLASSES, task="binary", count=40, columns=576, counts=(22_800, 240))
    assert "class-imbalance" in kinds(case_of(changed(targets=masks)))
    assert "class-imbalance" not in kinds(case_of(changed(targets=replace(masks, columns=1, counts=(39, 1)))))


def test_numbers_a_few_deviations_from_zero_are_soon_learned() -> None:
    away = replace(NUMBERS, mean=2.4, low=0.1, high=4.9)

    def first(ratio: float, wasted: int) -> list[str]:
        losses = np.r_[np.linspace(ratio * 1.0986, 1.2, wasted), FALL]
        return kinds(case_of(changed(loss=MSE, targets=away), losses))

    assert first(7.5, 20) == [] and "initial-loss-off" in first(7.5, 80)


def test_a_first_update_that_replaces_the_weights_is_too_large_where_it_leaves_units_at_their_bounds() -> None:
    case = case_of(HEALTHY)
    for layer in ("0", "2"):
        put(case, "update-ratio", layer, [(1, 13.0), (4, 0.2), (16, 0.04), (64, 0.02), (256, 0.02)])
    assert "learning-rate-too-large" not in kinds(case)
    put(case, "saturated-fraction", "0", [(1, 0.0), (4, 1.0), (16, 1.0), (64, 1.0), (256, 1.0)])
    assert "learning-rate-too-large" in kinds(case)
