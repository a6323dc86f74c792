"""Peers that watch a PyTorch loop, for `benchmarks.overhead`; each is imported only where it is measured.

cockpit-for-pytorch: its cheapest configuration (`economy`), all quantities at every step, as it is set by default; it
needs modules that BackPACK knows. torchmortem: as its page shows it. Their pages and plots are not in the time.
"""

import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from benchmarks.overhead_programs import A_TURN, DIFFERENT, RATE, Job, in_own_loop, made


class Dissected:
    """`torchmortem.Autopsy` with the calls of a watch."""

    def __init__(self, model: nn.Module, optimizer: Any) -> None:
        self._autopsy = importlib.import_module("torchmortem").Autopsy(model, optimizer=optimizer)

    def __enter__(self) -> "Dissected":
        self._autopsy.attach()
        return self

    def __exit__(self, *error: object) -> None:
        self._autopsy.detach()

    def step(self, loss: torch.Tensor, **batch: object) -> None:
        """After an update."""
        self._autopsy.step(loss=loss.item())


def under_torchmortem(job: Job, steps: int) -> Iterator[None]:
    """The loop with an autopsy around it."""
    logging.getLogger("torchmortem").setLevel(logging.CRITICAL)
    return in_own_loop(job, Dissected, steps)


def under_cockpit(job: Job, steps: int) -> Iterator[None]:
    """The loop as cockpit's page shows it: module and losses extended, `backward` within its context."""
    warnings.simplefilter("ignore")
    extend = importlib.import_module("backpack").extend
    cockpit = importlib.import_module("cockpit")
    economy = importlib.import_module("cockpit.utils.configuration").configuration("economy")
    torch.manual_seed(0)
    model, batches = extend(job.make()), made(job)
    loss_fn, each = extend(nn.CrossEntropyLoss()), extend(nn.CrossEntropyLoss(reduction="none"))
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    yield
    watching = cockpit.Cockpit(model.parameters(), quantities=economy)
    for step in range(steps):
        x, y = batches[step % DIFFERENT]
        optimizer.zero_grad()
        out = model(x)
        loss, losses = loss_fn(out, y), each(out, y)
        told = {"batch_size": len(x), "individual_losses": losses, "loss": loss, "optimizer": optimizer}
        with watching(step, info=told):
            loss.backward(create_graph=watching.create_graph(step))
        optimizer.step()
        if (step + 1) % A_TURN == 0:
            yield


PEERS: dict[str, Callable[[Job, int], Iterator[None]]] = {
    "cockpit-for-pytorch": under_cockpit,
    "torchmortem": under_torchmortem,
}


def lacking(peer: str) -> str:
    """Why it can't be asked at all, or ""."""
    try:
        version(peer)
        importlib.import_module({"cockpit-for-pytorch": "cockpit"}.get(peer, peer))
    except Exception as error:  # whatever its import may raise under this torch
        return f"{type(error).__name__}: {error}"
    return ""
