"""Conformance suite of the regularisers: each member has its own strength, and "not used" changes nothing.

    for name in REGULARISERS:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.base.layout import Layout, Slot
from trainwell.ingredients.regularisers import REGULARISERS, beta_shares

MEMBERS, UNITS, SAMPLES, TOTAL = 5, 4, 6, 20
LAYOUT = Layout(
    [
        Slot("embedding.0.weight", (3, 2), "embedding"),
        Slot("hidden.0.weight", (UNITS, 5), "weight"),
        Slot("hidden.0.bias", (UNITS, 1)),
        Slot("hidden.0.norm.weight", (UNITS, 1), "one"),
        Slot("output.weight", (2, UNITS), "weight"),
        Slot("output.bias", (2, 1)),
    ]
)
HUGE = 1e6


@dataclass(frozen=True)
class Scene:
    """Members in training: weights and slopes (K, P), signals (K, H, B), and the noise that members may share."""

    θ: Tensor
    g: Tensor
    signal: Tensor
    noise: dict[str, Tensor]
    seeds: list[int]

    @classmethod
    def of(cls, dtype: torch.dtype = torch.float64) -> "Scene":
        """Members that differ in everything; slopes are larger than any threshold of `strengths`."""
        draw = torch.Generator().manual_seed(11)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=draw, dtype=dtype)

        noise = {
            "uniform": torch.rand(MEMBERS, UNITS, SAMPLES, generator=draw, dtype=dtype),
            "normal": normal(MEMBERS, UNITS, SAMPLES),
            "order": torch.stack([torch.randperm(SAMPLES, generator=draw) for _ in range(MEMBERS)]),
        }
        sizes = normal(MEMBERS, LAYOUT.size), 3 * normal(MEMBERS, LAYOUT.size)
        return cls(*sizes, normal(MEMBERS, UNITS, SAMPLES), noise, list(range(MEMBERS)))

    def rows(self, rows: list[int]) -> "Scene":
        """Some of the members."""
        noise = {kind: n[rows] for kind, n in self.noise.items()}
        return Scene(self.θ[rows], self.g[rows], self.signal[rows], noise, [self.seeds[k] for k in rows])

    def times(self, factor: float, *, but: int) -> "Scene":
        """Weights, slopes and signals of all members but one multiplied."""
        matrices = {name: getattr(self, name) * factor for name in ("θ", "g", "signal")}
        for name, matrix in matrices.items():
            matrix[but] = getattr(self, name)[but]
        return replace(self, **matrices)


def strengths(name: str, members: int = MEMBERS, dtype: torch.dtype = torch.float64) -> Tensor:
    """Strengths that act, different in each member, (K, 1)."""
    return torch.linspace(0.1, 0.6, members, dtype=dtype).unsqueeze(1)


def applied(name: str, strength: Tensor, scene: Scene) -> Tensor:
    """What becomes of a scene's members, (K, …): the signal, the slopes, the weights, or the shares in the average."""
    r = REGULARISERS[name]
    if r.stage == "average":
        shares = [_tensor(r.apply(t, TOTAL, strength)) for t in range(1, TOTAL + 1)]
        return torch.cat([s.expand(len(strength), 1) for s in shares], dim=1)
    if r.stage == "forward":
        strength = beta_shares(strength, scene.seeds) if r.noise == "order" else strength
        return _tensor(r.apply(scene.signal, strength, scene.noise[r.noise]))
    θ, g = scene.θ.clone(), scene.g.clone()
    if r.stage == "weights":
        r.apply(θ, strength, LAYOUT)
        return θ
    r.apply(θ, g, strength, LAYOUT)
    assert torch.equal(θ, scene.θ) or bool(θ.isnan().any()), (
        f"{name}: it changes weights, where it should change slopes"
    )
    return g


def _tensor(result: Tensor | None) -> Tensor:
    assert result is not None, "a forward regulariser gives a signal, an average one gives shares"
    return result


def untouched(name: str, scene: Scene) -> Tensor:
    """What `applied` gives when nothing is done."""
    parts = {"forward": scene.signal, "gradient": scene.g, "weights": scene.θ}
    return parts.get(REGULARISERS[name].stage, torch.ones(len(scene.θ), TOTAL, dtype=scene.θ.dtype))


def alone_as_in_company(name: str) -> None:
    """A member alone becomes, bit for bit where that is element by element, what it becomes among others (to 1e-14)."""
    scene, s = Scene.of(), strengths(name)
    for k in range(MEMBERS):
        alone = applied(name, s[k : k + 1], scene.rows([k]))[0]
        close = torch.allclose(applied(name, s, scene)[k], alone, rtol=1e-14, atol=1e-14)
        assert close, f"{name}: member {k} alone is not what it is among others"


def others_do_not_matter(name: str) -> None:
    """Other values and strengths of the others, even NaN, leave a member bit for bit as it was."""
    scene, s, k = Scene.of(torch.float32), strengths(name, dtype=torch.float32), 2
    mine = applied(name, s, scene)[k]
    for factor in (HUGE, float("nan")):
        assert torch.equal(applied(name, s, scene.times(factor, but=k))[k], mine), f"{name}: others' values reach me"
    other = torch.where(torch.arange(MEMBERS).unsqueeze(1) == k, s, s.flip(0) * 1.5)
    assert torch.equal(applied(name, other, scene)[k], mine), f"{name}: others' strengths reach me"


def a_nan_stays_seen(name: str) -> None:
    """What was NaN stays NaN, and in its row: a diverged member must not look well again."""
    scene, lost = Scene.of(), 1
    if REGULARISERS[name].stage == "average":
        return  # it computes shares; weights do not enter
    for matrix in (scene.θ, scene.g, scene.signal):
        matrix.view(MEMBERS, -1)[lost, ::3] = float("nan")
    before, after = untouched(name, scene).isnan(), applied(name, strengths(name), scene).isnan()
    others = [k for k in range(MEMBERS) if k != lost]
    assert bool((after[lost] >= before[lost]).all()), f"{name}: a NaN is lost"
    assert not bool(after[others].any()), f"{name}: a NaN leaves its row"


def off_changes_nothing(name: str) -> None:
    """A member with the value "not used" stays bit for bit what it was, among members that use it."""
    for dtype in (torch.float32, torch.float64):
        scene, s = Scene.of(dtype), strengths(name, dtype=dtype)
        s[3] = REGULARISERS[name].off
        after = applied(name, s, scene)
        assert torch.equal(after[3], untouched(name, scene)[3]), f"{name}: 'not used' changes something"
        assert not torch.equal(after[2], untouched(name, scene)[2]), f"{name}: a strength of 0.3 changes nothing"


def the_strength_is_each_members_own(name: str) -> None:
    """Two equal members with different strengths become different."""
    scene = Scene.of().rows([1, 1])
    scene = replace(scene, seeds=[7, 7])
    one, other = applied(name, strengths(name, 2), scene)
    assert not torch.equal(one, other), f"{name}: members with different strengths are treated alike"


def a_threshold_is_kept_at_once(name: str) -> None:
    """What has a threshold leaves alone what is below it, and has nothing to do a second time."""
    if REGULARISERS[name].off != float("inf"):
        return
    scene, s = Scene.of(), strengths(name)
    assert torch.equal(applied(name, s * HUGE, scene), untouched(name, scene)), f"{name}: it acts below its threshold"
    once = applied(name, s, scene)
    twice = applied(
        name, s, replace(scene, θ=once) if REGULARISERS[name].stage == "weights" else replace(scene, g=once)
    )
    assert torch.allclose(once, twice, rtol=1e-14, atol=0), f"{name}: a second time changes more"


def it_is_documented(name: str) -> None:
    """The docstring begins with the formula, names the row of the requirements, and says when to use it."""
    r = REGULARISERS[name]
    first, _, rest = r.doc.partition("\n")
    assert re.search(r"[←·+=].*\(row R\d(; .+)?\)\.$", first), f"{name}: '{first}' is not a formula with its source"
    assert len(rest.strip()) > 40, f"{name}: nothing says when to use it"
    assert r.off == float("inf") or r.hyper.allows(r.off), f"{name}: its value for 'not used' is out of its range"


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        "alone-as-in-company": alone_as_in_company,
        "others-do-not-matter": others_do_not_matter,
        "a-nan-stays-seen": a_nan_stays_seen,
        "off-changes-nothing": off_changes_nothing,
        "the-strength-is-each-members-own": the_strength_is_each_members_own,
        "a-threshold-is-kept-at-once": a_threshold_is_kept_at_once,
        "documented": it_is_documented,
    },
)
