"""Which numbers to multiply in: bfloat16 where this processor is faster with it, and the network wide enough to gain.

precision_for(blueprint, torch.device("cpu"))     # ("bfloat16", "products of half the bits are faster here, …")

Products are measured, but the choice hangs on sizes and on a ratio that is 1 or less on processors without them
and 2 to 6 on those that have them: it is the same in every run on a machine.
"""

import time
from functools import cache

import torch

from trainwell.networks.structure import Structure

WIDE = 80_000  # weights of a member from which products dominate a step (`benchmarks.precision`, docs/log.md)
FASTER = 1.5  # times as fast that products must be: between processors that have them and those that imitate them
SIZE, REPEATS = 512, 25
PRECISIONS = ("float32", "bfloat16")


def precision_for(structure: Structure, device: torch.device) -> tuple[str, str]:
    """The precision of the products in training, and why."""
    if structure.layout.size < WIDE:
        return "float32", f"fewer than {WIDE:,} weights: half the bits would not be faster"
    if speed_of_halves(device.type) < FASTER:
        return "float32", "half the bits are not faster on this processor"
    return "bfloat16", f"half the bits are faster on this processor, from {WIDE:,} weights on"


@cache
def speed_of_halves(device: str) -> float:
    """How many times as fast as in float32 square products are in bfloat16: the best of a few each, in turn."""
    best = {}
    matrices = {name: torch.ones(SIZE, SIZE, device=device, dtype=getattr(torch, name)) for name in PRECISIONS}
    for _ in range(1 + REPEATS):  # the first one sets up what the products need
        for name, matrix in matrices.items():
            best[name] = min(best.get(name, float("inf")), _seconds(matrix))
    return best["float32"] / best["bfloat16"]


def _seconds(matrix: torch.Tensor) -> float:
    began = time.perf_counter()
    torch.mm(matrix, matrix)
    if matrix.is_cuda:
        torch.cuda.synchronize(matrix.device)
    return time.perf_counter() - began
