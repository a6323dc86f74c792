"""Which outputs, losses and first weights belong together."""

from typing import Any

import pytest
import torch
from torch import Tensor

from trainwell.base import PlanError
from trainwell.diagnosis import KINDS
from trainwell.engine import predictions
from trainwell.ingredients.activations import ACTIVATIONS
from trainwell.ingredients.initialisers import INITIALISERS
from trainwell.ingredients.losses import LOSSES
from trainwell.ingredients.pairing import SHARES, check_pairing, initialiser_for, loss_for, output_for

TASKS = ("binary", "multilabel", "multiclass", "regression")
SOUND: dict[str, Any] = {
    "hidden": "relu",
    "initialiser": "he_normal",
    "output": "identity",
    "loss": "auto",
    "task": "multiclass",
}


def found(**choices: Any) -> list[tuple[str, str]]:
    return [(m.kind, m.severity) for m in check_pairing(**{**SOUND, **choices})]


def message(**choices: Any) -> str:
    (mismatch,) = check_pairing(**{**SOUND, **choices})
    return mismatch.message


@pytest.mark.covers("A10", "A11")
def test_task_output_and_loss_match() -> None:
    expected = {"binary": "sigmoid", "multilabel": "sigmoid", "multiclass": "softmax", "regression": "identity"}
    assert {task: output_for(task) for task in TASKS} == expected
    assert all(task in LOSSES[loss_for(task)].tasks for task in TASKS)
    assert all(loss.output == "softmax" or loss.output in ACTIVATIONS for loss in LOSSES.values())


@pytest.mark.covers("A10")
def test_softmax_and_its_logarithm_are_stable_for_extreme_outputs() -> None:
    z: Tensor = torch.tensor([[[1e4], [-1e4], [0.0]]])
    assert predictions(z, "softmax").flatten().tolist() == [1, 0, 0]
    assert predictions(z, "sigmoid").flatten().tolist() == [1, 0, 0.5]
    assert predictions(z, "identity").equal(z)


@pytest.mark.covers("A11", "I12")
@pytest.mark.parametrize("hidden", list(ACTIVATIONS))
def test_what_the_tables_choose_by_themselves_fits(hidden: str) -> None:
    for task in TASKS:
        assert found(hidden=hidden, initialiser="auto", task=task) == []
        assert found(hidden=hidden, initialiser=initialiser_for(hidden), loss=loss_for(task), task=task) == []


@pytest.mark.covers("A11")
def test_every_loss_fits_its_tasks_and_no_other() -> None:
    for name, loss in LOSSES.items():
        for task in TASKS:
            fits = task in loss.tasks
            assert found(loss=name, task=task) == ([] if fits else [("loss-output-mismatch", "refuse")]), (name, task)


@pytest.mark.covers("A11", "L7")
def test_squared_error_on_a_sigmoid_is_refused_with_the_reason() -> None:
    assert found(output="sigmoid", loss="mse", task="binary") == [("loss-output-mismatch", "refuse")]
    assert message(output="sigmoid", loss="mse", task="binary") == (
        "The loss mse is for regression, not binary: its slope fades where a sigmoid is saturated, however wrong; "
        "use binary_cross_entropy on the output before the sigmoid."
    )
    assert message(loss="mse", task="binary") == "The loss mse is for regression, not binary; use binary_cross_entropy."


@pytest.mark.covers("A10", "A11")
@pytest.mark.parametrize(
    ("output", "loss", "task"),
    [
        ("softmax", "cross_entropy", "multiclass"),
        ("softmax", "focal", "multiclass"),
        ("sigmoid", "binary_cross_entropy", "binary"),
        ("sigmoid", "binary_focal", "multilabel"),
    ],
)
def test_softmax_or_sigmoid_before_a_loss_that_applies_it_is_refused(output: str, loss: str, task: str) -> None:
    assert found(output=output, loss=loss, task=task) == [("double-softmax", "refuse")]
    assert message(output=output, loss=loss, task=task) == (
        f"The loss {loss} applies {output} itself, and the network has one too: leave it out of the network."
    )


@pytest.mark.covers("A10", "A11")
def test_log_softmax_before_cross_entropy_changes_nothing_and_is_let_pass() -> None:
    z = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([[0, 1, 2, 3, 0]])
    once, again = (LOSSES["cross_entropy"].function(t, y, {}, None) for t in (z, torch.log_softmax(z, dim=1)))
    torch.testing.assert_close(once, again, rtol=1e-13, atol=1e-13)
    assert found(output="log_softmax") == []
    assert found(output="log_softmax", task="binary") == [("loss-output-mismatch", "refuse")]


@pytest.mark.covers("A11")
def test_an_output_that_holds_logits_back_is_refused() -> None:
    for output in ("relu", "tanh", "softplus", "sigmoid"):
        assert found(output=output, loss="cross_entropy") == [("loss-output-mismatch", "refuse")]
    assert message(output="relu") == (
        "The loss cross_entropy wants any number as an output, not those of relu: leave relu out of the network."
    )


@pytest.mark.covers("A11")
@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.output == "identity"])
def test_an_output_that_cannot_reach_every_number_is_a_fault_of_a_regression(loss: str) -> None:
    held = [name for name in ACTIVATIONS if found(output=name, loss=loss, task="regression")]
    free = [name for name in ACTIVATIONS if name not in held]
    assert free == ["identity", "leaky_relu", "prelu", "maxout"]
    assert found(output="relu", loss=loss, task="regression") == [("loss-output-mismatch", "warn")]
    assert message(output="relu", loss=loss, task="regression") == (
        f"A regression ({loss}) wants any number as an output, but relu gives only 0 to inf: use identity."
    )
    assert found(output="softmax", loss=loss, task="regression") == [("loss-output-mismatch", "refuse")]
    assert message(output="softmax", loss=loss, task="regression") == (
        f"A regression ({loss}) wants any number as an output, but softmax gives numbers that depend on each other: "
        "use identity."
    )


@pytest.mark.covers("A11", "I12")
@pytest.mark.parametrize(
    ("hidden", "initialiser", "kind"),
    [
        ("tanh", "he_normal", "growing-activations"),
        ("sigmoid", "he_uniform", "growing-activations"),
        ("selu", "he_normal", "growing-activations"),
        ("maxout", "he_normal", "growing-activations"),
        ("relu", "glorot_uniform", "shrinking-activations"),
        ("silu", "lecun_normal", "shrinking-activations"),
        ("relu", "orthogonal", "shrinking-activations"),
        ("tanh", "fan_in_uniform", "shrinking-activations"),
        ("relu", "zeros", "symmetric-units"),
        ("tanh", "constant", "symmetric-units"),
        ("tanh", "lecun_normal", None),
        ("selu", "glorot_normal", None),
        ("relu", "normal", None),
        ("gelu", "lsuv", None),
    ],
)
def test_first_weights_that_do_not_keep_the_variance_are_a_warning(
    hidden: str, initialiser: str, kind: str | None
) -> None:
    assert found(hidden=hidden, initialiser=initialiser) == ([] if kind is None else [(kind, "warn")])


@pytest.mark.covers("A11", "I4")
def test_the_way_out_of_ill_matched_first_weights_is_another_scheme_or_a_gain() -> None:
    assert message(initialiser="glorot_normal") == (
        "Under relu signals fade with depth when first weights are drawn by glorot_normal: use he_normal, "
        "or a gain of 1.41."
    )
    assert message(hidden="tanh").endswith("grow with depth when first weights are drawn by he_normal: "
                                           "use glorot_uniform, or a gain of 0.707.")  # fmt: skip
    assert found(initialiser="glorot_normal", gain=1.41) == []
    assert message(initialiser="zeros") == (
        "With first weights that are all equal (zeros) units stay copies of each other: use he_normal."
    )


@pytest.mark.covers("A11")
def test_the_variances_that_are_judged_are_those_of_the_schemes() -> None:
    fans = {"glorot": 1.0, "lecun": 1.0, "orthogonal": 1.0, "he": 2.0, "fan": 1 / 3}
    judged = [name for name in INITIALISERS if name.split("_")[0] in fans]
    assert len(judged) >= 8
    for name in judged:
        weight = torch.zeros(256, 256)
        INITIALISERS[name].fill(weight, gain=1.0, generator=torch.Generator().manual_seed(0))
        assert 256 * weight.var().item() == pytest.approx(fans[name.split("_")[0]], rel=0.03), name


@pytest.mark.covers("A11")
def test_what_is_refused_comes_first_and_every_kind_is_in_the_vocabulary() -> None:
    both = found(hidden="tanh", output="softmax")
    assert both == [("double-softmax", "refuse"), ("growing-activations", "warn")]
    every = {
        m.kind
        for output in (*ACTIVATIONS, *SHARES)
        for loss in LOSSES
        for task in TASKS
        for initialiser in INITIALISERS
        for m in check_pairing("relu", initialiser, output, loss, task)
    }
    assert len(every) >= 4 and every <= set(KINDS)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"hidden": "rely"}, r"^Unknown activation 'rely'\. Did you mean 'relu'\?"),
        ({"initialiser": "he_norm"}, r"^Unknown initialiser 'he_norm'\. Did you mean 'he_normal'\?"),
        ({"output": "sofmax"}, r"^Unknown output 'sofmax'\. Did you mean 'softmax'\? Known: identity, "),
        ({"loss": "crossentropy"}, r"^Unknown loss 'crossentropy'\. Did you mean 'cross_entropy'\?"),
        ({"task": "multi-class"}, r"^Unknown task 'multi-class'\. Did you mean 'multiclass'\?"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(choice: dict[str, str], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        check_pairing(**{**SOUND, **choice})
