"""Adam and its kin: the mean gradient divided by the root of the mean squared gradient."""

import torch
from torch import Tensor

from trainwell.base import Hyper
from trainwell.base.layout import Columns, Layout
from trainwell.ingredients.update_rule import HYPERS, Optimizer, State, filled, mean_columns


def _adam(h: Columns, s: State, t: Tensor) -> Columns:
    step = -h["learning_rate"] / filled(h["momentum"], t)
    return {**mean_columns(h, t), "step": step, "weight_decay": h["weight_decay"]}


def adam(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """θ ← θ − η·m̂/(√v̂ + ε), m and v decaying means of g + λθ and its square (row O7; Kingma & Ba 2015).

    m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ): without the hats the first step is (1−β1)/√(1−β2) ≈ 3 times as long. For almost
    anything, at η ≈ 0.001; decay is mixed with the gradient and so divided too: take adamw to decay weights.
    ⚠ N0 prints minus signs in both means (v_t = β1v_{t−1} − (1−β1)∇: ascends, and the mean square has no root) and
    multiplies the step by the gradient once more (it then goes one way wherever the slope points, and stands still near
    an optimum); N3 drops the hats in its last line. Both put ε under the root. Here: the paper's.
    """
    g.addcmul_(θ, c["weight_decay"])
    _means(g, s, c)
    θ.addcmul_(_divided(g, s["m"], s["v"], c), c["step"])


def amsgrad(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """v̌ ← max(v̌, v);  θ ← θ − η·m̂/(√(v̌/(1−β2ᵗ)) + ε), g with λθ (row O7; Reddi 2018, corrected as in torch).

    Adam whose rates never grow again: where rare large gradients are forgotten too soon.
    """
    largest = s["largest"]
    g.addcmul_(θ, c["weight_decay"])
    _means(g, s, c)
    torch.maximum(largest, s["v"], out=largest)
    θ.addcmul_(_divided(g, s["m"], largest, c), c["step"])


def _adamw(h: Columns, s: State, t: Tensor) -> Columns:
    step = -h["learning_rate"] / filled(h["momentum"], t)
    return {**mean_columns(h, t), "step": step, "keep": torch.rsub(h["learning_rate"] * h["weight_decay"], 1)}


def adamw(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """θ ← θ(1 − ηλ) − η·m̂/(√v̂ + ε), with the means of g alone (row O9; Loshchilov & Hutter 2019).

    Adam with decay beside the step, equally strong for all weights. The standard choice.
    """
    _means(g, s, c)
    θ.mul_(c["keep"]).addcmul_(_divided(g, s["m"], s["v"], c), c["step"])


def _means(g: Tensor, s: State, c: Columns) -> None:
    """m ← β1m + (1−β1)g;  v ← β2v + (1−β2)g². Uses g up."""
    s["m"].lerp_(g, c["new1"])
    s["v"].lerp_(g.square_(), c["new2"])


def _divided(scratch: Tensor, m: Tensor, v: Tensor, c: Columns) -> Tensor:
    """m/(√(v̂ + ε) + ε), one of the two ε is 0; m̂'s correction is in the step."""
    root = torch.addcmul(c["epsilon_inside"], v, c["unbias2"], out=scratch).sqrt_().add_(c["epsilon"])
    return torch.div(m, root, out=scratch)


def _nadam(h: Columns, s: State, t: Tensor) -> Columns:
    half = lambda step: 0.5 * torch.exp(step * h["momentum_decay"] * NADAM_LOG)
    now, later = (h["momentum"] * (1 - half(step)) for step in (t, t + 1))
    gathered = s["log_product"].add_(now.log())  # Π μ as a sum of logarithms, so that it starts at 0
    return {
        **mean_columns(h, t),
        "weight_decay": h["weight_decay"],
        "of_gradient": h["learning_rate"] * (1 - now) / -torch.expm1(gathered),
        "of_mean": h["learning_rate"] * later / -torch.expm1(gathered + later.log()),
    }


def nadam(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """θ ← θ − η[(1−μ_t)g/(1−Πμ) + μ_{t+1}m/(1−Πμ·μ_{t+1})]/(√v̂ + ε), g with λθ (row O8; Dozat 2016).

    μ_t = β1(1 − ½·0.96^{tψ}), Πμ their product so far: Adam with Nesterov's look ahead. ψ is momentum_decay.
    """
    m, v = s["m"], s["v"]
    g.addcmul_(θ, c["weight_decay"])
    m.lerp_(g, c["new1"])
    root = torch.square(g)
    v.lerp_(root, c["new2"])
    torch.addcmul(c["epsilon_inside"], v, c["unbias2"], out=root).sqrt_().add_(c["epsilon"])
    θ.sub_(g.mul_(c["of_gradient"]).addcmul_(m, c["of_mean"]).div_(root))


def _radam(h: Columns, s: State, t: Tensor) -> Columns:
    β2 = h["beta2"].double()  # ρ_t is a small difference of large numbers
    gathered = filled(β2, t.double())
    longest = 2 / (1 - β2) - 1  # ρ∞
    length = longest - 2 * t * (1 - gathered) / gathered  # ρ_t
    r = ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)).sqrt()
    step = -h["learning_rate"] / filled(h["momentum"], t)
    return {
        **mean_columns(h, t),
        "weight_decay": h["weight_decay"],
        "step": torch.where(length > 5, step * (r * gathered.sqrt()).to(step.dtype), step),
        "untractable": length <= 5,
    }


def radam(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """θ ← θ − η·r_t·m̂·√(1−β2ᵗ)/(√v + ε); while ρ_t ≤ 5, θ ← θ − ηm̂; g with λθ (row O9; Liu 2020).

    ρ_t = ρ∞ − 2tβ2ᵗ/(1−β2ᵗ), ρ∞ = 2/(1−β2) − 1, r_t² = (ρ_t−4)(ρ_t−2)ρ∞/((ρ∞−4)(ρ∞−2)ρ_t): Adam that trusts v only
    as far as it has seen gradients, and so warms up by itself. With β2 ≤ 2/3 it is momentum for good. ε as in torch.
    """
    m, v = s["m"], s["v"]
    g.addcmul_(θ, c["weight_decay"])
    _means(g, s, c)
    root = torch.add(v, c["epsilon_inside"], out=g).sqrt_().add_(c["epsilon"])
    torch.div(m, root.masked_fill_(c["untractable"], 1), out=g)
    θ.addcmul_(g, c["step"])


def _schedule_free(h: Columns, s: State, t: Tensor) -> Columns:
    η = h["learning_rate"] * filled(h["beta2"], t).sqrt()
    torch.maximum(s["largest"], η, out=s["largest"])
    weight = s["largest"].square()
    total = s["weights"].add_(weight)
    return {
        "new2": 1 - h["beta2"],
        "epsilon": h["epsilon"],
        "epsilon_inside": h["epsilon_inside"],
        "weight_decay": h["weight_decay"],
        "step": -η,
        "share": torch.where(total > 0, weight / total, 0),  # a warm-up may start at η = 0
        "momentum": h["momentum"],
    }


def schedule_free(θ: Tensor, g: Tensor, s: State, c: Columns, layout: Layout) -> None:
    """z ← z − η(g/(√v + ε) + λy);  x ← (1−κ)x + κz;  y = β1x + (1−β1)z (row O9; Defazio 2024, AdamW form).

    Gradients are taken at y (θ), the weights to use are the average x (`shown`): a constant rate does what a schedule
    does, and training may stop at any time. κ_t = η²_max/Σ η²_max, η with the factor √(1−β2ᵗ). Take 1 to
    10 times AdamW's η, the schedule constant, with warm-up; batch norm's running statistics belong to y.
    """
    v, x, z = s["v"], s["x"], s["z"]
    root = torch.square(g)
    v.lerp_(root, c["new2"])
    torch.add(v, c["epsilon_inside"], out=root).sqrt_().add_(c["epsilon"])
    g.div_(root).addcmul_(θ, c["weight_decay"])
    z.addcmul_(g, c["step"])
    x.lerp_(z, c["share"])
    torch.lerp(z, x, c["momentum"], out=θ)


def average(θ: Tensor, s: State, c: Columns) -> Tensor:
    """Schedule-Free's x."""
    return s["x"]


NADAM_LOG = -0.04082199452025517  # ln 0.96, the base of the paper's momentum schedule
ADAM = {"momentum": 0.9, "beta2": 0.999, "epsilon": 1e-8}

ADAM_HYPERS: dict[str, Hyper] = {
    **HYPERS,
    "momentum_decay": Hyper("ψ of NAdam: how fast momentum grows to its value", least=0),
}

ADAM_LIKE: dict[str, Optimizer] = {
    "adam": Optimizer(adam, _adam, ("m", "v"), standard=ADAM),
    "amsgrad": Optimizer(amsgrad, _adam, ("m", "v", "largest"), standard=ADAM),
    "nadam": Optimizer(nadam, _nadam, ("m", "v"), ("log_product",), standard={**ADAM, "momentum_decay": 0.004}),
    "adamw": Optimizer(adamw, _adamw, ("m", "v"), standard=ADAM),
    "radam": Optimizer(radam, _radam, ("m", "v"), standard=ADAM),
    "schedule_free": Optimizer(
        schedule_free,
        _schedule_free,
        ("v", "x", "z"),
        ("largest", "weights"),
        standard=ADAM,
        shown=average,
        from_weights=("x", "z"),
    ),
}
