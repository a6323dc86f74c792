"""What a user's module shows on its example: sizes, use of random numbers, and which ways to compute it agree."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainwell.base import InputError, stream_seed
from trainwell.base.randomness import gpus
from trainwell.networks.dense import Noise
from trainwell.networks.inventory import changing_buffers
from trainwell.networks.layer_rules import DROPOUTS
from trainwell.networks.ways import Now, Pass, Silencer

Inputs = tuple[Tensor, ...]
TRIED = 6  # samples of the example that are looked at
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest number in what is compared


@dataclass(frozen=True)
class Facts:
    """What one pass forward and back has shown.

    Attributes:
        outputs: C. widest: numbers a sample has in the widest signal.
        random: whether random numbers were drawn, by others than `nn.Dropout`.
        changing: buffers of whole numbers that training writes to. unused: parameters that the outputs don't depend on.
    """

    outputs: int
    widest: int
    random: bool
    changing: tuple[str, ...]
    unused: tuple[str, ...]


def example_batch(example: Tensor | Sequence[Tensor]) -> Inputs:
    """The example as a tuple of inputs, at least two samples of each.

    Raises:
        InputError: it isn't one or two tensors with as many samples, samples first.
    """
    inputs = (example,) if isinstance(example, Tensor) else tuple(example)
    fits = 1 <= len(inputs) <= 2 and all(isinstance(x, Tensor) and x.dim() >= 1 and len(x) >= 1 for x in inputs)
    if not fits or len({len(x) for x in inputs}) != 1:
        raise InputError(
            "example must be a batch of inputs (B, …), or a pair of them (x, categories), but is "
            f"{[tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in inputs]}."
        )
    usual = torch.get_default_dtype()  # what modules are built in, whatever the data are
    inputs = tuple(x.detach().cpu()[:TRIED].to(usual if x.is_floating_point() else x.dtype) for x in inputs)
    return tuple(torch.cat([x, x]) if len(x) == 1 else x for x in inputs)


def replace_dropouts(module: nn.Module, now: Now, *, keep_zero: bool) -> int:
    """Let the engine draw the noise of each `nn.Dropout`; how many there are. A rate of 0 stays, if asked to."""
    count = 0
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in DROPOUTS and not (keep_zero and child.p == 0):  # pyright: ignore[reportAttributeAccessIssue]
                setattr(parent, name, Silencer(child.p, now))  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
                count += 1
    return count


def learn(module: nn.Module, now: Now, inputs: Inputs) -> Facts:
    """One pass of the module with its dropouts replaced, forward and back; its buffers are changed.

    Raises:
        InputError: the module can't take the example, or gives something else than (B, C) or (B,).
    """
    sizes = [x[0].numel() for x in inputs]

    def measure(layer: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(-(-output.numel() // len(inputs[0])))

    hooks = [layer.register_forward_hook(measure) for layer in module.modules()]
    before = {name: buffer.clone() for name, buffer in module.named_buffers() if not buffer.is_floating_point()}
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    own = next((p.dtype for p in parameters.values() if p.is_floating_point()), torch.get_default_dtype())
    given = [x.to(own if x.is_floating_point() else x.dtype) for x in inputs]
    try:
        with torch.random.fork_rng(devices=gpus()):
            now.running = Pass(1, {}, {}, [], True, fixed_noise(1))
            now.begin(0)
            state = torch.get_rng_state()
            z = module.train()(*(x.clone() for x in given))
            random = not torch.equal(state, torch.get_rng_state())
        z = as_outputs(z[None] if isinstance(z, Tensor) else z, len(inputs[0]))
        slopes = torch.autograd.grad(z.sum(), list(parameters.values()), allow_unused=True) if parameters else ()
    except InputError:
        raise
    except Exception as error:  # whatever the user's code may raise
        shapes = " and ".join(str(tuple(x.shape)) for x in inputs)
        raise InputError(f"The module fails on the example {shapes}: {first_line(error)}") from error
    finally:
        now.running = None
        for hook in hooks:
            hook.remove()
    unused = [name for name, slope in zip(parameters, slopes, strict=True) if slope is None]
    if len(unused) == len(parameters):
        raise InputError("The module has no parameter to train: its outputs depend on none, or all are frozen.")
    return Facts(z.shape[1], max(sizes), random, tuple(changing_buffers(before, module)), tuple(unused))


def as_outputs(z: Tensor, samples: int) -> Tensor:
    """(K, B, C) or (K, B) as the engine has outputs: (K, C, B).

    Raises:
        InputError: it is something else.
    """
    if not isinstance(z, Tensor) or z.dim() not in (2, 3) or z.shape[1] != samples:
        given = tuple(z.shape[1:]) if isinstance(z, Tensor) else type(z).__name__
        raise InputError(
            f"The module must give outputs (B, C) or (B,) for B samples, but gives {given} for {samples}: "
            "flatten or average what is left of space and time."
        )
    return z.unsqueeze(1) if z.dim() == 2 else z.transpose(1, 2)


def fixed_noise(members: int) -> Noise:
    """Noise for a trial; each member its own, drawn in the order in which it is asked for."""
    draw = torch.Generator().manual_seed(stream_seed("trial", members))
    return Noise(lambda name, units, samples: torch.rand(members, units, samples, generator=draw))


def disagreement(
    one: Callable[[Pass], Tensor], other: Callable[[Pass], Tensor], passes: Sequence[Callable[[], Pass]]
) -> str:
    """How two ways to compute differ in outputs, gradients or buffers, or why one fails; nothing when they agree."""
    for build in passes:
        here, there = _results(other, build()), None
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", ".*performance drop.*")  # vmap without a rule: a loop, and a slow one
                there = _results(one, build())
        except Exception as error:  # whatever the user's code and torch may raise
            return first_line(error)
        for name, value in here.items():
            apart, scale = (there[name] - value).abs().max() if value.numel() else 0.0, CLOSE[value.dtype]
            if not apart <= scale * (1 + (float(value.abs().max()) if value.numel() else 0.0)):
                return f"{name} differ by {float(apart):.1e} from members computed alone"
    return ""


def _results(run: Callable[[Pass], Tensor], now: Pass) -> Mapping[str, Tensor]:
    """Outputs, buffers, and in training the gradients of a projection of the outputs."""
    if not now.training:
        with torch.no_grad():
            return {"outputs in evaluation": run(now)}
    z = run(now)
    weights = {name: t for name, t in now.tensors.items() if t.requires_grad}
    projection = torch.linspace(-1, 1, z.numel(), dtype=z.dtype).view(z.shape)
    slopes = torch.autograd.grad((z * projection).sum(), list(weights.values()), materialize_grads=True)
    after = {f"buffers '{name}'": buffer.clone() for name, buffer in now.buffers.items()}
    gradients = {f"gradients of '{name}'": slope for name, slope in zip(weights, slopes, strict=True)}
    return {"outputs": z.detach(), **gradients, **after}


def first_line(error: Exception) -> str:
    """The first sentence of what an error says."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text.removeprefix("vmap: ").partition(". ")[0].rstrip(".")
