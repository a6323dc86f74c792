"""Conformance suite of the schedules: each member has a schedule and hyperparameters of its own.

    for name in SCHEDULES:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence.
"""

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainwell.base import Hyper, Registry
from trainwell.ingredients.schedules import SCHEDULES, Clock, factors

MEMBERS, TOTAL, PER_EPOCH = 9, 211, 4  # 53 epochs; no period or cycle divides the run
EVERY_STEP = torch.arange(TOTAL).unsqueeze(0)
LENGTHS = (1, 2, 7, 500)
WARMUPS = (0.0, 0.003, 0.5, 1.0)


def column(values: Sequence[float]) -> Tensor:
    """One value a member, (K, 1), in float64."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def spread(hyper: Hyper, standard: float, members: int) -> Tensor:
    """Values (K, 1) around a standard one, different in each member, in the hyperparameter's range."""
    values = [standard * (0.6 + 0.08 * k) + 0.01 * k for k in range(members)]
    if hyper.whole:
        values = [float(round(standard) + k) for k in range(members)]
    return column([v if hyper.allows(v) else standard * 0.9**k for k, v in enumerate(values)])


def columns(names: Sequence[str], shift: float = 0.0) -> dict[str, Tensor]:
    """Hyperparameters and state for members with these schedules, all different; others with another `shift`."""
    h = {}
    for name in dict.fromkeys(names):
        own = SCHEDULES[name].standard
        h |= {x: spread(SCHEDULES.hypers[x], v * (1 + shift), len(names)) for x, v in own.items()}
        h |= {x: torch.linspace(1, 0.1, len(names), dtype=torch.float64).unsqueeze(1) for x in SCHEDULES[name].state}
    return h


def company(name: str) -> tuple[list[str], Tensor]:
    """Members, every other one with another schedule, and their warm-ups (K, 1)."""
    others = list(SCHEDULES)
    names = [name if k % 2 == 0 else others[(others.index(name) + k) % len(others)] for k in range(MEMBERS)]
    return names, torch.linspace(0, 0.3, MEMBERS, dtype=torch.float64).unsqueeze(1)


def alone_as_in_company(name: str) -> None:
    """A member alone has, bit for bit, the factors that it has among members with other schedules."""
    names, warmup = company(name)
    h, k = columns(names), MEMBERS // 2
    for clock in (Clock(57, TOTAL, PER_EPOCH), Clock(EVERY_STEP, TOTAL, PER_EPOCH)):
        among = factors(names, clock, h, warmup)[k]
        alone = factors([name], clock, {x: v[k : k + 1] for x, v in h.items()}, warmup[k : k + 1])[0]
        assert torch.equal(among, alone), f"{name}: a member alone has other factors than among others"


def others_do_not_matter(name: str) -> None:
    """Other hyperparameters and warm-ups of the others, even NaN, leave a member's factors bit for bit."""
    names, warmup = company(name)
    h, k = columns(names), MEMBERS // 2
    clock = Clock(EVERY_STEP, TOTAL, PER_EPOCH)
    mine = factors(names, clock, h, warmup)[k]
    for other in (2.0, float("nan")):
        changed = {x: v * other for x, v in h.items()}
        for x, v in h.items():
            changed[x][k] = v[k]
        warm = warmup * other
        warm[k] = warmup[k]
        assert torch.equal(factors(names, clock, changed, warm)[k], mine), f"{name}: the others' values reach a member"


def hyperparameters_are_each_members_own(name: str) -> None:
    """Two members that differ in one hyperparameter differ in their factors."""
    entry = SCHEDULES[name]
    for x in (*entry.standard, *entry.state):
        if name == "plateau" and x != "reduced":
            continue  # they act in reduce_on_plateau, which follows the run
        h = columns([name, name])
        h = {y: v if y == x else v[:1].expand(2, 1) for y, v in h.items()}
        a, b = factors([name, name], Clock(EVERY_STEP, TOTAL, PER_EPOCH), h, column([0.0, 0.0]))
        assert not torch.equal(a, b), f"{name}: {x} changes nothing"


def all_steps_at_once_are_the_steps_one_by_one(name: str) -> None:
    """The factors (K, T) of a picture are those that the run will have, to the last bits."""
    names, warmup = company(name)
    h = columns(names)
    at_once = factors(names, Clock(EVERY_STEP, TOTAL, PER_EPOCH), h, warmup)
    one_by_one = torch.cat([factors(names, Clock(t, TOTAL, PER_EPOCH), h, warmup) for t in range(TOTAL)], dim=1)
    apart = (at_once - one_by_one).abs().max()
    assert apart <= 1e-15, f"{name}: drawn beforehand and in the run, factors differ by {float(apart):.1e}"


def factors_stay_between_zero_and_one(name: str) -> None:
    """Whatever the length, the warm-up and the hyperparameters; and some update of a run moves the weights."""
    names, warmup = [name] * len(WARMUPS), column(WARMUPS)
    for total in LENGTHS:
        for h in ({}, columns(names)):
            f = factors(names, Clock(torch.arange(total).unsqueeze(0), total, 3), h, warmup)
            assert bool(((f >= 0) & (f <= 1)).all()), f"{name}: factors of {total} steps leave 0 … 1"
            assert total < 7 or bool((f > 0).any(dim=1).all()), f"{name}: all of {total} steps are 0"


def warm_up_multiplies(name: str) -> None:
    """With warm-up w, a factor is that without, times (step + 1)/(w·total) as long as this is below 1."""
    for w in WARMUPS[1:]:
        clock = Clock(EVERY_STEP, TOTAL, PER_EPOCH)
        plain, warm = (factors([name], clock, {}, column([x])) for x in (0.0, w))
        ramp = column([min(1.0, (t + 1) / (w * TOTAL)) for t in range(TOTAL)]).T
        assert torch.allclose(warm, plain * ramp, rtol=1e-14, atol=0), f"{name}: warm-up {w} is not a factor"


def the_type_is_the_columns(name: str) -> None:
    """Factors have the type of the members' columns; from float32 columns they differ by its rounding only."""
    names, warmup = company(name)
    h, clock = columns(names), Clock(EVERY_STEP, TOTAL, PER_EPOCH)
    h = {x: v.float().double() for x, v in h.items()}
    exact = factors(names, clock, h, warmup.float().double())
    short = factors(names, clock, {x: v.float() for x, v in h.items()}, warmup.float())
    assert short.dtype == torch.float32, f"{name}: factors of float32 columns are {short.dtype}"
    assert torch.equal(short, exact.float()), f"{name}: float32 columns give other factors"


def it_is_documented(name: str) -> None:
    """The docstring begins with the formula, names the row of the requirements, and says when to use it."""
    first, _, rest = SCHEDULES[name].doc.partition("\n")
    assert re.match(r"η\S* = .*\(row S\d(; .+)?\)\.$", first), f"{name}: '{first}' is not a formula with its source"
    new = {
        "constant",
        "step",
        "inverse_time",
        "compounding",
        "exponential",
        "linear",
    }  # the documents', or without author
    assert name in new or "; " in first, f"{name}: no author is named"
    assert rest.strip() or name in ("triangular2", "hann"), f"{name}: nothing says when to use it"


def it_reads_its_own_hyperparameters_alone(name: str) -> None:
    """With no columns but its own, and without the state that a run keeps, an entry can be drawn."""
    entry, own = SCHEDULES[name], columns([name])
    h = {x: own[x] for x in entry.standard}
    try:
        drawn = entry.function(Clock(EVERY_STEP, TOTAL, PER_EPOCH), h)
    except KeyError as missing:
        raise AssertionError(f"{name}: it reads the column {missing}, which is not among its hyperparameters") from None
    assert drawn.shape[1] == TOTAL, f"{name}: {TOTAL} steps have {drawn.shape[1]} factors"
    assert not set(entry.state) & set(SCHEDULES.hypers), f"{name}: a state column is also a hyperparameter"


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        "alone-as-in-company": alone_as_in_company,
        "others-do-not-matter": others_do_not_matter,
        "hyperparameters-are-each-members-own": hyperparameters_are_each_members_own,
        "all-steps-at-once": all_steps_at_once_are_the_steps_one_by_one,
        "between-zero-and-one": factors_stay_between_zero_and_one,
        "warm-up-multiplies": warm_up_multiplies,
        "the-type-is-the-columns": the_type_is_the_columns,
        "documented": it_is_documented,
        "own-hyperparameters-alone": it_reads_its_own_hyperparameters_alone,
    },
)
