"""A user's own module as a structure of populations: its parameters are slots of θ, one call of the factory a member.

    blueprint = ModuleBlueprint(make, example)      # make() → nn.Module, which takes (B, …) and gives (B, C) or (B,)
    print(blueprint.way, blueprint.why)             # how all members are computed at once

Contract: a `Structure`, whose samples come first in x (K or 1, B, …). The first weights are those that the module gives
itself, each member's under a seed of its own; the plan's initialiser and network section are not read.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.base import InputError, Seeds, stream_seed
from trainwell.base.layout import Columns, Views
from trainwell.base.randomness import gpus
from trainwell.ingredients import input_noise, mixup
from trainwell.networks.dense import Noise, Tap
from trainwell.networks.inventory import Inventory
from trainwell.networks.layer_rules import DROPOUTS, steps_of
from trainwell.networks.trial import (
    as_outputs,
    disagreement,
    example_batch,
    first_line,
    fixed_noise,
    learn,
    replace_dropouts,
)
from trainwell.networks.ways import Now, Pass, by_rules, by_turns, by_vmap

WAYS = ("batched", "vmap", "loop")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRIED = 2  # members that a way is tried with


class ModuleBlueprint:
    """The structure of a user's module.

    Args:
        make: builds the module anew at each call, always of the same structure.
        example: a batch of inputs as the module takes them (B, …); a pair is taken as (x, categories).
        way: "auto", or one of `WAYS`. Under "auto" the first of them is taken that agrees, on the example, with members
            computed one after another: in outputs, gradients and buffers.
        own_rates: each `nn.Dropout` keeps the module's rate; otherwise it is the plan's, in which members differ.
        device: where the members will be computed. On a CPU convolutions are faster one after another than by vmap.

    Attributes:
        way, why: how members are computed, and the reason in words.
        layout: the trained parameters by their names, tied ones once. statistics: frozen parameters, and buffers.
        outputs: C. widest: numbers a sample has in the widest signal. noisy: random numbers are drawn in training.
        in_float64: whether the module can be computed in float64.

    Raises:
        InputError: the factory or the example does not fit, or the way asked for does not.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        example: Tensor | Sequence[Tensor],
        *,
        way: str = "auto",
        own_rates: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        if way not in ("auto", *WAYS):
            raise InputError(f"way must be auto, {', '.join(WAYS)}, but is '{way}'.")
        self.make, self._example, self.own_rates = make, example_batch(example), own_rates
        self._now = Now()
        self._template, other = self.fresh(0), self.fresh(1)
        if other is self._template:
            raise InputError("make must build a new module at each call, but gives the same one again.")
        self._steps = steps_of(self._template)
        dropouts = replace_dropouts(self._template, self._now, keep_zero=own_rates)
        facts = learn(self._template, self._now, self._example)
        self.outputs, self.widest, self._random = facts.outputs, facts.widest, facts.random
        self._unused = facts.unused
        self._inventory = Inventory.of(self.fresh(0), other, facts.changing)
        self.layout, self.statistics = self._inventory.layout, self._inventory.statistics
        self.noisy = self._random or (own_rates and dropouts > 0)
        self._device = torch.device("cpu")
        self.way, self.why = self._chosen(way, torch.device(device))

    def fresh(self, seed: int) -> nn.Module:
        """A new module with the first weights of this seed; the global random streams stay as they are."""
        module = built(self.make, seed)
        if any(isinstance(p, nn.parameter.UninitializedParameter) for p in module.parameters()):
            with torch.random.fork_rng(devices=gpus()):
                torch.manual_seed(stream_seed(seed, "lazy"))
                module(*self._example)  # lazy layers take their sizes from their first input
        return module

    def untrained(self) -> nn.Module:
        """One module with its first weights, in the type in which it is trained."""
        return self.fresh(0).to(torch.get_default_dtype())

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers with a weight matrix, in the module's order."""
        names = [slot.name for slot in self.layout.slots if slot.start == "weight"]
        return tuple(name.removesuffix(".weight") for name in names if name.endswith(".weight"))

    @property
    def fan_ins(self) -> tuple[int, ...]:
        """Numbers of a sample's x."""
        return (self._example[0][0].numel(),)

    @property
    def activation(self) -> str:
        """What a layer shows is its own output, whatever the module does with it."""
        return "identity"

    def first(self, seeds: Seeds) -> tuple[Tensor, Tensor]:
        """A member's first row (P,) of θ and (S,) of the statistics: what its module begins with.

        Raises:
            InputError: the factory built another structure than before.
        """
        return self._inventory.rows(self.fresh(stream_seed(seeds.init, "module")))

    def member(self, weights: Views, statistics: Views, rate: float | None = None) -> nn.Module:
        """A plain module with these tensors (without K), to evaluate; `rate`: of dropout, where it is the plan's."""
        module = self.fresh(0).to(next(iter(weights.values())).dtype)
        self._inventory.fill(module, {**weights, **statistics})
        for layer in module.modules():
            if rate is not None and not self.own_rates and isinstance(layer, DROPOUTS):
                layer.p = rate
        return module.eval()

    def named(self, theta: Tensor, statistics: Tensor) -> dict[str, Tensor]:
        """Members' tensors (K, …) by their names in the module, in its shapes; whole numbers as such."""
        views = {**self.layout.views(theta), **self.statistics.views(statistics)}
        shaped = {name: view.reshape(len(view), *self._inventory.shapes[name]) for name, view in views.items()}
        whole = self._inventory.whole
        return {name: t.round().to(whole[name]) if name in whole else t for name, t in shaped.items()}

    def forward(
        self,
        weights: Views,
        statistics: Views,
        x: Tensor,
        categories: Tensor,
        *,
        hypers: Columns,
        training: bool,
        noise: Noise | None = None,
        tap: Tap | None = None,
    ) -> Tensor:
        """Outputs z (K, C, B) of all members.

        Args:
            weights, statistics: views (K, …) by name, as the layouts have them.
            x, categories: (K or 1, B, …); the second is given to modules with two inputs.
            hypers: not read; rates of dropout come with the noise.
            tap: is shown the outputs (K, H, B) of `layers`; each place of an image or sequence counts as a sample.

        Raises:
            InputError: noise on inputs that are no numbers, or batch norm of a single sample.
        """
        inputs = (_disturbed(x, noise), categories)[: len(self._example)]
        now = self._pass(weights, statistics, inputs, training, noise)
        now.watched = self.layers if tap is not None else ()
        try:
            z = self._run(self.way, now)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                "The module's batch norm can't train on a batch of one sample: set training.drop_last, "
                "or another training.batch_size."
            ) from error
        if tap is not None:
            for name, signal in now.shown.items():
                tap(name, _units_first(signal, self._template.get_submodule(name)))
        untouched = weights if self.way == "loop" else {name: weights[name] for name in self._unused}
        return _Attached.apply(as_outputs(z, inputs[0].shape[1]), *untouched.values())  # pyright: ignore[reportReturnType]

    def _pass(
        self, weights: Views, statistics: Views, inputs: Sequence[Tensor], training: bool, noise: Noise | None
    ) -> Pass:
        tensors, buffers = self._inventory.shaped(weights, statistics)
        # Frozen weights stand beside buffers that are written to: autograd must not take them for changed ones.
        tensors = {name: t if t.requires_grad else t.data for name, t in tensors.items()}
        a_weight = next(iter(weights.values()))
        rates = None
        if noise is not None and not self.own_rates:
            rates = a_weight.new_zeros(len(a_weight), 1) if noise.dropout is None else noise.dropout
        return Pass(len(a_weight), tensors, buffers, inputs, training, noise, rates, self._inventory.whole)

    def _run(self, way: str, now: Pass) -> Tensor:
        device = now.inputs[0].device
        if device != self._device:  # for what is kept aside: whole numbers that never change
            self._template.to(device)
            self._device = device
        if way == "batched":
            assert not isinstance(self._steps, str)
            return by_rules(self._steps, self._inventory.canonical, now)
        if way == "vmap" and now.members > 1:  # for one alone vmap takes twice the time of a plain call
            return by_vmap(self._template, self._now, now)
        return by_turns(self._template, self._now, now, random=self._random)

    def _chosen(self, wanted: str, device: torch.device) -> tuple[str, str]:
        """The way, and why."""
        passes = self._trial_passes()
        objections: list[str] = []
        for way in WAYS[:-1] if wanted == "auto" else (wanted,):
            objection = "" if way == "loop" else self._objection(way, device if wanted == "auto" else None)
            objection = objection or ("" if way == "loop" else self._disagreement(way, passes))
            if not objection:
                reason = "asked for" if wanted != "auto" else "; ".join([*objections, _REASONS[way]])
                return way, reason
            objections.append(f"not {way}: {objection}")
        if wanted != "auto":
            raise InputError(f"The module can't be computed by way={wanted}: {objections[0].partition(': ')[2]}.")
        return "loop", "; ".join(objections)

    def _objection(self, way: str, device: torch.device | None) -> str:
        """What speaks against a way before it is tried."""
        if self._random:
            return "the module draws random numbers of its own, whose seed must be each member's"
        if way == "batched":
            steps = self._steps
            return steps if isinstance(steps, str) else "" if len(self._example) == 1 else "it has two inputs"
        convolves = any(isinstance(layer, CONVOLUTIONS) for layer in self._template.modules())
        on_cpu = device is not None and device.type == "cpu"
        return "on a CPU its convolutions are faster one after another" if convolves and on_cpu else ""

    def _disagreement(self, way: str, passes: Sequence[Callable[[], Pass]]) -> str:
        return disagreement(lambda now: self._run(way, now), lambda now: self._run("loop", now), passes)

    def _trial_passes(self) -> list[Callable[[], Pass]]:
        """Training on a shared batch and on own ones, and evaluation, of a few members; in float64 where it runs."""
        drawn = [self.first(Seeds.of(0, k)) for k in range(TRIED)]

        def build(shared: bool, training: bool, dtype: torch.dtype) -> Pass:
            θ, s = (torch.stack([pair[i] for pair in drawn]).to(dtype) for i in range(2))
            weights = {name: view.detach().requires_grad_() for name, view in self.layout.views(θ).items()}
            inputs = [x.to(dtype) if x.is_floating_point() else x for x in self._example]
            inputs = [torch.stack([x] if shared else [x.roll(k, 0) for k in range(TRIED)]) for x in inputs]
            noise = fixed_noise(TRIED) if training else None
            return self._pass(weights, self.statistics.views(s), inputs, training, noise)

        def all_of(dtype: torch.dtype) -> list[Callable[[], Pass]]:
            kinds = ((True, True), (False, True), (True, False))
            return [lambda kind=kind: build(*kind, dtype) for kind in kinds]

        self.in_float64 = True
        try:
            self._run("loop", build(True, True, torch.float64))
        except Exception as first:  # whatever the user's code may raise; many modules have float32 written in
            try:
                self._run("loop", build(True, True, torch.float32))
            except Exception as error:
                raise InputError(f"The module can't be called with other weights: {first_line(error)}") from first
            self.in_float64 = False
            return all_of(torch.float32)
        return all_of(torch.float64)


def built(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A module of the factory under this seed; the global random streams stay as they are.

    Raises:
        InputError: it is no factory, or does not build a module.
    """
    if isinstance(make, nn.Module):
        raise InputError(
            "make must be a function that builds the module anew, but is a module: pass "
            f"'lambda: {type(make).__name__}(…)', since each of many networks starts from weights of its own."
        )
    with torch.random.fork_rng(devices=gpus()):
        torch.manual_seed(seed)
        try:
            module = make()
        except Exception as error:  # whatever the user's code may raise
            raise InputError(f"make fails: {type(error).__name__}: {first_line(error)}.") from error
    if not isinstance(module, nn.Module):
        raise InputError(f"make must build a torch.nn.Module, but gives {type(module).__name__}.")
    return module


_REASONS = {
    "batched": "every layer has a rule for all members at once",
    "vmap": "torch.vmap agrees with members computed one after another",
}


class _Attached(torch.autograd.Function):
    """Outputs as they are, attached to weights that they may not depend on, whose gradient is 0 then."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, *weights: Tensor) -> Tensor:
        ctx.shapes = [w.shape for w in weights]
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, ...]:
        (slope,) = slopes
        return slope, *(slope.new_zeros(()).expand(shape) for shape in ctx.shapes)


def _disturbed(x: Tensor, noise: Noise | None) -> Tensor:
    """The inputs (K or 1, B, …) with the noise and the mixtures of this step."""
    if noise is None or (noise.inputs is None and noise.mixup is None):
        return x
    if not x.is_floating_point():
        raise InputError("Noise on the inputs and mixup need numbers, but the inputs are whole numbers: set both to 0.")
    h = x.reshape(len(x), x.shape[1], -1).transpose(1, 2)  # (K or 1, D, B)
    if noise.inputs is not None:
        h = input_noise(h, noise.inputs[1], noise.inputs[0])
    if noise.mixup is not None:
        h = mixup(h, noise.mixup[1], noise.mixup[0])
    return h.transpose(1, 2).reshape(len(h), *x.shape[1:])


def _units_first(signal: Tensor, layer: nn.Module) -> Tensor:
    """A layer's output (K, B, …) as (K, H, samples): a convolution has its units in axis 2, other layers last."""
    if isinstance(layer, CONVOLUTIONS):
        return signal.transpose(1, 2).flatten(2)
    return signal.flatten(1, -2).transpose(1, 2)
