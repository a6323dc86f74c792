"""Conformance suite of the augmentations: what happens to an image follows from its member's strength and its numbers.

    for name in AUGMENTATIONS:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.ingredients.augmentations import AUGMENTATIONS

MEMBERS, SAMPLES, CHANNELS, HEIGHT, WIDTH = 4, 30, 2, 7, 5


def scene(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Images (K, B, C, H, W), strengths (K, 1) that differ and act, and uniform numbers (K, B, draws)."""
    draw = torch.Generator().manual_seed(5)
    entry = AUGMENTATIONS[name]
    x = torch.randn(MEMBERS, SAMPLES, CHANNELS, HEIGHT, WIDTH, generator=draw)
    u = torch.rand(MEMBERS, SAMPLES, entry.draws, generator=draw)
    strengths = [1.0, 2.0, 3.0, 4.0] if entry.hyper.whole else [0.2, 0.4, 0.6, 0.8]
    return x, torch.tensor(strengths).unsqueeze(1), u


def alone_as_in_company(name: str) -> None:
    """A member alone has, bit for bit, the images that it has among others, whose values, even NaN, do not matter."""
    x, strength, u = scene(name)
    apply = AUGMENTATIONS[name].apply
    for k in range(MEMBERS):
        mine, rows = apply(x, strength, u)[k], slice(k, k + 1)
        assert torch.equal(apply(x[rows], strength[rows], u[rows])[0], mine), f"{name}: a member alone has other images"
        others = torch.full_like(x, float("nan"))
        others[k] = x[k]
        assert torch.equal(apply(others, strength, u)[k], mine), f"{name}: others' images reach a member"
        other = torch.where(torch.arange(MEMBERS).unsqueeze(1) == k, strength, 0.0)
        assert torch.equal(apply(x, other, u)[k], mine), f"{name}: others' strengths reach a member"


def shared_images_are_seen_by_all(name: str) -> None:
    """Images and numbers that members share (1, …) give what copies for each member would give."""
    x, strength, u = scene(name)
    shared = AUGMENTATIONS[name].apply(x[:1], strength, u[:1])
    copied = AUGMENTATIONS[name].apply(x[:1].expand_as(x), strength, u[:1].expand_as(u))
    assert shared.shape == x.shape and torch.equal(shared, copied), f"{name}: shared images become others"


def off_changes_nothing(name: str) -> None:
    """A member of strength 0 keeps its images bit for bit; others do not."""
    x, strength, u = scene(name)
    strength[2] = AUGMENTATIONS[name].off
    after = AUGMENTATIONS[name].apply(x, strength, u)
    assert torch.equal(after[2], x[2]), f"{name}: 'not used' changes images"
    assert not torch.equal(after[1], x[1]), f"{name}: it changes nothing"


def the_strength_is_each_members_own(name: str) -> None:
    """Equal members with different strengths see different images."""
    x, strength, u = scene(name)
    after = AUGMENTATIONS[name].apply(x[:1], strength, u[:1])
    assert not torch.equal(after[0], after[-1]), f"{name}: members with different strengths are treated alike"


def samples_do_not_mix(name: str) -> None:
    """An image becomes what it becomes alone."""
    x, strength, u = scene(name)
    after = AUGMENTATIONS[name].apply(x, strength, u)
    for b in range(SAMPLES):
        part = slice(b, b + 1)
        alone = AUGMENTATIONS[name].apply(x[:, part], strength, u[:, part])
        assert torch.equal(alone, after[:, part]), f"{name}: an image depends on its batch"


def it_is_documented(name: str) -> None:
    """The docstring begins with the formula, names the row of the requirements and the source."""
    first, _, rest = AUGMENTATIONS[name].doc.partition("\n")
    assert re.search(r"←.*\(row R6; .+ \d{4}\)\.$", first), f"{name}: '{first}' is not a formula with its source"
    assert len(rest.strip()) > 40, f"{name}: nothing says when to use it"


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        "alone-as-in-company": alone_as_in_company,
        "shared-images-are-seen-by-all": shared_images_are_seen_by_all,
        "off-changes-nothing": off_changes_nothing,
        "the-strength-is-each-members-own": the_strength_is_each_members_own,
        "samples-do-not-mix": samples_do_not_mix,
        "documented": it_is_documented,
    },
)
