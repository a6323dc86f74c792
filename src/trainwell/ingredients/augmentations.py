"""Images changed a little in each step, so that the network sees none of them twice.

Contract: an `Augmentation` takes images (K or 1, B, C, H, W), its strength (K, 1) and uniform numbers in [0, 1),
(K or 1, B, `draws`); gives images (K, B, C, H, W). All random numbers come from outside: what happens follows from
them alone. Strength 0 leaves a member's images as they are, bit for bit. In training only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.base import Hyper, Registry


@dataclass(frozen=True)
class Augmentation:
    """One change of images: its strength and range, how many uniform numbers an image needs, and the change."""

    hyper: Hyper
    draws: int
    apply: Callable[[Tensor, Tensor, Tensor], Tensor]
    doc: str
    off: float = 0.0


def flip(x: Tensor, p: Tensor, uniform: Tensor) -> Tensor:
    """x[…, j] ← x[…, W − 1 − j] with probability p: left and right swapped (row R6; Krizhevsky 2012).

    p = 0.5 where a mirror image means the same: not for digits or text.
    """
    swapped = uniform[..., 0] < p  # (K, B)
    return torch.where(swapped[..., None, None, None], x.flip(-1), x)


def shift(x: Tensor, most: Tensor, uniform: Tensor) -> Tensor:
    """x[i, j] ← x[i + a, j + b], 0 outside, a and b whole and uniform in −most … most (row R6; Krizhevsky 2012).

    Padding and cropping in one. 4 pixels are usual for images of 32 × 32 (He 2016).
    """
    height, width = x.shape[-2:]
    offsets = torch.floor(uniform * (2 * most.unsqueeze(2) + 1)) - most.unsqueeze(2)  # (K, B, 2)
    offsets = offsets.long()
    i = torch.arange(height, device=x.device) + offsets[..., 0, None]  # (K, B, H): the row each row is taken from
    j = torch.arange(width, device=x.device) + offsets[..., 1, None]
    x = x.expand(len(offsets), *x.shape[1:])
    rows = i.clamp(0, height - 1)[:, :, None, :, None].expand_as(x)
    columns = j.clamp(0, width - 1)[:, :, None, None, :].expand_as(x)
    inside = _within(i, 0, height)[:, :, None, :, None] & _within(j, 0, width)[:, :, None, None, :]
    return torch.where(inside, x.gather(3, rows).gather(4, columns), 0.0)


def cutout(x: Tensor, side: Tensor, uniform: Tensor) -> Tensor:
    """x[i, j] ← 0 for 0 ≤ i − a, j − b < side: a square around a uniform pixel (row R6; DeVries & Taylor 2017).

    The pixel is (a, b) + ⌊side/2⌋; what lies outside of the image is lost. Half of the image's side is usual for 10
    classes, a quarter for 100.
    """
    size = torch.tensor(x.shape[-2:], dtype=uniform.dtype, device=x.device)
    first = torch.floor(uniform * size) - torch.floor(side / 2).unsqueeze(2)  # (K, B, 2)
    end = first + side.unsqueeze(2)
    i, j = (torch.arange(n, device=x.device) for n in x.shape[-2:])
    rows = _within(i, first[..., 0, None], end[..., 0, None])[:, :, None, :, None]
    columns = _within(j, first[..., 1, None], end[..., 1, None])[:, :, None, None, :]
    return torch.where(rows & columns, 0.0, x)


def _within(index: Tensor, first: Tensor | int, end: Tensor | int) -> Tensor:
    return (index >= first) & (index < end)


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    {
        "flip": Augmentation(Hyper("probability; 0: off", least=0, most=1), 1, flip, flip.__doc__ or ""),
        "shift": Augmentation(
            Hyper("largest shift in pixels; 0: off", least=0, whole=True), 2, shift, shift.__doc__ or ""
        ),
        "cutout": Augmentation(
            Hyper("side of the square in pixels; 0: off", least=0, whole=True), 2, cutout, cutout.__doc__ or ""
        ),
    },
)
