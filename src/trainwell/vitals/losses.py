"""What the autograd graph of a loss tells: which loss it is, what the outputs passed last, whether shapes broadcast.

Only nodes and their shapes are read; they stay after `backward`, which frees what it no longer needs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Any

from torch import Tensor

Node = Any  # of torch.autograd.graph

PRIMARY = {
    "NllLoss": "nll",
    "NllLoss2D": "nll",
    "BinaryCrossEntropyWithLogits": "binary-logits",
    "BinaryCrossEntropy": "binary",
    "MseLoss": "squared",
    "SmoothL1Loss": "huber",
    "HuberLoss": "huber",
    "SoftMarginLoss": "margin",
    "MultiMarginLoss": "margin",
}
"""Nodes of torch's losses, and the kind of loss they are."""

FUNCTIONS = {
    "Softmax": "softmax",
    "SafeSoftmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "LogSigmoid": "log_sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "Softplus": "softplus",
    "Elu": "elu",
    "LeakyRelu": "leaky_relu",
    "Gelu": "gelu",
    "Silu": "silu",
    "Hardtanh": "hardtanh",
}
"""Element-wise nodes by the function they are; a layer's output that passed none of them is the layer's own."""

ALIASES = frozenset(
    "View UnsafeView Reshape ReshapeAlias Squeeze Unsqueeze Clone ToCopy Select Slice Transpose T Permute Alias "
    "Expand Index Split SplitWithSizes Unbind Cat Stack Contiguous AsStrided Flatten Unflatten Movedim".split()
)
"""Nodes that only arrange numbers."""

WEIGHTED = frozenset(
    "Addmm Mm Bmm Baddbmm Linear Convolution MkldnnConvolution Embedding EmbeddingBag CudnnRnn MkldnnRnnLayer "
    "NativeBatchNorm NativeLayerNorm NativeGroupNorm CompiledFunction AccumulateGrad".split()
)
"""Where a network's layers begin; a loss has none of them."""

SMOOTHING = frozenset("NllLoss NllLoss2D LogSoftmax Sum Mean Neg Mul Add Div MaskedFill".split())
"""Nodes of a cross-entropy with label smoothing."""

OTHERWISE = frozenset("Pow Exp Mm Bmm Logsumexp CtcLoss CudnnCtcLoss".split())
"""Nodes with which a loss of one log-softmax is something else than a cross-entropy."""

MOST_NODES = 200

CLASS_LOSSES = ("cross-entropy", "nll", "binary-logits", "binary", "margin")
NUMBER_LOSSES = ("squared", "absolute", "huber")


@dataclass(frozen=True)
class LossReading:
    """What a loss is made of.

    Attributes:
        kind: cross-entropy, nll, binary-logits, binary, squared, absolute, huber, margin, poisson (of rates),
            poisson-log (of their logarithms), divergence (of probabilities); "" when it is none of them or several.
        output: the last function that the outputs passed before the loss ("softmax" … or "identity"); "" when unknown.
        shape: of the outputs as the loss took them.
        compared: the shape in which outputs and targets were compared; larger than `shape` when they broadcast.
        terms: how many terms were summed up without being divided by their number; 1 for a mean, 0 when unknown.
        delta: of a huber loss, where the parabola ends. slope: its slope from there on (1 for torch's smooth L1).
        alone: whether nothing is added to it. weighted: whether classes or samples have weights, which are not known.
        across: whether a softmax is taken over the samples, and not over the classes.
        by_hand: whether a cross-entropy is put together from usual operations, as torch does it of soft targets.
        classes: of a cross-entropy or nll, by the axis that the loss takes; 0 of others.
        joined: whether another loss of the outputs is added to it, and not only a penalty on weights.
    """

    kind: str = ""
    output: str = ""
    shape: tuple[int, ...] = ()
    compared: tuple[int, ...] = ()
    terms: int = 1
    delta: float = 1.0
    slope: float = 1.0
    alone: bool = True
    weighted: bool = False
    across: bool = False
    by_hand: bool = False
    classes: int = 0
    joined: bool = False

    @property
    def chance(self) -> float | None:
        """Of a cross-entropy the loss of naming all classes alike, ln C; None of other losses."""
        known = self.classes > 1 and self.terms == 1 and self.alone
        return log(self.classes) if known and not (self.by_hand or self.weighted) else None

    @property
    def broadcasts(self) -> bool:
        """Whether every output was compared with every target."""
        return size(self.compared) > size(self.shape) > 0


def read_loss(loss: Tensor) -> LossReading:
    """What the loss of one batch is."""
    found = [(node, PRIMARY[name_of(node)]) for node in nodes_above(loss.grad_fn) if name_of(node) in PRIMARY]
    if len(found) > 1:
        return LossReading()
    if not found:
        return _by_hand(loss)
    node, kind = found[0]
    below, compared = through(source(node))
    path = path_to(node, loss.grad_fn)
    after = frozenset(map(name_of, path))
    if kind != "nll":
        beta, delta = getattr(node, "_saved_beta", None), getattr(node, "_saved_delta", 1.0)
        ends = (delta, delta) if beta is None else (beta, 1.0)
        terms = _terms(node, size(compared), path)
        ends = ends if kind == "huber" else (1.0, 1.0)
        alone = not after & {"Add", "Sub"}
        more = alone, _weighted(node, after)
        joined = not alone and _joined(node, path)
        return LossReading(kind, output_of(below), shape_of(below), compared, terms, *ends, *more, joined=joined)
    rows = shape_of(below)
    classes = rows[1] if len(rows) > 1 else 0  # as the loss takes them, whatever they were before
    terms = _terms(node, size(rows) // rows[1 if len(rows) > 1 else 0] if rows else 0, path)
    if name_of(below) == "LogSoftmax":
        below, kind = through(source(below))[0], "cross-entropy"
    alone = not after & {"Add", "Sub"} or _smoothed(loss)
    rest = 1.0, 1.0, alone, _weighted(node, after), _across(loss)
    shape, joined = shape_of(below), not alone and _joined(node, path)
    return LossReading(kind, output_of(below), shape, shape, terms, *rest, classes=classes, joined=joined)


def _joined(node: Node, path: list[Node]) -> bool:
    """Whether something that comes from layers is added to a loss on its way; weights themselves are none."""
    own = {node, *path}
    added = [child for after in path if name_of(after) in ("Add", "Sub") for child, _ in after.next_functions]
    waiting, seen = [child for child in added if child not in own], set[Node]()
    while waiting and len(seen) < MOST_NODES:
        below = waiting.pop()
        if below is not None and below not in seen:
            seen.add(below)
            if name_of(below) in WEIGHTED - {"AccumulateGrad"}:
                return True
            waiting += [child for child, _ in below.next_functions]
    return False


def _along(softmax: Node, shape: tuple[int, ...]) -> int:
    """How many numbers a softmax is taken over; torch keeps an axis from the end as a very large number."""
    axis = getattr(softmax, "_saved_dim", 1)
    return shape[axis if axis < len(shape) else -1] if len(shape) > 1 else 0


def _across(loss: Tensor) -> bool:
    """Whether a softmax of (B, C), or of (B, C, H, W), is taken over the samples, and not over the classes."""
    soft = [node for node in nodes_above(loss.grad_fn) if name_of(node) in ("Softmax", "LogSoftmax")]
    shapes = [shape_of(node) for node in soft if getattr(node, "_saved_dim", None) == 0]
    return any(len(shape) in (2, 4) and shape[0] != shape[1] > 1 for shape in shapes)


def _smoothed(loss: Tensor) -> bool:
    """Whether all that is added up comes from one log-softmax, as torch's label smoothing does it."""
    names = [name_of(node) for node in nodes_above(loss.grad_fn)]
    return names.count("LogSoftmax") == 1 and set(names) <= SMOOTHING | ALIASES


def _weighted(node: Node, after: frozenset[str]) -> bool:
    """Whether classes or samples have weights; those of classes are gone after `backward`, but that they were is seen.

    Losses of single samples that are multiplied before their mean is taken have weights, as the focal loss.
    """
    if getattr(node, "_saved_reduction", 1) == 0 and "Mul" in after:
        return True
    for name in ("_saved_weight", "_saved_pos_weight"):
        try:
            if getattr(node, name, None) is not None:
                return True
        except RuntimeError:  # it was there, and was freed
            return True
    return False


def _terms(node: Node, compared: int, path: list[Node]) -> int:
    """1 where the mean is taken, the number of terms where they are summed up; 0 where something else follows."""
    reduction = getattr(node, "_saved_reduction", 1)  # 0: none, 1: mean, 2: sum
    after = frozenset(map(name_of, path))
    if reduction == 2:
        return 0 if after & {"Div", "Mul"} else compared  # as a sum over the batch that is divided by its size
    if reduction == 0 and after & {"Mean", "Sum"} and not after - ALIASES - {"Mean", "Sum"}:
        return _summed(node, path)
    return int(reduction == 1)


def path_to(node: Node, root: Node) -> list[Node]:
    """The operations that follow a node, up to the loss."""
    came: dict[Node, Node | None] = {root: None}
    waiting = [root]
    while waiting and node not in came and len(came) < MOST_NODES:
        last = waiting.pop()
        for child, _ in last.next_functions:
            if child is not None and child not in came:
                came[child] = last
                waiting.append(child)
    path, at = list[Node](), came.get(node)
    while at is not None:
        path.append(at)
        at = came[at]
    return path


def _summed(node: Node, path: list[Node]) -> int:
    """How many terms of a node's numbers were added up, and not divided by their number, on the way to the loss."""
    terms = 1
    for before, after in zip([node, *path], path, strict=False):
        if name_of(after) == "Sum":
            terms *= size(shape_of(before)) // max(1, size(shape_of(after)))
    return terms


def _by_hand(loss: Tensor) -> LossReading:
    """A loss written with the usual operations: a mean of squares, of absolute values, or −Σ t·log p."""
    names = [name_of(node) for node in nodes_above(loss.grad_fn)]
    differences = [node for node in nodes_above(loss.grad_fn) if name_of(node) in ("Sub", "Rsub")]
    power = "squared" if "Pow" in names else "absolute" if "Abs" in names else ""
    rest = set(names) - ALIASES - {"Pow", "Abs", "Sub", "Rsub", "Mean", "Sum", "Div", "Mul", "Add"}
    if power and len(differences) == 1 and not rest:
        compared = shape_of(differences[0])
        below, _ = through(source(differences[0]))
        mean = _summed(differences[0], path_to(differences[0], loss.grad_fn)) if "Mean" in names else 0
        alone = "Add" not in names
        return LossReading(power, output_of(below), shape_of(below), compared, mean, alone=alone)
    logs = [node for node in nodes_above(loss.grad_fn) if name_of(node) == "LogSoftmax"]
    if len(logs) == 1 and not OTHERWISE & set(names):
        below, _ = through(source(logs[0]))
        mean = int("Mean" in names or "Div" in names)
        taken = shape_of(logs[0])
        return LossReading(
            "cross-entropy",
            output_of(below),
            shape_of(below),
            taken,
            mean,
            by_hand=True,
            classes=_along(logs[0], taken),
        )
    return (_divergence(differences[0], loss) or _poisson(differences[0])) if len(differences) == 1 else LossReading()


def _divergence(difference: Node, loss: Tensor) -> LossReading | None:
    """Σ t·(log t − z) of probabilities z, as torch's KLDivLoss puts it together, that came below 0.

    Of log-probabilities, which it takes, it can't.
    """
    below, _ = through(source(difference))
    below = through(source(below))[0] if name_of(below) == "Mul" else below
    same = shape_of(below) == shape_of(difference) and len(shape_of(below)) > 1
    if not same or output_of(below) not in ("softmax", "sigmoid") or not float(loss.detach()) < 0:
        return None
    return LossReading("divergence", output_of(below), shape_of(below), shape_of(difference))


def _poisson(difference: Node) -> LossReading:
    """λ − y·log λ, of outputs that are λ, or log λ."""
    first, second = ([child for child, _ in difference.next_functions] + [None, None])[:2]
    if first is None or name_of(second) != "Mul":
        return LossReading()
    told, _ = through(source(second))
    if name_of(first) == "Exp" and told is through(source(first))[0]:
        kind, below = "poisson-log", told
    elif name_of(told) == "Log":
        kind, below = "poisson", through(first)[0]
        inner = through(source(told))[0]
        if below is not (through(source(inner))[0] if name_of(inner) == "Add" else inner):  # torch adds a little
            return LossReading()
    else:
        return LossReading()
    output = output_of(below) or ("exp" if name_of(below) == "Exp" else "")
    return LossReading(kind, output, shape_of(below), shape_of(difference))


def nodes_above(root: Node) -> Iterator[Node]:
    """Nodes of the loss, from its end towards the outputs, down to the network's layers."""
    waiting, seen = [root], set()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        if node is None or node in seen or name_of(node) in WEIGHTED:
            continue
        seen.add(node)
        yield node
        waiting += [child for child, _ in node.next_functions]


def through(node: Node) -> tuple[Node, tuple[int, ...]]:
    """The first node below that does not only arrange numbers, and the shape in which the loss took them."""
    first = shape_of(node)
    while node is not None and name_of(node) in ALIASES and name_of(node) not in ("Cat", "Stack"):
        if name_of(node) == "Expand" and size(shape_of(node)) > size(shape_of(source(node))):
            return through(source(node))[0], first
        node = source(node)
    return node, first


def output_of(node: Node) -> str:
    """The function of a node, or identity for that of a layer; "" when it is something else."""
    name = name_of(node)
    return FUNCTIONS.get(name, "identity" if name in WEIGHTED - {"CompiledFunction"} else "")


def source(node: Node) -> Node:
    """What a node took first."""
    return next((child for child, _ in node.next_functions if child is not None), None) if node is not None else None


def name_of(node: Node) -> str:
    """The operation of a node: "Addmm" of an AddmmBackward0."""
    return "" if node is None else _without_backward(type(node).__name__)


@cache
def _without_backward(name: str) -> str:
    return re.sub(r"Backward\d*$", "", name)


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of what an operation gave."""
    known = getattr(node, "_input_metadata", None)
    return tuple(known[0].shape) if known else ()


def size(shape: tuple[int, ...]) -> int:
    """Numbers in a tensor of this shape; 0 for ()."""
    total = 1 if shape else 0
    for length in shape:
        total *= length
    return total
