"""Three ways to compute a user's module for all members: by rules a layer, by `torch.vmap`, one member after another.

Each takes a `Pass` and gives the module's outputs (K, B, …); in training, buffers are updated in place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainwell.base.randomness import gpus
from trainwell.ingredients import dropout
from trainwell.networks.dense import Noise
from trainwell.networks.layer_rules import Step

OwnTensors = dict[str, Tensor]


@dataclass
class Pass:
    """One forward pass.

    Attributes:
        tensors: parameters (K, …) by name, trained ones and frozen ones.
        buffers: running statistics (K, …) by name; those of `whole` numbers are kept as floats.
        inputs: what the module takes, (K or 1, B, …) each.
        rates: the rate of dropout of each member (K, 1), or None: each layer has its own.
        shown: outputs (K, B, …) of the layers named `watched`, filled on the way.
    """

    members: int
    tensors: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    inputs: Sequence[Tensor]
    training: bool
    noise: Noise | None = None
    rates: Tensor | None = None
    whole: Mapping[str, torch.dtype] = field(default_factory=dict)
    watched: Sequence[str] = ()
    shown: dict[str, Tensor] = field(default_factory=dict)
    _factors: list[Tensor] = field(default_factory=list)

    def factors(self, turn: int, rate: float, shape: torch.Size, like: Tensor) -> Tensor:
        """What the `turn`-th dropout of the pass multiplies (K, *shape) with; drawn at the first call."""
        assert self.noise is not None and turn <= len(self._factors)
        if turn == len(self._factors):
            samples, units = shape[0], shape[1:].numel()
            p = like.new_full((self.members, 1), rate) if self.rates is None else self.rates
            uniform = self.noise.uniform(f"dropout.{turn}", units, samples).transpose(1, 2)
            self._factors.append(dropout(like.new_ones(()), p, uniform).reshape(self.members, *shape))
        return self._factors[turn]


class Silencer(nn.Module):
    """Stands for `nn.Dropout` in the template: its noise is the engine's, so that it belongs to (seed, step)."""

    def __init__(self, rate: float, now: "Now") -> None:
        super().__init__()
        self.p, self.now = rate, now

    def forward(self, h: Tensor) -> Tensor:
        now = self.now
        if not self.training or now.running is None or now.running.noise is None:
            return h
        factors = now.running.factors(now.turn, self.p, h.shape, h)
        now.turn += 1
        if isinstance(now.member, int):
            return h * factors[now.member]
        return h * factors.index_select(0, now.member.reshape(1)).squeeze(0)


@dataclass
class Now:
    """Which member of which pass the template computes; under vmap the member is a number of all members at once."""

    running: Pass | None = None
    member: int | Tensor = 0
    turn: int = 0

    def begin(self, member: int | Tensor) -> None:
        """A member's turn: its dropouts are counted from the first."""
        self.member, self.turn = member, 0


def by_rules(steps: Sequence[Step], canonical: Mapping[str, str], now: Pass) -> Tensor:
    """Layer by layer, each for all members at once. `canonical`: the name under which a shared tensor is kept."""
    (h,), turn, everything = now.inputs, 0, {**now.tensors, **now.buffers}
    for step in steps:
        if step.rule is None:
            if now.training and now.noise is not None:
                h = h * now.factors(turn, step.layer.p, h.shape[1:], h)  # pyright: ignore[reportArgumentType]
                turn += 1
            continue
        prefix = f"{step.name}." if step.name else ""
        names = [*step.layer._parameters, *step.layer._buffers]
        places = {name: canonical.get(prefix + name, "") for name in names}
        own = {name: everything[place] for name, place in places.items() if place in everything}
        h = step.rule(step.layer, h, own, now.training)
        if step.name in now.watched:
            now.shown[step.name] = h.detach()
    return h.expand(now.members, *h.shape[1:])


def by_turns(template: nn.Module, state: Now, now: Pass, *, random: bool) -> Tensor:
    """One member after another; with `random`, each from a seed of its own at each step."""
    rows = {name: tensor.unbind(0) for name, tensor in now.tensors.items()}
    shared, buffers = [len(x) == 1 for x in now.inputs], _typed(now)
    parts: list[Tensor] = []
    shown: dict[str, list[Tensor]] = {name: [] for name in now.watched}
    with _set(template, state, now), _random(now, random) as seeds:
        for k in range(now.members):
            state.begin(k)
            if seeds is not None:
                torch.manual_seed(seeds[k % len(seeds)])
            own = {name: row[k] for name, row in rows.items()} | {
                name: buffer[k].clone() for name, buffer in buffers.items()
            }
            inputs = tuple(x[0 if one else k] for x, one in zip(now.inputs, shared, strict=True))
            with _watching(template, now.watched) as seen:
                parts.append(functional_call(template, own, inputs))
            for name, signal in seen.items():
                shown[name].append(signal)
            if now.training:
                for name, buffer in now.buffers.items():
                    buffer[k].copy_(own[name].detach())
    now.shown.update({name: torch.stack(signals) for name, signals in shown.items() if signals})
    return torch.stack(parts)


def by_vmap(template: nn.Module, state: Now, now: Pass) -> Tensor:
    """All members in one call, by torch's batching rules."""

    def one(
        member: Tensor, tensors: OwnTensors, buffers: OwnTensors, *inputs: Tensor
    ) -> tuple[Tensor, OwnTensors, OwnTensors]:
        state.begin(member)
        own = {**tensors, **{name: buffer.clone() for name, buffer in buffers.items()}}
        with _watching(template, now.watched) as seen:
            z = functional_call(template, own, inputs)
        return z, {name: own[name].detach() for name in buffers}, dict(seen)

    numbers = torch.arange(now.members, device=now.inputs[0].device)
    inputs = [x[0] if len(x) == 1 else x for x in now.inputs]
    sides = (0, 0, 0, *(None if len(x) == 1 else 0 for x in now.inputs))
    with _set(template, state, now), _attention(now.inputs[0].device):
        # "same": what Silencer draws, for all members at once, is drawn as if there were no vmap
        run = torch.vmap(one, in_dims=sides, randomness="same")
        z, after, shown = run(numbers, dict(now.tensors), _typed(now), *inputs)
    now.shown.update(shown)
    if now.training:
        for name, buffer in now.buffers.items():
            buffer.copy_(after[name])
    return z


def _typed(now: Pass) -> OwnTensors:
    """Copies of the buffers as the module has them: autograd keeps what it is given, and they change in place."""
    whole = now.whole
    return {n: b.round().to(whole[n]) if n in whole else b.clone() for n, b in now.buffers.items()}


@contextmanager
def _set(template: nn.Module, state: Now, now: Pass) -> Iterator[None]:
    """The template in training or evaluation for this pass; attention without its shortcut, which vmap doesn't know."""
    if template.training != now.training:
        template.train(now.training)
    fast, state.running = torch.backends.mha.get_fastpath_enabled(), now
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        state.running = None
        torch.backends.mha.set_fastpath_enabled(fast)


def _attention(device: torch.device) -> AbstractContextManager[object]:
    """Attention as formulas on a CPU, where vmap has no rule for torch's kernel."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


@contextmanager
def _random(now: Pass, random: bool) -> Iterator[list[int] | None]:
    """Seeds of the members' noise in this step, of which the global generators know nothing afterwards."""
    if not random or not now.training or now.noise is None:
        yield None
        return
    whole = (now.noise.uniform("module", 2, 1).double() * 2**24).long().cpu()  # (K or 1, 2, 1), 24 bits each
    with torch.random.fork_rng(devices=gpus()):
        yield [int(high) * 2**24 + int(low) for high, low in whole.flatten(1).tolist()]


@contextmanager
def _watching(template: nn.Module, watched: Sequence[str]) -> Iterator[OwnTensors]:
    """Collects the outputs of these layers."""
    seen: OwnTensors = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                seen[name] = output.detach()

        return hook

    hooks = [template.get_submodule(name).register_forward_hook(keep(name)) for name in watched]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
