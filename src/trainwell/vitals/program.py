"""What is known of a user's training beside the figures of its record: its parts, its loss, its targets, its loop."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.vitals.inside import CONVOLUTIONS, NORMS, Layer
from trainwell.vitals.losses import LossReading
from trainwell.vitals.origin import Origin
from trainwell.vitals.sequences import Memory
from trainwell.vitals.strays import NONE as NO_STRAYS, Strays
from trainwell.vitals.sureness import NONE, UNKNOWN, Follows, Shares
from trainwell.vitals.targets import Targets

DROPOUTS = (nn.modules.dropout._DropoutNd,)
MODAL = (*DROPOUTS, nn.modules.batchnorm._BatchNorm)
"""Layers that do one thing in training and another in evaluation."""


def modal_layers(model: nn.Module) -> list[nn.Module]:
    """Layers of a module that do so."""
    return [m for m in model.modules() if isinstance(m, MODAL) and getattr(m, "p", 1.0) > 0]


@dataclass(frozen=True)
class Stuck:
    """Parameters that do not learn, by the reason.

    Attributes:
        frozen: of layers that look as they were first drawn, and don't require a gradient. still: of others.
        unreached: without a gradient at every look. forgotten: in no optimizer though they look as first drawn.
        left_out: in no optimizer, of layers that were trained before. known: whether the optimizer is known.
        everything: whether nothing at all is trained. idle: whether the optimizer never made a step.
        unregistered: modules in a list or dict of Python, which torch does not know of.
    """

    frozen: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    everything: bool = False
    idle: bool = False
    unregistered: tuple[str, ...] = ()
    still: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A user's training as far as it was seen.

    Attributes:
        settings: plain values by the paths of remedies (`optimizer.learning_rate`, `network.activation` …).
        loss: what the loss is made of. targets: what they are like. outputs: (B, C) as the loss takes them.
        given_task: as the user named it, or "".
        batch: samples in a batch, 0 when unknown.
        bends: functions and layers of a forward pass that are not linear. weighted: layers with weights in it. None
            when they were not looked at.
        chains: pairs of dense or convolutional layers with nothing between them that bends, of all such pairs; through
            a narrow layer, which is a choice, straight ones don't count.
        narrowest: units of the narrowest hidden layer, 0 when unknown. recurrent: whether a layer is.
        symmetric: layers whose units are all alike and get the same gradient.
        accumulating: looks at which an old gradient was still in the sum, and all such looks.
        training_in_eval: updates made in evaluation mode, and all updates.
        judged_in_train: judgements made in training mode, and all judgements.
        dropped: the function that dropped units in a pass in evaluation mode, or "".
        lagging: the batch norm whose statistics for evaluation lag most, and the share of their way that they went.
        modal: whether the module has layers that the mode matters for, among its trained parts.
        stuck: parameters that do not learn.
        idle_biases: layers whose bias a norm after them takes away again.
        dropout: the largest rate of dropout. penalty: share of the loss that is not the loss of outputs and targets.
        origin: where the first NaN came from. over: whether the training has ended.
        overlapping: share of the windows judged by that hold a piece of one trained on.
        answered: batches whose inputs hold their targets at the same places, and all that were looked at.
        telling: the place of an input that tells the target alone.
        doubled: share of the rows of a batch that are there twice. blank: of those that hold one number only.
        leaked: share and number of the rows trained on that were judged by. apart: how far the rows judged by lie from
            them, in deviations. stretched: how many times larger the deviation of the ones is than that of the others,
            in the middle input. furthest: how far they lie apart in one input of a table, and which.
        silent: updates with a gradient of exactly 0 at the last layer, and all that were looked at.
        constant_output: whether all samples got the same outputs in the last looks. output_range: of outputs.
        single: batches that hold one class, of those with at least eight samples that were looked at.
        along: layers for sequences that run along the batch. memory: of plain recurrent layers; see `sequences`.
        sureness: what `vitals.sureness` tells of newest outputs, or those before the best judgement. early: of the
            first ones that show that something was learned. strays: of numbers to predict. follows: how far the newest
            outputs follow these numbers.
        future: by how much outputs change with later inputs that hold their targets. mixed: with other samples.
        notes: what could not be looked at, and why.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    loss: LossReading = field(default_factory=LossReading)
    targets: Targets | None = None
    given_task: str = ""
    batch: int = 0
    bends: int | None = None
    weighted: int | None = None
    chains: tuple[int, int] = (0, 0)
    narrowest: int = 0
    recurrent: bool = False
    symmetric: tuple[str, ...] = ()
    accumulating: tuple[int, int] = (0, 0)
    training_in_eval: tuple[int, int] = (0, 0)
    judged_in_train: tuple[int, int] = (0, 0)
    dropped: str = ""
    lagging: tuple[str, float] = ("", 1.0)
    modal: bool = False
    stuck: Stuck = field(default_factory=Stuck)
    idle_biases: tuple[str, ...] = ()
    dropout: float = 0.0
    penalty: float | None = None
    origin: Origin | None = None
    over: bool = False
    doubled: float = 0.0
    blank: float = 0.0
    leaked: tuple[float, int] = (0.0, 0)
    overlapping: float = 0.0
    telling: int | None = None
    answered: tuple[int, int] = (0, 0)
    apart: float = 0.0
    stretched: float = 1.0
    furthest: tuple[float, int] = (0.0, 0)
    silent: tuple[int, int] = (0, 0)
    constant_output: bool = False
    output_range: tuple[float, float] | None = None
    single: tuple[int, int] = (0, 0)
    along: tuple[str, ...] = ()
    memory: tuple[Memory, ...] = ()
    sureness: Shares = NONE
    early: Shares = NONE
    strays: Strays = NO_STRAYS
    follows: Follows = UNKNOWN
    future: float = 0.0
    mixed: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """regression, binary, multiclass, or "" when it is not clear."""
        if self.given_task:
            return {"classification": "multiclass"}.get(self.given_task, self.given_task)
        kind = self.loss.kind
        if kind in ("cross-entropy", "nll", "margin"):
            return "multiclass"
        if kind in ("binary-logits", "binary"):
            return "binary"
        if self.targets is not None and kind in ("squared", "absolute", "huber"):
            return self.targets.task
        return ""


def settings_of(model: nn.Module, optimizers: Sequence[Any], layers: Sequence[Layer]) -> dict[str, Any]:
    """Module and optimizer as plain values, by the paths of remedies."""
    kinds = [type(module).__name__ for module in model.modules()]
    norm = (
        "batch"
        if any("BatchNorm" in k for k in kinds)
        else "layer"
        if any(isinstance(m, NORMS) for m in model.modules())
        else "none"
    )
    values: dict[str, Any] = {
        "network.depth": max(0, len(layers) - 1),
        "network.norm": norm,
        "network.residual": False,
        "regularisation.dropout": max((m.p for m in model.modules() if isinstance(m, DROPOUTS)), default=0.0),
        "initialiser.name": "as it comes",
    }
    for optimizer in optimizers[:1]:
        group = optimizer.param_groups[0]
        values["optimizer.name"] = type(optimizer).__name__.lower()
        values["optimizer.learning_rate"] = float(group.get("initial_lr", group["lr"]))
        values["optimizer.weight_decay"] = float(group.get("weight_decay", 0.0))
        momentum = group.get("momentum", group.get("betas", (0.0,))[0])
        values["optimizer.momentum"] = float(momentum)
    return values


def idle_biases(model: nn.Module) -> tuple[str, ...]:
    """Layers with a bias directly before a batch norm, in an `nn.Sequential`."""
    found = []
    for name, parent in model.named_modules():
        if isinstance(parent, nn.Sequential):
            children = list(parent.named_children())
            for (key, one), (_, other) in zip(children, children[1:], strict=False):
                weighted = isinstance(one, (nn.Linear, *CONVOLUTIONS))
                if weighted and one.bias is not None and isinstance(other, nn.modules.batchnorm._BatchNorm):
                    found.append(f"{name}.{key}" if name else key)
    return tuple(found)


@torch.no_grad()
def looks_untrained(module: nn.Module) -> bool:
    """Whether a layer's weights are as torch draws them: uniform within ±1/√fan_in, and nothing beyond.

    A trained weight soon leaves that range, or its even spread.
    """
    weight = module._parameters.get("weight")  # not module.weight: a parametrization may change at each access
    if weight is None or weight.dim() < 2 or isinstance(module, nn.Embedding):
        return False
    w = weight.detach().float().flatten(1)
    bound = w.shape[1] ** -0.5
    largest, kurtosis = float(w.abs().max()) / bound, float((w**4).mean() / (w**2).mean().clamp_min(1e-30) ** 2)
    enough = w.numel() >= 32
    within = largest <= 1.0001 and largest > 1 - 8 / w.numel()
    return enough and within and abs(kurtosis - 1.8) < 8 / w.numel() ** 0.5


@torch.no_grad()
def alike(matrix: Tensor, gates: int = 1, rounding: float = 0.0) -> bool:
    """Whether the rows of a weight matrix (gates·H, …) are all the same within each gate, H > 1, up to `rounding`."""
    rows = matrix.detach().flatten(1)
    rows = rows.view(gates, -1, rows.shape[1]) if len(rows) % gates == 0 else rows[None]
    if rows.shape[1] < 2:
        return False
    return bool((rows - rows[:, :1]).abs().max() <= max(1e-6 * float(rows.abs().max()), rounding))


def narrowest(model: nn.Module, chained: Iterable[tuple[str, str]], weighted: int) -> int:
    """Units of the narrowest dense layer through which everything passes; 0 where there is none.

    Everything passes only where each of the layers is fed by one other, and feeds one.
    """
    pairs = list(chained)
    fed, feeding = {other for _, other in pairs}, {one for one, _ in pairs}
    if not len(pairs) == len(fed) == len(feeding) == weighted - 1:
        return 0
    modules = dict(model.named_modules())
    units = [m.out_features for name in feeding if isinstance(m := modules.get(name), nn.Linear)]
    return min(units, default=0)


def straight_pairs(model: nn.Module, chained: Mapping[tuple[str, str], bool]) -> tuple[int, int]:
    """How many layers are fed by another one with nothing between them that bends, of how many that are."""
    modules, straight = dict(model.named_modules()), 0
    for (one, other), direct in chained.items():
        first, second = ([n for n in modules[name].weight.shape[:2]] for name in (one, other))  # pyright: ignore
        narrow = first[0] < min(first[1], second[0])
        straight += direct and not narrow
    return straight, len(chained)


def symmetric_layers(model: nn.Module, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Layers of several units whose weights are all the same, and whose gradients are too."""
    named, found = dict(model.named_parameters(remove_duplicate=False)), []
    slopes = [p.grad.detach().abs().max() for p in named.values() if p.grad is not None and not p.grad.is_sparse]
    rounding = 1e-6 * float(torch.stack(slopes).max()) if slopes else 0.0
    for layer in layers:
        weights = [named[key] for key in layer.weights]
        gradients = [p.grad for p in weights if p.grad is not None and not p.grad.is_sparse]
        gates = gates_of(layer.module)
        if isinstance(layer.module, nn.Embedding | nn.EmbeddingBag):  # its rows are no units
            continue
        if all(alike(m, gates) for m in weights) and all(alike(g, gates, rounding) for g in gradients):
            found.append(layer.name)
    return tuple(found)


def gates_of(module: nn.Module) -> int:
    """Blocks of rows that a recurrent layer keeps in one matrix; else 1."""
    kinds = {nn.LSTM: 4, nn.LSTMCell: 4, nn.GRU: 3, nn.GRUCell: 3, nn.MultiheadAttention: 3}
    return kinds.get(type(module), 1)


def stuck_parameters(
    model: nn.Module, optimizers: Sequence[Any], unreached: Sequence[str], *, known: bool, idle: bool = False
) -> Stuck:
    """Which parameters do not learn, and why. `unreached`: those without a gradient at every look."""
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    fresh = {name for name, module in model.named_modules() if looks_untrained(module)}
    of_fresh = {n for n in named if n.rpartition(".")[0] in fresh}
    trained = [n for n, p in named.items() if p.requires_grad and (not known or id(p) in held)]
    if known and held - {id(p) for p in named.values()}:  # what was replaced after the optimizer was made
        of_fresh |= {n for n in named if n not in unreached}
    fixed = [n for n, p in named.items() if not p.requires_grad and n.endswith("weight")]
    return Stuck(
        frozen=tuple(n for n in fixed if n in of_fresh),
        still=tuple(n for n in fixed if n not in of_fresh),
        unreached=tuple(n for n in unreached if named[n].requires_grad and n in trained and not _shifts(n, unreached)),
        forgotten=tuple(
            n for n, p in named.items() if known and p.requires_grad and id(p) not in held and n in of_fresh
        ),
        left_out=tuple(
            n for n, p in named.items() if known and p.requires_grad and id(p) not in held and n not in of_fresh
        ),
        everything=bool(named) and not trained,
        idle=idle,
        unregistered=unregistered(model),
    )


def _shifts(name: str, unreached: Sequence[str]) -> bool:
    """Whether a bias gets no gradient and the weights beside it do, as where a loss takes a slope of the outputs."""
    layer, _, part = name.rpartition(".")
    return part == "bias" and f"{layer}.weight" not in unreached


def lagging(model: nn.Module) -> tuple[str, float]:
    """The batch norm whose statistics for evaluation went the smallest share of their way from the first ones, by its
    momentum and the batches it saw, and that share; ("", 1) without one that saw batches.

    >>> lagging(nn.BatchNorm1d(3))
    ('', 1.0)
    """
    shares = {
        name: 1 - (1 - module.momentum) ** int(module.num_batches_tracked)
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
        and module.momentum is not None
        and module.num_batches_tracked is not None
        and int(module.num_batches_tracked) > 0
    }
    name = min(shares, key=lambda key: shares[key], default="")
    return name, shares.get(name, 1.0)


def unregistered(model: nn.Module) -> tuple[str, ...]:
    """Attributes that hold modules or parameters in a list, tuple or dict of Python."""
    known, found = set(map(id, [*model.modules(), *model.parameters()])), []
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            parts = list(value.values()) if isinstance(value, dict) else value
            if key.startswith("_") or not isinstance(parts, list | tuple):
                continue
            held = [part for part in parts if isinstance(part, nn.Module | nn.Parameter) and id(part) not in known]
            if any(isinstance(part, nn.Parameter) or any(True for _ in part.parameters()) for part in held):
                found.append(f"{name}.{key}" if name else key)
    return tuple(found)
