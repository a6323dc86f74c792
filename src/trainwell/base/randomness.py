"""Code of the user's runs beside a training: the random numbers that it draws are not missed afterwards."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from trainwell.base.streams import stream_seed


def gpus() -> list[int]:
    """The GPUs in use, whose generators are to be put back."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_available() and torch.cuda.is_initialized() else []


@contextmanager
def own_randomness(*key: int | str) -> Iterator[None]:
    """Random numbers of torch, numpy and Python from this stream inside; outside all go on as if nothing had been."""
    seed = stream_seed(*key)
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=gpus()):
        _seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def _seed(seed: int) -> None:
    """As `torch.manual_seed`, which without an accelerator takes 0.4 ms to note that there is none to be seeded."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
