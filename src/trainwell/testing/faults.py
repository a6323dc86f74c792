"""Trainings with a planted fault, and healthy ones: what every rule must find, and where all must be silent.

Contract: a fault is a function from the name of a data set to settings, in several architectures, under its kind in the
table `FAULTS`. `python -m trainwell.testing.verdicts` tells how well the rules do on them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trainwell.base import Registry
from trainwell.base.streams import stream
from trainwell.testing.settings import Setting

Edits = dict[str, Any]
Planter = Callable[[str], Iterator[Setting]]  # data set → settings
REGRESSION = frozenset({"diabetes", "friedman", "friedman3", "sparse"})


def network(depth: int, activation: str, width: int = 32, norm: str = "none") -> Edits:
    """The edits of a structure."""
    return {
        "network.depth": depth, "network.activation": activation, "network.width": width, "network.norm": norm,
    }  # fmt: skip


def optimizer(name: str, rate: float) -> Edits:
    """The edits of an update rule."""
    return {"optimizer.name": name, "optimizer.learning_rate": rate}


def vanishing_gradient(data: str) -> Iterator[Setting]:
    """Deep sigmoid stacks, and deep stacks whose first weights are too small."""
    for depth in (7, 9):
        yield Setting(f"sigmoid × {depth}", data, network(depth, "sigmoid") | optimizer("sgd", 0.1))
    yield Setting("sigmoid × 8, adam", data, network(8, "sigmoid") | optimizer("adam", 1e-3))
    yield Setting("relu × 8, gain 0.2", data, network(8, "relu") | optimizer("sgd", 0.05) | {"initialiser.gain": 0.2})
    yield Setting(
        "tanh × 10, gain 0.3", data, network(10, "tanh") | optimizer("momentum", 0.01) | {"initialiser.gain": 0.3}
    )


def exploding_gradient(data: str) -> Iterator[Setting]:
    """Deep stacks whose first weights are too large."""
    for activation, depth, gain in (("relu", 6, 3.0), ("leaky_relu", 8, 2.5), ("gelu", 7, 3.0), ("relu", 10, 2.0)):
        edits = network(depth, activation) | optimizer("adam", 1e-3) | {"initialiser.gain": gain}
        yield Setting(f"{activation} × {depth}, gain {gain}", data, edits)
    edits = network(6, "relu") | optimizer("sgd", 0.01) | {"initialiser.gain": 3.0}
    yield Setting("relu × 6, gain 3, sgd", data, edits)


def non_finite(data: str) -> Iterator[Setting]:
    """Rates that no network survives."""
    for activation in ("relu", "silu", "leaky_relu"):
        yield Setting(f"{activation}, rate 1e6", data, network(3, activation) | optimizer("sgd", 1e6))
    yield Setting("elu, momentum, rate 100", data, network(2, "elu") | optimizer("momentum", 1e4))
    yield Setting("relu, inputs × 1e20", data, network(2, "relu") | optimizer("sgd", 0.1), input_factor=1e20)


def dead_units(data: str) -> Iterator[Setting]:
    """Biases so low that no unit ever fires."""
    for depth, bias, name, rate in (
        (1, -10.0, "adam", 1e-3),
        (2, -10.0, "sgd", 0.1),
        (3, -6.0, "adam", 1e-3),
        (4, -3.0, "momentum", 0.01),
    ):
        yield Setting(
            f"relu × {depth}, bias {bias}", data, network(depth, "relu") | optimizer(name, rate), hidden_bias=bias
        )
    yield Setting(
        "relu, batch 8, bias -5",
        data,
        network(2, "relu") | optimizer("sgd", 0.05) | {"training.batch_size": 8},
        hidden_bias=-5.0,
    )


def saturated_units(data: str) -> Iterator[Setting]:
    """First weights so large that sigmoid and tanh sit at their bounds."""
    for activation, depth, gain, name, rate in (
        ("tanh", 2, 30.0, "sgd", 0.05), ("tanh", 3, 20.0, "adam", 1e-3), ("sigmoid", 2, 60.0, "sgd", 0.1),
        ("sigmoid", 3, 40.0, "adam", 1e-3), ("tanh", 1, 50.0, "momentum", 0.01),
    ):  # fmt: skip
        edits = network(depth, activation) | optimizer(name, rate) | {"initialiser.gain": gain}
        yield Setting(f"{activation} × {depth}, gain {gain}", data, edits, output_gain=1 / gain)


def learning_rate_too_small(data: str) -> Iterator[Setting]:
    """Rates with which nothing moves."""
    for depth, activation, name, rate in (
        (2, "relu", "adam", 1e-6), (2, "tanh", "sgd", 1e-5), (3, "relu", "momentum", 1e-6),
        (1, "sigmoid", "adamw", 1e-6), (4, "gelu", "sgd", 1e-5),
    ):  # fmt: skip
        yield Setting(
            f"{activation} × {depth}, {name} {rate:g}", data, network(depth, activation) | optimizer(name, rate)
        )


def learning_rate_too_large(data: str) -> Iterator[Setting]:
    """Rates with which the loss leaps, stays high or grows."""
    for depth, activation, name, rate in (
        (2, "relu", "sgd", 10.0), (2, "tanh", "sgd", 10.0), (3, "relu", "adam", 1.0), (2, "gelu", "momentum", 3.0),
        (2, "sigmoid", "adam", 3.0), (3, "tanh", "adamw", 1.0),
    ):  # fmt: skip
        yield Setting(
            f"{activation} × {depth}, {name} {rate:g}", data, network(depth, activation) | optimizer(name, rate)
        )


def overfitting(data: str) -> Iterator[Setting]:
    """Large networks, few rows with some wrong targets, many epochs, and nobody stops."""
    long = {"training.epochs": 250, "training.patience": 1000, "training.batch_size": 16}
    for depth, activation, rows, rate in (
        (2, "relu", 40, 3e-3),
        (3, "gelu", 50, 3e-3),
        (2, "tanh", 40, 1e-2),
        (4, "elu", 60, 3e-3),
    ):
        edits = network(depth, activation, 128) | optimizer("adam", rate) | long
        yield Setting(
            f"{activation} × {depth}, {rows} rows", data, edits, train_rows=rows, label_noise=0.3, keep_best=False
        )


def initial_loss_off(data: str) -> Iterator[Setting]:
    """First output weights much too large."""
    for depth, activation, gain, norm in (
        (2, "relu", 100.0, "none"),
        (3, "tanh", 100.0, "none"),
        (1, "gelu", 100.0, "none"),
        (2, "relu", 60.0, "batch"),
    ):
        edits = network(depth, activation, norm=norm) | optimizer("adam", 1e-3)
        yield Setting(f"{activation} × {depth}, output gain {gain}", data, edits, output_gain=gain)


def unscaled_inputs(data: str) -> Iterator[Setting]:
    """Inputs in the hundreds, far from 0, or tiny."""
    for factor, shift, name, rate in (
        (1000.0, 0.0, "adam", 1e-3),
        (100.0, 0.0, "sgd", 0.01),
        (60.0, 120.0, "adam", 1e-3),
        (1.0, 200.0, "adamw", 1e-3),
    ):
        yield Setting(
            f"x × {factor:g} + {shift:g}, {name}",
            data,
            network(2, "relu") | optimizer(name, rate),
            input_factor=factor,
            input_shift=shift,
        )
    yield Setting("x × 1e-4", data, network(2, "tanh") | optimizer("sgd", 0.05), input_factor=1e-4)


FAULTS: Registry[Planter] = Registry(
    "planted fault",
    {
        "vanishing-gradient": vanishing_gradient,
        "exploding-gradient": exploding_gradient,
        "non-finite": non_finite,
        "dead-units": dead_units,
        "saturated-units": saturated_units,
        "learning-rate-too-small": learning_rate_too_small,
        "learning-rate-too-large": learning_rate_too_large,
        "overfitting": overfitting,
        "initial-loss-off": initial_loss_off,
        "unscaled-inputs": unscaled_inputs,
    },
)


ALSO: dict[str, tuple[str, ...]] = {
    "vanishing-gradient": ("dead-units", "saturated-units"),
    "exploding-gradient": ("initial-loss-off", "learning-rate-too-large", "non-finite", "overfitting"),
    "non-finite": ("learning-rate-too-large", "exploding-gradient", "unscaled-inputs", "initial-loss-off"),
    "dead-units": ("vanishing-gradient",),
    "saturated-units": ("vanishing-gradient",),
    "learning-rate-too-large": (
        "dead-units", "saturated-units", "exploding-gradient", "vanishing-gradient", "non-finite",
    ),
    "initial-loss-off": ("exploding-gradient",),
    "unscaled-inputs": (
        "initial-loss-off", "dead-units", "saturated-units", "vanishing-gradient", "exploding-gradient",
        "learning-rate-too-large", "non-finite",
    ),
}  # fmt: skip
"""By planted kind: what is true of it as well, as its cause or consequence, and thus no false alarm."""


def planted(data_sets: Sequence[str]) -> list[Setting]:
    """All faults on these data sets, each marked with its kind."""
    return [
        replace(setting, planted=kind, also=ALSO.get(kind, ()))
        for kind, plant in FAULTS.items()
        for data in data_sets
        for setting in plant(data)
    ]


RATES = {"sgd": (0.02, 0.3), "momentum": (0.003, 0.05), "adam": (5e-4, 1e-2), "adamw": (5e-4, 1e-2)}
"""Sane rates for classes and scaled inputs, a decade or a little more; a third for squared errors, which bend more."""


def healthy(count: int, seed: int, data_sets: Sequence[str]) -> list[Setting]:
    """Recipes as a practitioner would choose them, no two alike."""
    return [healthy_setting(stream("healthy", seed, i), data_sets[i % len(data_sets)]) for i in range(count)]


def healthy_setting(draw: np.random.Generator, data: str) -> Setting:
    """One recipe."""
    pick = lambda *choices: choices[draw.integers(len(choices))]
    activation = pick("relu", "relu", "tanh", "gelu", "silu", "leaky_relu", "elu", "sigmoid", "selu", "mish")
    name = pick("sgd", "momentum", "adam", "adamw")
    low, high = np.array(RATES[name]) / (3 if data in REGRESSION else 1)
    rate = float(np.exp(draw.uniform(np.log(low), np.log(high))))
    norm = "none" if activation == "selu" else pick("none", "none", "batch", "layer")
    depth = int(draw.integers(1, 3 if activation == "sigmoid" and norm == "none" else 5))
    edits = network(depth, activation, pick(16, 32, 64, 128), norm) | optimizer(name, rate)
    edits |= {
        "network.residual": bool(draw.random() < 0.2),
        "initialiser.name": pick("auto", "auto", "auto", "he_uniform", "glorot_normal", "lecun_uniform"),
        "initialiser.gain": pick(1.0, 1.0, 1.0, 0.7),
        "loss.label_smoothing": 0.0 if data in REGRESSION else pick(0.0, 0.0, 0.05, 0.1),
        "optimizer.weight_decay": pick(0.0, 0.0, 1e-4, 1e-2 if name == "adamw" else 1e-3),
        "schedule.name": pick("constant", "cosine", "one-cycle"),
        "schedule.warmup": pick(0.0, 0.0, 0.1),
        "regularisation.dropout": pick(0.0, 0.0, 0.1, 0.3),
        "regularisation.clip_norm": pick(None, None, 1.0, 5.0),
        "training.batch_size": pick(16, 32, 64, 128) if norm == "batch" else pick(8, 16, 32, 64, 128),
    }
    edits["training.epochs"] = int(np.clip(600 * edits["training.batch_size"] // 400, 20, 120))
    return Setting(
        f"healthy {name} {rate:.2g} {activation} × {depth}", data, edits, keep_best=bool(draw.random() < 0.7)
    )
