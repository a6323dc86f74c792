"""A user's loop, observed: what each step shows goes into a record, what is known of the program into a `Program`.

    observer = Observer(model, [optimizer])
    ...; loss.backward(); optimizer.step(); observer.step(loss, inputs=x, targets=y)

Observation changes nothing, and costs a stated share of the time: the loss is noted at every step, the layers are looked
at in steps 1, 2, 4, 8 …, and between them as often as the share permits.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from trainwell.engine.record import Record
from trainwell.vitals.foreign import Accumulation, Weights, bare, witness_of
from trainwell.vitals.inside import Inside, layers_of
from trainwell.vitals.losses import LossReading, read_loss
from trainwell.vitals.origin import Origin, locate, not_finite, of_backward
from trainwell.vitals.program import (
    ENOUGH,
    MODAL,
    Program,
    alike,
    idle_biases,
    settings_of,
    stuck_parameters,
    targets_of,
)
from trainwell.vitals.scale import Scale

SHARE = 0.008  # of the time, for looks between those at powers of two
FLUSH = 64  # losses that wait on the device
WHOLE = 2048  # steps whose losses are noted one by one; later ones as means over a thousandth of the steps
MEMBER = [0]


class Observer:
    """What is seen of the training of one module.

    Args:
        model: the module, also wrapped or compiled. optimizers: those that update it; none: they are found as they step.
        loss_fn: the loss of outputs and targets without penalties, if it is known.
        task: as the user names it, or "". every: steps between looks at the layers, or "auto".

    Attributes:
        record: signals by step, of member 0. steps: updates so far.
        judgements: validations so far.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Any] = (),
        *,
        loss_fn: Callable[..., Any] | None = None,
        task: str = "",
        every: int | str = "auto",
    ) -> None:
        self.record, self.steps, self.judgements = Record(), 0, 0
        self._root, self._loss_fn, self._given_task, self._every = model, loss_fn, task, every
        self._model, self._deep = bare(model)
        self._layers = layers_of(self._model)
        self._optimizers, self._known = list(optimizers), bool(optimizers)
        self._settings = settings_of(self._model, self._optimizers, self._layers)
        self._witness, self._held = witness_of(self._model.parameters()), set[int]()
        self._cpu = self._witness is None or self._witness.device.type == "cpu"
        self._losses: list[Tensor | float] = []
        self._block: list[float] = []
        self._handles: list[Any] = []
        self._given: tuple[tuple[Any, ...], dict[str, Any]] | None = None  # of the pass whose update is to come
        self._inside, self._weights = None, None
        self._accumulation: Accumulation | None = None
        self._next, self._spent, self._began, self._looks = 1, 0.0, time.perf_counter(), 0
        self._updated, self._stepping, self._over = False, False, False
        self._unseen: list[int] = [
            0,
            0,
        ]  # forward passes without gradients since the last step: in training, in evaluation
        self._modes, self._judged = [0, 0], [0, 0]
        self._hits = [0, 0]
        self._without: Counter[str] = Counter()
        self._order: list[str] = []
        self._functions: dict[str, str] = {}
        self._counted: tuple[int | None, int | None] = (None, None)
        self._reading, self._symmetric = LossReading(), ()
        self._targets: list[Tensor] = []
        self._seen_targets, self._same = 0, False
        self._scale, self._outside = Scale(), Scale()
        self._batch, self._penalty, self._ranges = Counter(), [], []
        self._since: list[float] = []
        self._constant: list[bool] = []
        self._origin: Origin | None = None
        self._notes: dict[str, None] = {}
        self._attach()
        self._arm()

    # --- what stays attached ---

    def _attach(self) -> None:
        if getattr(self._root, "_compiled_call_impl", None) is None:
            self._handles.append(self._root.register_forward_pre_hook(self._entered, with_kwargs=True))
        else:
            self._note("The module is compiled in place: its layers and its mode in validation are not looked at.")
        for optimizer in self._optimizers:
            self._follow(optimizer)
        if not self._known:
            self._handles.append(register_optimizer_step_pre_hook(self._discover))

    def _follow(self, optimizer: Any) -> None:
        self._know(optimizer)
        if hasattr(optimizer, "register_step_pre_hook"):
            self._handles.append(optimizer.register_step_pre_hook(self._before_update))
        else:
            self._note(f"{type(optimizer).__name__} has no hooks: its updates are not told apart.")

    def _know(self, optimizer: Any) -> None:
        """The parameters that it updates; the witness is one of them."""
        self._held |= {id(p) for group in optimizer.param_groups for p in group["params"]}
        witness = witness_of(p for p in self._model.parameters() if id(p) in self._held)
        self._witness = self._witness if witness is None else witness

    def _discover(self, optimizer: Any, args: object, kwargs: object) -> None:
        """Without an optimizer given: any that holds our parameters is followed from its first step on."""
        mine = {id(p) for p in self._model.parameters()}
        ours = any(id(p) in mine for group in optimizer.param_groups for p in group["params"])
        if ours and all(optimizer is not other for other in self._optimizers):
            self._optimizers.append(optimizer)
            self._settings = settings_of(self._model, self._optimizers, self._layers)
            self._know(optimizer)
        if ours:
            self._before_update()

    def close(self) -> None:
        """Take every hook away; the training is over."""
        if self._over:
            return
        self._guarded(self._flush)
        self._over = True
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._disarm()

    # --- what happens in a step ---

    def _entered(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            self._given = args, kwargs
        else:
            self._unseen[0 if module.training else 1] += 1

    def _before_update(self, *ignored: object) -> None:
        self._updated = True
        witness = self._witness
        if self._cpu and self._origin is None and witness is not None and witness.grad is not None:
            total = witness.grad.sum().item()
            if total - total != 0:
                self._guarded(self._trace)
        if self._weights is not None:
            self._guarded(self._look_before)

    def _look_before(self) -> None:
        began = time.perf_counter()
        assert self._weights is not None
        self._weights.before_update()
        if self._accumulation is not None:
            self._hits[0] += self._accumulation.judge()
            self._hits[1] += 1
            self._accumulation = None
        for name, p in self._model.named_parameters():
            if p.requires_grad and p.grad is None:
                self._without[name] += 1
        if not self._looks:
            self._symmetric = self._alike_units()
        self._spent += time.perf_counter() - began

    def step(
        self, loss: Tensor | float, *, inputs: object = None, targets: object = None, outputs: object = None
    ) -> None:
        """After an update: note its loss; at some steps, finish the look at the layers and prepare the next."""
        self.steps += 1
        self._losses.append(loss.detach() if isinstance(loss, Tensor) else loss)
        if not self._root.training:
            self._modes[0] += 1
        self._modes[1] += 1
        self._unseen[0] = self._unseen[1] = 0
        self._given = None
        if self._inside is not None and (self._updated or not self._optimizers):
            self._guarded(lambda: self._finish(loss, inputs, targets, outputs))
        if len(self._losses) >= FLUSH:
            self._guarded(self._flush)
        if self.steps + 1 >= self._next and self._inside is None:
            self._arm()
        self._updated = False

    def validate(self, values: dict[str, float]) -> None:
        """Note a judgement: loss and metrics by name."""
        self._flush()
        self.judgements += 1
        train, evaluation = self._unseen
        if train or evaluation:
            self._judged[1] += 1
            self._judged[0] += train > 0 and evaluation == 0
        self._unseen[0] = self._unseen[1] = 0
        for name, value in values.items():
            signal = {"loss": "validation_loss"}.get(name, f"validation_{name}")
            self.record.add(self.steps, "", signal, MEMBER, [value])
        metrics = [value for name, value in values.items() if name != "loss"]
        if metrics and "metric" not in values:
            self.record.add(self.steps, "", "validation_metric", MEMBER, metrics[:1])
        recent = self._block_mean()
        if recent is not None:
            self.record.add(self.steps, "", "train_loss", MEMBER, [recent])

    # --- looks ---

    def _arm(self) -> None:
        """Prepare the look at the step that comes."""
        self._guarded(self._prepare)

    def _prepare(self) -> None:
        began = time.perf_counter()
        if self._layers:
            self._inside = Inside(self._layers)
            self._inside.attach(self._root if self._deep else self._model, deep=self._deep)
            self._weights = Weights(self._model, self._trained_layers())
            if self._witness is not None and self._updated:
                self._accumulation = Accumulation(self._witness)
        else:
            self._next = 2**62
        self._spent += time.perf_counter() - began

    def _trained_layers(self) -> list[Any]:
        named = dict(self._model.named_parameters(remove_duplicate=False))
        held = self._held

        def learns(p: nn.Parameter) -> bool:
            return p.requires_grad and (not held or id(p) in held)

        return [layer for layer in self._layers if all(learns(named[key]) for key in layer.weights)]

    def _disarm(self) -> None:
        if self._inside is not None:
            self._inside.detach()
        if self._accumulation is not None:
            self._accumulation.drop()
        self._inside = self._weights = self._accumulation = None

    def _finish(self, loss: Tensor | float, inputs: object, targets: object, outputs: object) -> None:
        began = time.perf_counter()
        inside, weights = self._inside, self._weights
        assert inside is not None and weights is not None
        self._disarm()
        signals = dict(inside.signals)
        if self._updated:
            signals |= weights.after_update()
        self._looks += 1
        if inside.order and not self._order:
            self._order = inside.order
        self._functions |= inside.functions
        if inside.order:
            self._counted = (inside.bends, len(inside.order))
        self._note_signals(signals)
        self._note_batch(loss, inputs, targets, outputs, inside)
        self._spent += time.perf_counter() - began
        self._plan_next()

    def _note_signals(self, signals: dict[tuple[str, str], Tensor]) -> None:
        """All numbers of a look leave the device in one copy."""
        order = {name: i for i, name in enumerate(self._order)}
        keys = sorted(signals, key=lambda key: order.get(key[0], len(order)))
        if keys:
            values = torch.stack([signals[key].detach().float().reshape(()) for key in keys]).tolist()
            for (layer, signal), value in zip(keys, values, strict=True):
                self.record.add(self.steps, layer, signal, MEMBER, [value])
        rates = [float(group["lr"]) for optimizer in self._optimizers for group in optimizer.param_groups]
        if rates:
            self.record.add(self.steps, "", "learning_rate", MEMBER, [max(rates)])

    def _note_batch(self, loss: object, inputs: object, targets: object, outputs: object, inside: Inside) -> None:
        if isinstance(loss, Tensor) and loss.grad_fn is not None:
            reading = read_loss(loss)
            self._reading = reading if reading.kind or not self._reading.kind else self._reading
        x = inputs if isinstance(inputs, Tensor) else None
        y = torch.as_tensor(targets) if isinstance(targets, Tensor | np.ndarray) else None
        if x is not None and x.dim():
            self._batch[len(x)] += 1
            if x.is_floating_point():
                self._outside.add(x.detach().flatten(1) if x.dim() > 1 else x.detach()[:, None])
        if inside.entering is not None:
            self._scale.add(inside.entering)
        if y is not None and y.dim() and self._seen_targets < ENOUGH:
            self._targets.append(y.detach()[:512].clone())
            self._seen_targets += len(y)
            self._same |= x is not None and y.shape == x.shape
        if isinstance(outputs, Tensor) and outputs.is_floating_point() and outputs.numel():
            z = outputs.detach()
            self._ranges.append((float(z.min()), float(z.max())))
            self._constant.append(len(z) > 1 and bool((z - z[:1]).abs().max() <= 1e-6 * z.abs().max()))
        if self._loss_fn is not None and isinstance(outputs, Tensor) and isinstance(loss, Tensor) and y is not None:
            with torch.no_grad():
                own = float(self._loss_fn(outputs.detach(), targets))
            whole = float(loss.detach())
            if whole > 0 and np.isfinite(own):
                self._penalty.append(1 - own / whole)

    def _plan_next(self) -> None:
        """When to look again: at the next power of two, or before it where the share of the time permits."""
        now = self.steps
        power = 1 << now.bit_length()
        if isinstance(self._every, int):
            self._next = now + self._every if self._every else 2**62
            return
        elapsed = max(time.perf_counter() - self._began, 1e-9)
        cost, pace = self._spent / self._looks, elapsed / now
        wait = (self._spent + cost) / (SHARE * pace) - now  # steps until the share has paid for one more look
        self._next = max(now + 1, min(power, now + int(max(1.0, wait, 0.02 * now))))

    def _alike_units(self) -> tuple[str, ...]:
        """Layers of several units whose weights are all the same, and whose gradients are too."""
        named, found = dict(self._model.named_parameters(remove_duplicate=False)), []
        for layer in self._trained_layers():
            if isinstance(layer.module, nn.Embedding):
                continue
            weights = [named[key] for key in layer.weights]
            if all(alike(w) and (w.grad is None or w.grad.is_sparse or alike(w.grad)) for w in weights):
                found.append(layer.name)
        return tuple(found)

    # --- losses ---

    def _flush(self) -> None:
        """Losses that waited go into the record."""
        if not self._losses:
            return
        waiting, self._losses = self._losses, []
        tensors = [v for v in waiting if isinstance(v, Tensor)]
        moved = iter(torch.stack([t.float().reshape(-1).mean() for t in tensors]).tolist() if tensors else [])
        values = [next(moved) if isinstance(v, Tensor) else float(v) for v in waiting]
        first = self.steps - len(values) + 1
        for step, value in enumerate(values, start=first):
            self._block.append(value)
            if step <= WHOLE or len(self._block) >= step // 1000:
                self.record.add(step, "", "loss", MEMBER, [float(np.mean(self._block))])
                self._block = []
        self._since += values

    def _block_mean(self) -> float | None:
        """Mean training loss since the last judgement."""
        values, self._since = self._since, []
        return float(np.mean(values)) if values else None

    # --- faults ---

    def _trace(self) -> None:
        """Find where a NaN was made, while the weights before the update are still there."""
        given = self._given
        if given is None:
            self._origin = of_backward(self._model)
            return
        origin, outputs = locate(self._root if self._deep else self._model, *given)
        if origin is None and not_finite(outputs) is False:
            origin = self._of_loss(outputs)
        self._origin = origin

    def _of_loss(self, outputs: object) -> Origin | None:
        """Outputs are finite: the loss or the way back is not; which of them the step will tell."""
        low, high = (float(outputs.min()), float(outputs.max())) if isinstance(outputs, Tensor) else (np.nan, np.nan)
        return Origin("loss", low=low, high=high)

    def _guarded(self, look: Callable[[], None]) -> None:
        """A fault in looking must not stop the user's training."""
        try:
            look()
        except Exception as error:  # of any kind: the training goes on
            self._note(f"A look failed and was left out: {type(error).__name__}: {str(error).splitlines()[:1]}.")
            self._disarm()
            self._next = self.steps + 64

    def _note(self, line: str) -> None:
        self._notes[line] = None

    # --- what is known ---

    def program(self) -> Program:
        """What is known by now."""
        self._guarded(self._flush)
        targets = targets_of(self._targets, self._reading, self._same)
        settings = dict(self._settings)
        functions = Counter(self._functions.values())
        settings["network.activation"] = functions.most_common(1)[0][0] if functions else "identity"
        batch = max(self._batch, key=lambda size: self._batch[size], default=0)
        if batch:
            settings["training.batch_size"] = batch
        if self._reading.kind:
            settings["loss.name"] = self._reading.kind
        looks = self._looks if self._updated_ever() else 0
        unreached = [name for name, count in self._without.items() if looks >= 3 and count >= looks]
        stuck = stuck_parameters(self._model, self._optimizers, unreached, known=bool(self._optimizers))
        modal = [m for m in self._model.modules() if isinstance(m, MODAL)]
        lows, highs = [low for low, _ in self._ranges], [high for _, high in self._ranges]
        return Program(
            settings=settings,
            loss=self._reading,
            targets=targets,
            given_task=self._given_task,
            batch=batch,
            bends=self._counted[0],
            weighted=self._counted[1],
            symmetric=self._symmetric,
            accumulating=(self._hits[0], self._hits[1]),
            training_in_eval=(self._modes[0], self._modes[1]),
            judged_in_train=(self._judged[0], self._judged[1]),
            modal=bool(modal),
            stuck=stuck,
            idle_biases=idle_biases(self._model),
            dropout=float(settings["regularisation.dropout"]),
            penalty=float(np.median(self._penalty[-5:])) if self._penalty else None,
            origin=self._origin,
            over=self._over,
            constant_output=len(self._constant) >= 3 and all(self._constant[-3:]),
            output_range=(min(lows), max(highs)) if lows else None,
            notes=tuple(self._notes),
        )

    def _updated_ever(self) -> bool:
        return bool(self.record.layers("update-ratio", member=0))

    @property
    def closed(self) -> bool:
        """Whether nothing more is observed."""
        return self._over

    @property
    def input_scale(self) -> dict[str, float] | None:
        """Extremes of means and deviations of what reaches the first layer with weights."""
        scale = self._scale if self._scale.rows else self._outside
        return scale.extremes()
