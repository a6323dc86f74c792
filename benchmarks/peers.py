"""Who takes part in `benchmarks.throughput`: the loops, and the libraries a person would use, by name.

A library is imported by its own process alone, while its job is prepared: some take seconds, one reads its settings.
"""

import importlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.loops import (
    BATCHES,
    DECAY,
    RATE,
    Burst,
    Job,
    by_epochs,
    lean,
    lean_graph,
    loader,
    made,
    network,
    ours,
    product,
)


def scikit_learn(job: Job) -> Burst:
    """MLPClassifier with its Adam, an epoch at a time."""
    x, y = (part.numpy() for part in made(job))
    case = job.case
    size: Any = case.batch  # its stub knows "auto" alone
    model = MLPClassifier((case.units, case.units), batch_size=size, learning_rate_init=RATE, alpha=DECAY)
    return by_epochs(lambda: model.partial_fit(x, y, classes=list(range(case.outputs))))


def skorch(job: Job) -> Burst:
    """NeuralNetClassifier without validation, callbacks and output."""
    x, y = (part.numpy() for part in made(job))
    model = importlib.import_module("skorch").NeuralNetClassifier(
        network(job.case),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=DECAY,
        lr=RATE,
        batch_size=job.case.batch,
        iterator_train__shuffle=True,
        max_epochs=1,
        train_split=None,
        callbacks="disable",
        verbose=0,
    )
    model.initialize()
    return by_epochs(lambda: model.partial_fit(x, y))


def keras(job: Job) -> Burst:
    """`fit` on the torch backend."""
    os.environ |= {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": job.device}  # read while it is imported
    library = importlib.import_module("keras")
    x, y = (part.numpy() for part in made(job))
    case, layers = job.case, library.layers
    hidden = [layers.Dense(case.units, activation="relu") for _ in range(2)]
    model = library.Sequential([library.Input((case.inputs,)), *hidden, layers.Dense(case.outputs)])
    optimizer = library.optimizers.AdamW(RATE, weight_decay=DECAY)
    model.compile(optimizer, loss=library.losses.SparseCategoricalCrossentropy(from_logits=True))
    return by_epochs(lambda: model.fit(x, y, batch_size=case.batch, epochs=1, verbose=0))


def lightning(job: Job) -> Burst:
    """A Trainer without logger, checkpoints and progress bar; timed from its first batch to its last."""
    library = importlib.import_module("lightning")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    batches = DataLoader(TensorDataset(*made(job)), batch_size=job.case.batch, shuffle=True)
    times: list[float] = []

    class Lit(library.LightningModule):
        """The network with its loss and optimizer."""

        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss = network(job.case), nn.CrossEntropyLoss()

        def training_step(self, batch: Any, index: int) -> Tensor:
            x, y = batch
            return self.loss(self.net(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), RATE, weight_decay=DECAY)

        def on_train_start(self) -> None:
            times.append(time.perf_counter())

        def on_train_end(self) -> None:
            times.append(time.perf_counter())

    module = Lit()
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)

    def burst(steps: int) -> tuple[int, float]:
        epochs = -(-steps // BATCHES)
        library.Trainer(max_epochs=epochs, accelerator="cpu", devices=1, **off).fit(module, batches)
        return epochs * BATCHES, times[-1] - times[-2]

    return burst


@dataclass(frozen=True)
class Way:
    """One way to train: its builder, and the package that it needs beside trainwell's own."""

    build: Callable[[Job], Burst]
    package: str | None = None
    refused: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """Why it can't take part here; None: it can."""
        if self.package is None:
            return None
        try:
            found = version(self.package)
        except PackageNotFoundError:
            return "not installed"
        return f"version {found} is refused" if found in self.refused else None

    def versions(self) -> dict[str, str]:
        """The version of its package."""
        return {} if self.package is None or self.missing() else {"version": version(self.package)}


WAYS: dict[str, Way] = {
    "ours": Way(ours),
    "lean": Way(lean),
    "lean_graph": Way(lean_graph),
    "DataLoader loop": Way(loader),
    "scikit-learn": Way(scikit_learn, "scikit-learn"),
    "skorch": Way(skorch, "skorch"),
    "Keras": Way(keras, "keras"),
    "Lightning": Way(lightning, "lightning", ("2.6.2", "2.6.3")),
    "float32": Way(product(torch.float32)),
    "bfloat16": Way(product(torch.bfloat16)),
}
