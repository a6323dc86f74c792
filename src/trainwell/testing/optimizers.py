"""Conformance suite of update rules: a member's steps are its own, and all that a rule remembers is in its state.

    for name in OPTIMIZERS:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.base.layout import Columns, Layout, Slot
from trainwell.base.streams import stream
from trainwell.ingredients.optimizers import OPTIMIZERS
from trainwell.ingredients.update_rule import State

LAYOUT = Layout(
    [
        Slot("hidden.0.weight", (6, 3), "weight"),
        Slot("hidden.0.bias", (6, 1)),
        Slot("hidden.0.scale", (6, 1), "one"),
        Slot("hidden.1.weight", (4, 6), "weight"),
        Slot("hidden.1.bias", (4, 1)),
        Slot("output.weight", (2, 4), "weight"),
        Slot("output.bias", (2, 1)),
    ]
)
FEW, STEPS = 7, 25
TOLERANCE = 1e-12  # rules that look at whole tensors: sums depend on how many rows there are
OWN = {"momentum": (0.5, 0.95), "beta2": (0.8, 0.999), "rho": (0.5, 0.99), "momentum_decay": (0.0, 0.1)}


@dataclass
class Descent:
    """Members on their way down a valley: weights and state of the moment."""

    name: str
    θ: Tensor
    h: Columns
    s: State
    t: int = 0

    def walk(self, steps: int = STEPS, noise: Tensor | None = None) -> "Descent":
        """Follow θ + noise, the gradient of ½‖θ‖² in a wind, noise (STEPS, K, P)."""
        rule = OPTIMIZERS[self.name]
        for _ in range(steps):
            g = self.θ.clone() if noise is None else self.θ + noise[self.t]
            self.t += 1
            c = rule.columns(self.h, self.s, torch.tensor(float(self.t), dtype=self.θ.dtype))
            rule.update(self.θ, g, self.s, c, LAYOUT)
        return self

    @property
    def shown(self) -> Tensor:
        """The weights to judge by."""
        rule = OPTIMIZERS[self.name]
        return self.θ if rule.shown is None else rule.shown(self.θ, self.s, self.h)


def descent(name: str, who: Sequence[int], *, world: int = 0, dtype: torch.dtype = torch.float64) -> Descent:
    """These members at their first step; each has hyperparameters of its own, also for the place of ε."""
    drawn = [_hypers(name, world, k) for k in who]
    h = {key: torch.tensor([[own[key]] for own in drawn], dtype=dtype) for key in drawn[0]}
    θ = _normal("weights", [(world, k) for k in who], LAYOUT.size, dtype)
    return Descent(name, θ, h, OPTIMIZERS[name].start(θ))


def winds(who: Sequence[int], *, world: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """The noise of these members' gradients (STEPS, K, P)."""
    return torch.stack([_normal("winds", [(world, k, t) for k in who], LAYOUT.size, dtype) for t in range(STEPS)])


def _hypers(name: str, world: int, member: int) -> dict[str, float]:
    rng = stream("optimizers", world, member)
    ε = 10 ** rng.uniform(-6, -2)
    own = {key: rng.uniform(*OWN[key]) for key in OPTIMIZERS[name].standard if key != "epsilon"}
    decay = 10 ** rng.uniform(-3, -1)
    place = {"epsilon": ε * (member % 2), "epsilon_inside": ε * (1 - member % 2)}
    return {"learning_rate": 10 ** rng.uniform(-3, -1.5), "weight_decay": decay, **place, **own}


def _normal(what: str, keys: Sequence[tuple[int, ...]], size: int, dtype: torch.dtype) -> Tensor:
    return torch.stack([torch.as_tensor(stream(what, *key).normal(size=size), dtype=dtype) for key in keys])


def alone_as_in_company(name: str) -> None:
    """A member alone walks as among others: bit for bit, or where sums over tensors come in, to 1e-12."""
    crowd = descent(name, range(FEW)).walk(noise=winds(range(FEW)))
    for k in range(FEW):
        alone = descent(name, [k]).walk(noise=winds([k]))
        if OPTIMIZERS[name].elementwise:
            _hold(torch.equal(alone.θ[0], crowd.θ[k]), name, f"member {k} alone ends elsewhere than in company")
        else:
            apart = float((alone.θ[0] - crowd.θ[k]).abs().max())
            _hold(apart <= TOLERANCE, name, f"member {k} alone and in company end {apart:.1e} apart")


def others_do_not_matter(name: str) -> None:
    """With other weights, gradients and hyperparameters in all other rows, a member walks the same way, bit for bit."""
    me = FEW // 2
    here, there = (descent(name, range(FEW), world=w, dtype=torch.float32) for w in (0, 1))
    noise, other = (winds(range(FEW), world=w, dtype=torch.float32) for w in (0, 1))
    there.θ[me], other[:, me] = here.θ[me], noise[:, me]
    for key, column in there.h.items():
        column[me] = here.h[key][me]
    there.s = OPTIMIZERS[name].start(there.θ)
    here.walk(noise=noise)
    there.walk(noise=other)
    _hold(torch.equal(here.θ[me], there.θ[me]), name, "a member with other neighbours ends elsewhere")
    _hold(not torch.equal(here.θ[0], there.θ[0]), name, "the neighbours should differ; the law tests nothing")


def a_nan_stays_in_its_row(name: str) -> None:
    """A member whose weights, gradient or rate is NaN leaves the others bit-identical."""
    lost, well = FEW // 3, [k for k in range(FEW) if k != FEW // 3]
    calm = descent(name, range(FEW), dtype=torch.float32).walk(noise=winds(range(FEW), dtype=torch.float32))
    for what in ("weights", "gradient", "learning rate"):
        ill, noise = descent(name, range(FEW), dtype=torch.float32), winds(range(FEW), dtype=torch.float32)
        {"weights": ill.θ, "gradient": noise[3], "learning rate": ill.h["learning_rate"]}[what][lost] = float("nan")
        ill.s = OPTIMIZERS[name].start(ill.θ)
        ill.walk(noise=noise)
        shows = any(bool(value[lost].isnan().any()) for value in (ill.θ, *ill.s.values()))
        _hold(shows, name, f"NaN as {what} should show in weights or state")
        _hold(torch.equal(ill.θ[well], calm.θ[well]), name, f"NaN as {what} of one member reaches others")


def hyperparameters_are_per_member(name: str) -> None:
    """Two members that differ in one hyperparameter part; a third, equal to the first, stays with it bit for bit."""
    for key in (*OPTIMIZERS[name].standard, "learning_rate", "weight_decay"):
        if key == "epsilon":  # it has a law of its own
            continue
        trio = descent(name, [1, 1, 1])
        trio.h[key][1] *= 0.9
        trio.walk(noise=winds([1, 1, 1]))
        _hold(torch.equal(trio.θ[0], trio.θ[2]), name, f"equal members part when {key} differs beside them")
        _hold(not torch.equal(trio.θ[0], trio.θ[1]), name, f"{key} changes nothing")


def epsilon_has_two_places(name: str) -> None:
    """ε outside the root, inside, and none give three ways; a rule without ε in its table looks at neither."""
    trio = descent(name, [1, 1, 1])
    trio.h["epsilon"][:] = torch.tensor([[0.1], [0.0], [0.0]])
    trio.h["epsilon_inside"][:] = torch.tensor([[0.0], [0.1], [1e-300]])
    trio.walk(noise=winds([1, 1, 1]))
    ways = len({tuple(row) for row in trio.θ.tolist()})
    expected = 3 if "epsilon" in OPTIMIZERS[name].standard else 1
    _hold(ways == expected, name, f"ε outside, inside and none give {ways} ways, not {expected}")


def the_state_is_all_there_is(name: str) -> None:
    """From copies of weights and state alone the walk goes on the same way, bit for bit."""
    noise = winds(range(FEW))
    whole = descent(name, range(FEW)).walk(10, noise)
    copied = {key: value.clone() for key, value in whole.s.items()}
    resumed = Descent(name, whole.θ.clone(), whole.h, copied, whole.t)
    for walk in (whole, resumed):
        walk.walk(10, noise)
    _hold(torch.equal(whole.θ, resumed.θ), name, "a walk resumed from its state goes another way")
    _hold(torch.equal(whole.shown, resumed.shown), name, "a walk resumed from its state shows other weights")


def it_stands_still_without_a_reason_to_move(name: str) -> None:
    """With no gradient and no decay, or at a rate of 0 (the first step of a warm-up), weights keep every bit."""
    still = descent(name, range(FEW))
    first, rule = still.θ.clone(), OPTIMIZERS[name]
    reasons = {"no gradient and no decay": ("weight_decay", 0 * first), "a rate of 0": ("learning_rate", first)}
    for why, (key, gradient) in reasons.items():
        h = {**still.h, key: torch.zeros_like(still.h[key])}
        s = rule.start(still.θ)
        c = rule.columns(h, s, torch.tensor(1.0, dtype=first.dtype))
        rule.update(still.θ, gradient.clone(), s, c, LAYOUT)
        _hold(torch.equal(still.θ, first), name, f"weights move at {why}")
        _hold(all(bool(value.isfinite().all()) for value in s.values()), name, f"the state is lost at {why}")


def it_goes_down(name: str) -> None:
    """With standard hyperparameters every member comes lower in a bowl, by the weights it shows."""
    walk = descent(name, range(FEW))
    for key, value in OPTIMIZERS[name].standard.items():
        walk.h[key][:] = value
    walk.h["epsilon_inside"][:], walk.h["learning_rate"][:] = 0.0, 0.01
    before = walk.θ.square().sum(dim=1)
    after = walk.walk(100).shown.square().sum(dim=1)
    _hold(bool((after < before).all()), name, "a member goes up in a bowl")


def it_is_documented(name: str) -> None:
    """The first line begins with a formula and names a document row and a paper; the rest says when to use it."""
    first, *rest = OPTIMIZERS[name].doc.strip().split("\n")
    _hold("←" in first.split("(row")[0] or "=" in first.split("(row")[0], name, "the first line has no formula")
    _hold(re.search(r"\(row O\d+; \w.*(19|20)\d\d", first) is not None, name, "the first line has no row or no paper")
    _hold(len(" ".join(rest).strip()) > 40, name, "nothing says when to use it")


def _hold(truth: bool, name: str, otherwise: str) -> None:
    if not truth:
        raise AssertionError(f"optimizer {name}: {otherwise}")


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        "alone-as-in-company": alone_as_in_company,
        "others-do-not-matter": others_do_not_matter,
        "a-nan-stays-in-its-row": a_nan_stays_in_its_row,
        "hyperparameters-are-per-member": hyperparameters_are_per_member,
        "epsilon-has-two-places": epsilon_has_two_places,
        "the-state-is-all-there-is": the_state_is_all_there_is,
        "it-stands-still-without-a-reason-to-move": it_stands_still_without_a_reason_to_move,
        "it-goes-down": it_goes_down,
        "it-is-documented": it_is_documented,
    },
)
