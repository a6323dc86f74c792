"""The learning rate over time, as a factor on its peak.

Contract: a `Schedule` gives the factor (K, 1) at an update from the `Clock` and the hyperparameters, a column each;
with a row of steps (1, T) on the clock, the factors (K, T) of all of them, so that a run can be drawn beforehand.
Factors lie in [0, 1]. Warm-up multiplies any of them. The documents' decays count time in epochs, as a continuous
number; the schedules of today count it as a share of the run.

Letters: e epochs passed, s = step/total the share of the run that has passed, n a whole number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import pi

import torch
from torch import Tensor

from trainwell.base import Hyper, Registry
from trainwell.base.layout import Columns

ROUNDED_UP = 1 + 1e-7  # more than the rounding of float32, less than the share of any update


@dataclass(frozen=True)
class Clock:
    """A moment of a run, or many: `step` = 0 … `total` − 1 is the update to come; a row (1, T) gives a picture."""

    step: Tensor | int
    total: int
    steps_per_epoch: int = 1

    @property
    def steps(self) -> Tensor:
        """The step as a row (1, T) of float64."""
        return torch.as_tensor(self.step, dtype=torch.float64).reshape(1, -1)

    @property
    def progress(self) -> Tensor:
        """s, the share of the run that has passed, (1, T)."""
        return self.steps / self.total

    @property
    def epoch(self) -> Tensor:
        """e, passes over the training part so far, (1, T); not only whole ones."""
        return self.steps / self.steps_per_epoch


@dataclass(frozen=True)
class Schedule:
    """One shape of the rate over the run.

    Attributes:
        function: the factors (K or 1, T) at a clock with T steps, from columns (K, 1) in float64.
        standard: its hyperparameters with their standard values.
        state: columns that the run itself changes, with their first values; a picture drawn beforehand does without.
    """

    function: Callable[[Clock, Columns], Tensor]
    standard: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, float] = field(default_factory=dict)
    doc: str = ""


def _whole(x: Tensor) -> Tensor:
    """⌊x⌋, where a column in float32 may have put x just below a whole number."""
    return torch.floor(x * ROUNDED_UP)


def constant(clock: Clock, h: Columns) -> Tensor:
    """η = η₀ throughout (row S1).

    For comparing rates, for short runs, and where something else lowers the steps. The other shapes end lower.
    """
    return torch.ones_like(clock.progress)


def step(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·factor^⌊e/every⌋: a drop every few epochs (row S2).

    The classical choice where one knows from earlier runs when progress stops.
    """
    return h["factor"] ** _whole(clock.epoch / h["every"])


def inverse_time(clock: Clock, h: Columns) -> Tensor:
    """η = η₀/(1 + k·e), k = decay (row S3).

    Falls quickly at first and slowly later, as the theory of stochastic approximation wants it (Robbins & Monro 1951).
    N0's table, η₀ = 0.2 and k = 1: 0.1, 0.067, 0.05, 0.04 after epochs 1 to 4.
    """
    return 1 / (1 + h["decay"] * clock.epoch)


def compounding(clock: Clock, h: Columns) -> Tensor:
    """η_n = η_{n−1}/(1 + k·n) at each whole epoch n, hence η₀/Π_{i≤n}(1 + k·i), k = decay (row S3).

    ⚠ N0 prints the inverse-time law with η on both sides. Read as a recursion, that is this schedule: it falls faster
    than any exponential, so that k must be small (with N0's k = 1: η₀/(n + 1)!). Most often `inverse_time` is meant.
    """
    n = torch.floor(clock.epoch).long()
    i = torch.arange(int(n.max()) + 1, dtype=torch.float64, device=n.device)
    logs = torch.log1p(h["decay"] * i).cumsum(dim=1)  # (K, n + 1): ln Π_{i≤n}(1 + k·i)
    return torch.exp(-logs[:, n[0]])


def exponential(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·exp(−k·e), k = decay (row S4).

    The same share is lost in every epoch: half the rate in ln 2/k epochs.
    """
    return torch.exp(-h["decay"] * clock.epoch)


def linear(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·(1 − s): straight down to 0 at the end of the run (row S6).

    Nearly as good as cosine everywhere, better for long runs of Adam (Defazio 2023).
    """
    return 1 - clock.progress


def polynomial(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·(1 − s)^power (row S6; Chen 2017, DeepLab, with power 0.9).

    Power 1 is linear; above 1 the rate falls early, below 1 late.
    """
    return (1 - clock.progress) ** h["power"]


def _cycle(clock: Clock, h: Columns) -> tuple[Tensor, Tensor]:
    """Smith's cycle number 1, 2, … and x = |e/half_cycle − 2·cycle + 1|: 1 at a cycle's ends, 0 at its middle."""
    cycle = torch.floor(1 + clock.epoch / (2 * h["half_cycle"]))
    return cycle, (clock.epoch / h["half_cycle"] - 2 * cycle + 1).abs().clamp(max=1)


def _between(h: Columns, height: Tensor) -> Tensor:
    """From base_lr (height 0) to max_lr (height 1), as a factor on max_lr."""
    return h["base"] + (1 - h["base"]) * height


def triangular(clock: Clock, h: Columns) -> Tensor:
    """η = base_lr + (max_lr − base_lr)·(1 − x), x = |e/half_cycle − 2·cycle + 1|: up and down (row S5; Smith 2017).

    The learning rate is max_lr, `base` is base_lr/max_lr, `half_cycle` is step_size in epochs. Bounds come from the
    range test (row S7). A run should end with a cycle; weights at the ends of cycles make an ensemble (row B10).
    """
    _, x = _cycle(clock, h)
    return _between(h, 1 - x)


def triangular2(clock: Clock, h: Columns) -> Tensor:
    """η = base_lr + (max_lr − base_lr)·(1 − x)/2^(cycle − 1): the height halves each cycle (row S5; Smith 2017)."""
    cycle, x = _cycle(clock, h)
    return _between(h, (1 - x) * 0.5 ** (cycle - 1))


def exp_range(clock: Clock, h: Columns) -> Tensor:
    """η = base_lr + (max_lr − base_lr)·(1 − x)·γ^step: the height falls each update (row S5; Smith 2017).

    As Smith's code and torch's CyclicLR: the height declines and base_lr stays, though his text lets both bounds
    decline. γ = gamma is close to 1, for it acts in each update.
    """
    _, x = _cycle(clock, h)
    return _between(h, (1 - x) * h["gamma"] ** clock.steps)


def welch(clock: Clock, h: Columns) -> Tensor:
    """η = base_lr + (max_lr − base_lr)·(1 − x²): a parabolic window each cycle (row S5; Smith 2017).

    Stays longer near max_lr than triangular; Smith found the three windows equal in results.
    """
    _, x = _cycle(clock, h)
    return _between(h, 1 - x**2)


def hann(clock: Clock, h: Columns) -> Tensor:
    """η = base_lr + (max_lr − base_lr)·½(1 + cos πx): a sinusoidal window each cycle (row S5; Smith 2017)."""
    _, x = _cycle(clock, h)
    return _between(h, 0.5 * (1 + torch.cos(pi * x)))


def cosine(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·(floor + (1 − floor)·½(1 + cos πs)) (row S6; Loshchilov & Hutter 2017, one period).

    The standard of today when the length of the run is known.
    """
    return h["floor"] + (1 - h["floor"]) * 0.5 * (1 + torch.cos(pi * clock.progress))


def restarts(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·(floor + (1 − floor)·½(1 + cos πτ)), τ the passed part of a period (row S6; Loshchilov & Hutter 2017).

    SGDR: the first period takes `period` epochs, each one `growth` times as long as that before it. Weights are good at
    the end of each period: for runs of unknown length, and for snapshot ensembles (row B10).
    """
    length, m, e = h["period"], h["growth"], clock.epoch
    even = m == 1
    m = torch.where(even, 2.0, m)  # a stand-in that keeps the unused branch finite

    def begin(n: Tensor) -> Tensor:
        """The epoch in which period n begins: Σ_{i<n} length·mⁱ."""
        return torch.where(even, length * n, length * (m**n - 1) / (m - 1))

    n = torch.where(even, _whole(e / length), torch.floor(torch.log1p(e / length * (m - 1)) / torch.log(m)))
    n = torch.where(begin(n + 1) <= e * ROUNDED_UP, n + 1, n)  # the logarithm may miss a beginning by its rounding
    n = torch.where(begin(n) > e * ROUNDED_UP, n - 1, n)
    part = ((e - begin(n)) / (length * torch.where(even, 1.0, m**n))).clamp(min=0)
    return h["floor"] + (1 - h["floor"]) * 0.5 * (1 + torch.cos(pi * part))


def one_cycle(clock: Clock, h: Columns) -> Tensor:
    """η = η₀/25 → η₀ over the first 30 % of the run, then → 4e-6·η₀, each half a cosine (row S6; Smith 2018).

    Allows larger peaks than cosine ("super-convergence"); values as torch's OneCycleLR. Has its own warm-up.
    """
    s = clock.progress
    rise, start, end = 0.3, 1 / 25, 1 / 25 / 1e4
    up = start + (1 - start) * 0.5 * (1 - torch.cos(pi * s / rise))
    down = end + (1 - end) * 0.5 * (1 + torch.cos(pi * (s - rise) / (1 - rise)))
    return torch.where(s < rise, up, down)


def wsd(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·min(1, (1 − s)/decay_share): warm-up, stable, linear decay (row S6; Hu 2024; Hägele 2024).

    As good as cosine, and one run may be continued from its stable part for any length.
    """
    return ((1 - clock.progress) / h["decay_share"]).clamp(max=1)


def coslog4(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·½(1 − cos(2π·log₂(1 + 15s))): four cycles, each twice as long (row S6; Holzmüller 2024, RealMLP).

    For tables. Begins and ends with 0; good weights appear at the ends of cycles, so that early stopping works well.
    """
    return 0.5 * (1 - torch.cos(2 * pi * torch.log2(1 + 15 * clock.progress)))


def plateau(clock: Clock, h: Columns) -> Tensor:
    """η = η₀·plateau_factor^n, n the times that validation stood still for more than plateau_patience (row S6; torch).

    The rate follows from the run: `reduce_on_plateau` keeps the factor in the state column `reduced`. Drawn beforehand
    it is 1. Warm-up and patience of early stopping (longer than this one's) go with it.
    """
    return h.get("reduced", torch.ones_like(clock.steps[:, :1])).expand(-1, clock.steps.shape[1])


def reduce_on_plateau(loss: Tensor, state: Columns, h: Columns) -> dict[str, Tensor]:
    """The state after an evaluation with this validation loss (K, 1), as torch's ReduceLROnPlateau (mode min).

    Better means loss < best·(1 − plateau_threshold). A loss that is NaN is not better. Give `state` and get it back
    new: `reduced` (the factor, first 1), `plateau_best` (first ∞), `plateau_waited` (evaluations without a better one).

    >>> state = {name: torch.tensor([[value]]) for name, value in SCHEDULES["plateau"].state.items()}
    >>> h = {"plateau_factor": 0.5, "plateau_patience": 1, "plateau_threshold": 1e-4}
    >>> columns = {name: torch.tensor([[value]]) for name, value in h.items()}
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     state = reduce_on_plateau(torch.tensor([[loss]]), state, columns)
    >>> state["reduced"].item()
    0.5
    """
    better = loss < state["plateau_best"] * (1 - h["plateau_threshold"])
    waited = torch.where(better, 0.0, state["plateau_waited"] + 1)
    late = waited > h["plateau_patience"]
    return {
        "reduced": torch.where(late, state["reduced"] * h["plateau_factor"], state["reduced"]),
        "plateau_best": torch.where(better, loss, state["plateau_best"]),
        "plateau_waited": torch.where(late, 0.0, waited),
    }


def factors(names: Sequence[str], clock: Clock, h: Columns, warmup: Tensor) -> Tensor:
    """The factor of each member, (K, 1), or (K, T) for the T steps on the clock; in the type of `warmup`.

    Args:
        names: each member's schedule.
        h: their hyperparameters, (K, 1) each; for one that is missing all have the standard value.
        warmup: (K, 1), the share w of the run over which the factor rises: by (step + 1)/(w·total) at each step.

    >>> warmup = torch.tensor([[0.2], [0.0]], dtype=torch.float64)
    >>> factors(["constant", "cosine"], Clock(4, 100), {}, warmup).flatten().tolist()
    [0.25, 0.996057350657239]
    """
    steps = clock.steps.to(warmup.device)
    clock, w = replace(clock, step=steps), warmup.double()
    factor = torch.where(w > 0, ((steps + 1) / (w * clock.total)).clamp(max=1), 1.0)  # (K, T)
    kinds = dict.fromkeys(names)
    for name in kinds:
        rows = slice(None) if len(kinds) == 1 else [k for k, other in enumerate(names) if other == name]
        entry = SCHEDULES[name]
        own = {x: h[x][rows].double() for x in (*entry.standard, *entry.state) if x in h}
        own |= {x: torch.full_like(w[rows], value) for x, value in entry.standard.items() if x not in h}
        factor[rows] *= entry.function(clock, own)
    return factor.to(warmup.dtype)


def _of(function: Callable[[Clock, Columns], Tensor], **standard: float) -> Schedule:
    return Schedule(function, standard, doc=function.__doc__ or "")


_CYCLE = {"base": 0.25, "half_cycle": 4.0}  # Smith 2017: base_lr a third or a quarter of max_lr; 2 to 10 epochs

SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    {
        "constant": _of(constant),
        "step": _of(step, factor=0.5, every=10.0),
        "inverse_time": _of(inverse_time, decay=1.0),  # N0's example
        "compounding": _of(compounding, decay=1e-3),  # assumption: a third is left after 50 epochs
        "exponential": _of(exponential, decay=0.1),  # assumption: half the rate in 7 epochs
        "linear": _of(linear),
        "polynomial": _of(polynomial, power=0.9),
        "triangular": _of(triangular, **_CYCLE),
        "triangular2": _of(triangular2, **_CYCLE),
        "exp_range": _of(exp_range, **_CYCLE, gamma=0.99994),  # Smith 2017, on CIFAR-10
        "welch": _of(welch, **_CYCLE),
        "hann": _of(hann, **_CYCLE),
        "cosine": _of(cosine, floor=0.0),
        "restarts": _of(restarts, floor=0.0, period=10.0, growth=2.0),  # one of the paper's settings
        "one-cycle": _of(one_cycle),
        "wsd": _of(wsd, decay_share=0.2),  # Hägele 2024
        "coslog4": _of(coslog4),
        "plateau": Schedule(
            plateau,
            # torch's values but for its patience of 10: early stopping, which has 10 as well, would always come first
            {"plateau_factor": 0.1, "plateau_patience": 4, "plateau_threshold": 1e-4},
            {"reduced": 1.0, "plateau_best": float("inf"), "plateau_waited": 0.0},
            plateau.__doc__ or "",
        ),
    },
    hypers={
        "factor": Hyper("what the rate is multiplied by at each drop", above=0, most=1),
        "every": Hyper("epochs between two drops", above=0),
        "decay": Hyper("k, how fast the rate falls, per epoch", least=0),
        "power": Hyper("exponent of the polynomial", above=0),
        "base": Hyper("lowest rate of a cycle, as a share of the highest (base_lr/max_lr)", least=0, most=1),
        "half_cycle": Hyper("epochs from one bound of the rate to the other (step_size)", above=0),
        "gamma": Hyper("γ, what the height of the cycles is multiplied by at each update", above=0, most=1),
        "floor": Hyper("lowest rate, as a share of the peak", least=0, below=1),
        "period": Hyper("epochs of the first period", above=0),
        "growth": Hyper("how much longer each period is than the one before", least=1),
        "decay_share": Hyper("share of the run at its end over which the rate falls to 0", above=0, most=1),
        "plateau_factor": Hyper("what the rate is multiplied by when validation stands still", above=0, below=1),
        "plateau_patience": Hyper("evaluations without improvement that are waited for", least=0, whole=True),
        "plateau_threshold": Hyper("relative improvement that counts as one", least=0, below=1),
    },
)
