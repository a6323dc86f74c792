"""What is minimised, per sample, from the network's outputs.

Contract: a loss takes the outputs z (K, C, B), before softmax or sigmoid; the targets y; its hyperparameters h, (K, 1)
each; and weights of the classes (K or 1, C), or None. It gives (K, B); `total` makes one number a member of these.
Targets are numbers (1 or K, C, B); for the softmax losses class indices (1 or K, B), or shares (1 or K, C, B) such as
one-hot: integers are indices, floats are shares. Label smoothing is off where h has none.

Letters: p softmax of z, or σ(z); t smoothed target; e = z − y; ε label smoothing; δ, τ, γ the hypers of Huber, quantile
and focal losses; w class weight.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.base import Between, Hyper, InputError, PlanError, Registry, did_you_mean
from trainwell.base.layout import Columns

Function = Callable[[Tensor, Tensor, Columns, Tensor | None], Tensor]
TASKS = {
    "binary": "binary_cross_entropy",
    "multilabel": "binary_cross_entropy",
    "multiclass": "cross_entropy",
    "regression": "mse",
}


def mean(losses: Tensor) -> Tensor:
    """(K, B) → (K,): the mean over samples."""
    return losses.mean(dim=1)


def root_of_mean(losses: Tensor) -> Tensor:
    """(K, B) → (K,): √(mean over samples), with gradient 0 where all errors are 0."""
    m = losses.mean(dim=1)
    exact = m == 0  # the root has no slope there
    return torch.where(exact, m, torch.where(exact, 1.0, m).sqrt())


@dataclass(frozen=True)
class Loss:
    """One loss (row A11).

    Attributes:
        function: (z, y, h, class weights) → (K, B), as in the file's head.
        output: the activation that turns outputs into predictions: "softmax", "sigmoid" or "identity".
        tasks: what it is for.
        standard: hyperparameters with their standard values.
        total: (K, B) → (K,), what is minimised.
    """

    function: Function
    output: str
    tasks: tuple[str, ...]
    standard: Mapping[str, float] = field(default_factory=dict)
    total: Callable[[Tensor], Tensor] = mean
    doc: str = ""


def cross_entropy(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """−Σ_c w_c·t_c·ln p_c with t = (1 − ε)·onehot(y) + ε/C; ∂/∂z = p − t for w = 1 (rows L6, R8; Szegedy 2016).

    For one class out of several. Range [0, ∞); chance gives ln C. ε (standard 0, often 0.1) keeps the network from
    being too sure. `balance` weighs rare classes up. The mean is over samples: torch's divides by the sum of weights.
    """
    return _against(-torch.log_softmax(z, dim=1), y, h, class_weights)


def focal(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """−Σ_c w_c·t_c·(1 − p_c)^γ·ln p_c, w their α (rows L6, R8; Lin 2017).

    Cross-entropy that looks away from what is easy: for many easy samples of one class, or to be less sure (Mukhoti
    2020). Standard γ = 2; γ = 0 is cross-entropy. Range [0, ∞).
    """
    log_p = torch.log_softmax(z, dim=1)
    q = (-torch.expm1(log_p)).clamp_min(torch.finfo(z.dtype).tiny)  # 1 − p; 0^(γ − 1) has no slope
    return _against(-log_p * q ** h["focusing"].unsqueeze(2), y, h, class_weights)


def _against(losses: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """Σ_c w_c·t_c·loss_c (K, B) from the losses (K, C, B) that each class would have as the target."""
    if class_weights is not None:
        losses = losses * class_weights.unsqueeze(2)
    if y.is_floating_point():
        picked = (losses * y).sum(dim=1)
    else:
        picked = losses.gather(1, y.expand(losses.shape[0], -1).unsqueeze(1)).squeeze(1)
    if "label_smoothing" not in h:
        return picked
    ε = h["label_smoothing"]
    return (1 - ε) * picked + ε * losses.mean(dim=1)


def binary_cross_entropy(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """−w·t·ln p − (1 − t)·ln(1 − p) with p = σ(z), t = (1 − ε)y + ε/2; ∂/∂z = p − t for w = 1 (rows L5, R8; Cox 1958).

    For two classes, or several labels at once: the mean over labels. Range [0, ∞); chance gives ln 2. Made of z itself,
    so that it cannot overflow, and learns fast where a saturated output is wrong (row L7). w weighs the positives.
    """
    weight = None if class_weights is None else class_weights.unsqueeze(2)
    t = _smoothed(z, y, h).expand_as(z)
    return F.binary_cross_entropy_with_logits(z, t, pos_weight=weight, reduction="none").mean(dim=1)


def binary_focal(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """−w·t·(1 − p)^γ·ln p − (1 − t)·p^γ·ln(1 − p) with p = σ(z), mean over labels (rows L5, R8; Lin 2017).

    Binary cross-entropy that looks away from what is easy: for few positives among many easy negatives. Standard γ = 2;
    γ = 0 is binary cross-entropy. w weighs the positives: the paper's α/(1 − α), up to a factor. Range [0, ∞).
    """
    t, γ = _smoothed(z, y, h), h["focusing"].unsqueeze(2)
    log_p, log_q = F.logsigmoid(z), F.logsigmoid(-z)
    weight = 1.0 if class_weights is None else class_weights.unsqueeze(2)
    return -(weight * t * (γ * log_q).exp() * log_p + (1 - t) * (γ * log_p).exp() * log_q).mean(dim=1)


def _smoothed(z: Tensor, y: Tensor, h: Columns) -> Tensor:
    """t = (1 − ε)·y + ε/2, in the numbers of z."""
    y = y.to(z.dtype)
    if "label_smoothing" not in h:
        return y
    ε = h["label_smoothing"].unsqueeze(2)
    return (1 - ε) * y + ε / 2


def mse(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """e² = (z − y)², mean over targets; ∂/∂z = 2e (row L1; Legendre 1805).

    For numbers with errors like the normal distribution: finds the mean. Range [0, ∞); outliers count much. ⚠ N3 prints
    the sum over outputs, without the mean.
    """
    return (z - y).square().mean(dim=1)


def rmse(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """√(mean e²) over samples and targets, e² per sample; slope 0 where all e = 0 (row L3; Gauss 1823).

    The mean squared error in the target's unit: same minimum, other steps, for its slope does not fade near it. Range
    [0, ∞). ⚠ N4 says that the root makes outliers count less; it scales all slopes alike: the minimum is that of mse.
    """
    return mse(z, y, h, class_weights)


def mae(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """|e| = |z − y|, mean over targets; ∂/∂z = sign e, 0 at 0 (row L2; Laplace 1774).

    For numbers with outliers: finds the median. Range [0, ∞).
    """
    return (z - y).abs().mean(dim=1)


def huber(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """½e² for |e| ≤ δ, else δ(|e| − ½δ), mean over targets; ∂/∂z = e, at most ±δ (row L4; Huber 1964).

    A parabola with straight arms: for numbers with some outliers. Standard δ = 1, in deviations of the target. Range
    [0, ∞).
    """
    size = (z - y).abs()
    near = torch.minimum(size, h["delta"].unsqueeze(2))
    return (near * (size - near / 2)).mean(dim=1)


def quantile(z: Tensor, y: Tensor, h: Columns, class_weights: Tensor | None) -> Tensor:
    """max(τ(y − z), (τ − 1)(y − z)), mean over targets (row L2; Koenker & Bassett 1978).

    Finds the τ-quantile: forecasts with a band, or where too little costs more than too much. Standard τ = 0.5: half of
    mae. Range [0, ∞).
    """
    τ, under = h["quantile"].unsqueeze(2), y - z
    return torch.maximum(τ * under, (τ - 1) * under).mean(dim=1)


def one_hot(y: Tensor, classes: int) -> Tensor:
    """Class indices (..., B) as shares (..., C, B): 1 for the class, 0 for the others (rows L6, P3).

    Raises:
        InputError: an index is not among 0 … `classes` − 1.

    >>> one_hot(torch.tensor([0, 2]), 3).tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    if y.numel() and not (y.min() >= 0 and y.max() < classes):
        wrong = int(y.max() if y.min() >= 0 else y.min())
        raise InputError(f"Class indices must be 0 to {classes - 1}, not {wrong}; give more classes, or number from 0.")
    return F.one_hot(y.long(), classes).transpose(-1, -2).to(torch.get_default_dtype())


def balanced_weights(counts: Tensor, power: Tensor) -> Tensor:
    """w_c ∝ n_c^−power, with mean 1 over the rows, (K, C) (rows L6, P3; King & Zeng 2001).

    Args:
        counts: rows n_c of each class, (1 or K, C). A class without rows is weighed as if it had one.
        power: (K, 1), from 0 (all weights 1) to 1 (all classes count the same, scikit-learn's "balanced").

    >>> balanced_weights(torch.tensor([[90.0, 10.0]]), torch.tensor([[0.0], [1.0]])).tolist()
    [[1.0, 1.0], [0.5555555820465088, 5.0]]
    """
    w = counts.to(power.dtype).clamp_min(1) ** -power
    return w * counts.sum(dim=1, keepdim=True) / (counts * w).sum(dim=1, keepdim=True)


def balanced_positives(positives: Tensor, rows: Tensor, power: Tensor) -> Tensor:
    """w = (negatives/positives)^power for each label (K, C): the weights of the sigmoid losses (rows L5, P3).

    Args:
        positives: rows in which a label is 1, (1 or K, C). One without any, or with all, is weighed as if it had one.
        rows: their number, (1 or K, 1).
        power: (K, 1), from 0 (all weights 1) to 1 (positives and negatives count the same).

    >>> balanced_positives(torch.tensor([[10.0]]), torch.tensor([[50.0]]), torch.tensor([[0.0], [1.0]])).tolist()
    [[1.0], [4.0]]
    """
    return ((rows - positives).clamp_min(1) / positives.clamp_min(1)) ** power


def loss_for(task: str) -> str:
    """The loss that fits a task's output (rows A10, A11).

    >>> loss_for("multiclass"), loss_for("regression")
    ('cross_entropy', 'mse')

    Raises:
        PlanError: there is no such task.
    """
    if task not in TASKS:
        raise PlanError(f"Unknown task '{task}'.{did_you_mean(task, TASKS)} Known: {', '.join(TASKS)}.")
    return TASKS[task]


HYPERS = {
    "label_smoothing": Hyper(
        "ε: share of the target spread over all classes",
        least=0,
        below=1,
        search=Between(0.01, 0.1, log=True, share=0.3),
    ),
    "balance": Hyper(
        "power by which rare classes weigh more: 0 not at all, 1 as much as frequent ones", least=0, most=1
    ),
    "focusing": Hyper("γ: how much less easy samples count", least=0),
    "delta": Hyper("δ: errors beyond it count linearly, in deviations of the target", above=0),
    "quantile": Hyper("τ: the share of targets below the prediction", above=0, below=1),
}


def _entry(
    function: Function,
    output: str,
    tasks: tuple[str, ...],
    standard: Mapping[str, float] | None = None,
    total: Callable[[Tensor], Tensor] = mean,
) -> Loss:
    return Loss(function, output, tasks, standard or {}, total, cleandoc(function.__doc__ or ""))


CLASSES, LABELS, NUMBERS = ("multiclass",), ("binary", "multilabel"), ("regression",)
OF_CLASSES = {"label_smoothing": 0.0, "balance": 0.0}

LOSSES: Registry[Loss] = Registry(
    "loss",
    {
        "cross_entropy": _entry(cross_entropy, "softmax", CLASSES, OF_CLASSES),
        "binary_cross_entropy": _entry(binary_cross_entropy, "sigmoid", LABELS, OF_CLASSES),
        "mse": _entry(mse, "identity", NUMBERS),
        "mae": _entry(mae, "identity", NUMBERS),
        "rmse": _entry(rmse, "identity", NUMBERS, total=root_of_mean),
        "huber": _entry(huber, "identity", NUMBERS, {"delta": 1.0}),
        "quantile": _entry(quantile, "identity", NUMBERS, {"quantile": 0.5}),
        "focal": _entry(focal, "softmax", CLASSES, {"focusing": 2.0, **OF_CLASSES}),
        "binary_focal": _entry(binary_focal, "sigmoid", LABELS, {"focusing": 2.0, **OF_CLASSES}),
    },
    hypers=HYPERS,
)
