"""The two ends of a user's module: what its first weights are fed, and what its outputs can be.

Judged by what the module does, not by its code: on some rows, with its first weights, and with large ones.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from trainwell.networks.inventory import NORMS
from trainwell.networks.trial import as_outputs

FACTORS = (1.0, *(20.0, 1e3) * 6)  # large weights drive outputs out of any range that is not a function's own
ROWS = 32
Build = Callable[[], nn.Module]


def output_function(build: Build, x: Tensor) -> str:
    """What the module applies to its outputs: softmax, log_softmax, sigmoid, tanh, relu (≥ 0), or identity.

    Args:
        build: gives the same untrained module at each call. x: some rows.
    """
    found = [z.double() for z in _outputs(build, x)]
    if not found:
        return "identity"
    z = torch.cat(found)
    if z.shape[1] > 1 and bool((z.exp().sum(1) - 1).abs().max() < 1e-3):
        return "log_softmax"
    if z.shape[1] > 1 and bool((z >= 0).all()) and bool((z.sum(1) - 1).abs().max() < 1e-3):
        return "softmax"
    low, high = float(z.min()), float(z.max())
    if high - low < 1e-6:
        return "identity"  # outputs that start at 0 tell nothing
    if low >= 0:
        return "sigmoid" if high <= 1 else "relu"
    return "tanh" if low >= -1 and high <= 1 else "identity"


@torch.no_grad()
def last_linear(build: Build, x: Tensor) -> str | None:
    """The name of the `nn.Linear` whose outputs are the module's own, its weights its own too; None without one."""
    module = build()
    tensors = [id(p) for _, p in module.named_parameters(remove_duplicate=False)]
    linear = {name: layer for name, layer in module.named_modules() if type(layer) is nn.Linear}
    candidates = {name for name, layer in linear.items() if _is_free(layer, tensors)}
    for module in _variants(build):
        z, calls = _watched(module, candidates, x[:ROWS])
        candidates = {name for name in candidates if len(calls[name]) == 1 and _same(calls[name][0], z)}
    return next(iter(candidates), None)


def first_inputs(build: Build, x: Tensor) -> Tensor | None:
    """(N', D) numbers that reach the first layer with a matrix of weights; None where these are no numbers.

    As in training, where a norm before it scales them, but without dropout.
    """
    module, fed = build().train(), []

    def keep(layer: nn.Module, given: tuple[object, ...]) -> None:
        if given:
            fed.append(given[0])

    for layer in module.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.eval()
        if not isinstance(layer, NORMS) and any(p.dim() > 1 for p in layer.parameters(recurse=False)):
            layer.register_forward_pre_hook(keep)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        module(x)
    if not fed or not isinstance(fed[0], Tensor) or not fed[0].is_floating_point() or fed[0].dim() < 2:
        return None
    return fed[0].flatten(1) if len(fed[0]) == len(x) else fed[0].flatten(0, -2)


@torch.no_grad()
def _outputs(build: Build, x: Tensor) -> Iterator[Tensor]:
    """Finite outputs (N, C) under each variant of the weights."""
    for module in _variants(build):
        z = as_outputs(module(x[:ROWS])[None], len(x[:ROWS]))[0].T
        if torch.isfinite(z).all():
            yield z


@torch.no_grad()
def _variants(build: Build) -> Iterator[nn.Module]:
    """The untrained module, and others with larger weights of random signs."""
    draw = torch.Generator().manual_seed(0)
    for factor in FACTORS:
        module = build()
        for p in module.parameters() if factor > 1 else ():
            p.mul_(factor * (2 * torch.randint(0, 2, p.shape, generator=draw) - 1))
        yield module.eval()


def _watched(module: nn.Module, names: Iterable[str], x: Tensor) -> tuple[object, dict[str, list[object]]]:
    """The module's outputs, and those of each call of these layers."""
    calls: dict[str, list[object]] = {name: [] for name in names}
    for name, seen in calls.items():
        module.get_submodule(name).register_forward_hook(lambda layer, given, z, seen=seen: seen.append(z))
    return module(x), calls


def _is_free(layer: nn.Linear, tensors: list[int]) -> bool:
    """Whether its weights are trained, with a bias, and stand nowhere else."""
    parts = (layer.weight, layer.bias)
    return all(p is not None and p.requires_grad and tensors.count(id(p)) == 1 for p in parts)


def _same(a: object, b: object) -> bool:
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.numel() == b.numel() and a.flatten().equal(b.flatten())
