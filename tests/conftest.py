"""What all tests share: fixed seeds, one thread (results and times then depend on nothing else that runs)."""

import os
import random

import numpy as np
import pytest
import torch

torch.set_num_threads(1)
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else a pool of processes is started for two small kernels


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Global generators start anew for each test."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
