"""A user's loop, observed: what each step shows goes into a record, what is known of the program into a `Program`.

    observer = Observer(model, [optimizer])
    ...; loss.backward(); optimizer.step(); observer.step(loss, inputs=x, targets=y)

Observation changes nothing, and costs a stated share of the time: the loss is noted at every step, the layers are
looked at in steps 1, 4, 8, 16 …, and between them as often as the share permits.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from trainwell.engine.record import Record
from trainwell.vitals.asked import Asked
from trainwell.vitals.door import Door, Ears
from trainwell.vitals.foreign import Accumulation, Weights, bare, learning, witness_of
from trainwell.vitals.gathered import Batches, Losses, Pace, Sight
from trainwell.vitals.inside import Inside, layers_of
from trainwell.vitals.looked import MEMBER, Look, Looked
from trainwell.vitals.program import (
    Program,
    idle_biases,
    lagging,
    modal_layers,
    narrowest,
    settings_of,
    straight_pairs,
    stuck_parameters,
    symmetric_layers,
)
from trainwell.vitals.scatter import SETTLED, Scatter
from trainwell.vitals.sequences import along_the_batch, memories
from trainwell.vitals.sureness import FIRST, SELDOM
from trainwell.vitals.targets import targets_of
from trainwell.vitals.tracer import Tracer

OFTEN = 128
"""Steps between two copies of the weights, where steps are short: a NaN is traced with the newest. Later a third of the
steps lie between them."""


class Observer:
    """What is seen of the training of one module.

    Args:
        model: the module, also wrapped or compiled.
        optimizers: those that update it; without any they are found as they step.
        loss_fn: the loss of outputs and targets without penalties, if it is known.
        task: as the user names it, or "". every: steps between looks at the layers, 0 for none, or "auto".

    Attributes:
        steps: updates so far. judgements: validations so far. closed: whether nothing more is observed.
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
        self.steps, self.judgements, self.closed = 0, 0, False
        self._record = Record()
        self._root, self._task = model, task
        self._model, self._deep = bare(model)
        self._layers, self._modules = layers_of(self._model), list(self._model.modules())
        self._losses, self._batches, self._pace = Losses(self._record), Batches(loss_fn), Pace(every)
        self._sureness = self._batches.sureness
        self._sight, self._notes, self._tracer = Sight(), dict[str, None](), Tracer(self._root, self._model)
        self._optimizers: list[Any] = []
        self._held: set[int] = set()
        self._witness = witness_of(self._model.parameters())
        self._inside: Inside | None = None
        self._weights: Weights | None = None
        self._accumulation: Accumulation | None = None
        self._door = Door(model, lambda x: self.guarded(lambda: self._batches.rows.judge(x)))
        self._named: dict[str, nn.Parameter] = {}
        self._scatter = Scatter()
        self._looked = Looked(self._record, self._scatter)
        self._updated, self._updates = False, 0
        self._copy_at, self._rated = 0, 0
        self._idle_until = 0  # of short steps those before this one have nothing to be seen but their loss
        self._asked = Asked(self._root, self._deep)
        self._in_eval, self._judged = 0, [0, 0]  # judgements in training mode, and all
        self._handles: list[Any] = []
        self._ears = Ears(self._before_update)
        self._followed = True  # whether every optimizer tells of its updates
        self._attach(optimizers)
        self.guarded(self._prepare)

    # --- what stays attached ---

    def _attach(self, optimizers: Sequence[Any]) -> None:
        self._door.open()
        if not self._deep:
            self.note("The module is compiled: what its layers hand on is not looked at.")
        for optimizer in optimizers:
            self._know(optimizer)
            if hasattr(optimizer, "register_step_pre_hook"):
                self._ears.optimizers.append(optimizer)
            else:
                self._followed = False
                self.note(f"{type(optimizer).__name__} has no hooks: gradients and updates are not looked at.")
        if not optimizers:
            self._handles.append(register_optimizer_step_pre_hook(self._discover))
        self._ears.open()

    def _know(self, optimizer: Any) -> None:
        """The parameters that it updates; the witness is one of them."""
        self._optimizers.append(optimizer)
        self._held |= {id(p) for group in optimizer.param_groups for p in group["params"]}
        witness = witness_of(p for p in self._model.parameters() if id(p) in self._held)
        self._witness = self._witness if witness is None else witness

    def _discover(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Without an optimizer given: any that holds our parameters is followed from its first step on."""
        if all(optimizer is not other for other in self._optimizers):
            mine = {id(p) for p in self._model.parameters()}
            if not any(id(p) in mine for group in optimizer.param_groups for p in group["params"]):
                return None
            self._know(optimizer)
        return self._before_update(optimizer, args, kwargs)

    def close(self) -> None:
        """Take every hook away; the training is over."""
        if not self.closed:
            self.guarded(self._losses.end)
            self.closed = True
            for handle in self._handles:
                handle.remove()
            self._handles.clear()
            self._ears.shut()
            self._door.shut()
            self._disarm()

    # --- what happens in a step ---

    def _before_update(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Of a closure, the gradients are made within the step (LBFGS, Lightning, skorch): look after its first run."""
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if self._accumulation is not None and not self._updates_witness(optimizer):
            self._accumulation.drop()  # of gradients that this update does not use, piles are no fault
            self._accumulation = None
        if closure is None:
            return self._before()
        waiting = [self._before]

        def first(*given: Any, **named: Any) -> Any:
            result = closure(*given, **named)
            if waiting:
                waiting.pop()()
            return result

        return ((args[0], first, *args[2:]), kwargs) if len(args) > 1 else (args, {**kwargs, "closure": first})

    def _updates_witness(self, optimizer: Any) -> bool:
        return any(p is self._witness for group in optimizer.param_groups for p in group["params"])

    def _before(self) -> None:
        self._updated, self._updates = True, self._updates + 1
        witness = self._witness
        if self._tracer.found or self._door.lean:
            pass  # once is enough; of short steps the loss tells, after the update
        elif witness is not None and (g := witness.grad) is not None and not g.is_cuda:
            total = g.sum().item()
            if total - total != 0:  # NaN or infinite
                self.guarded(lambda: self._tracer.now(self._door.given))
        if self._scatter.waits:
            self.guarded(self._compare)
        if self._weights is not None:
            self.guarded(self._look_before)

    def step(
        self, loss: Tensor | float, *, inputs: object = None, targets: object = None, outputs: object = None
    ) -> None:
        """After an update: note its loss; at some steps, finish the look at the layers and prepare the next."""
        self.steps = steps = self.steps + 1
        value = self._losses.add(loss)
        if not self._root.training and not any(module.training for module in self._modules):
            self._in_eval += 1  # whoever sets parts of it sets them on purpose
        if (steps <= FIRST or steps % SELDOM == 0) and self._sureness.wanted and isinstance(outputs, Tensor):
            self._sureness.keep(outputs, targets)
        if steps < self._idle_until and value - value == 0:
            return
        if self._tracer.kept is not None and (value - value != 0 or self._tracer.found):
            self.guarded(lambda: self._tracer.later(inputs))
        elif self._door.lean and self.steps >= self._copy_at:
            self.guarded(self._tracer.keep)
            self._copy_at = self.steps + max(OFTEN, self.steps // 2)
        if self._door.watched(self.steps):
            if self._door.forget():
                self._batches.rows.forget()
            self._door.keep(self.steps, self._pace)
        if self._inside is not None and (self._updated or not self._optimizers):
            self.guarded(lambda: self._finish(loss, inputs, targets, outputs))
        if self._losses.full:
            self.guarded(self._losses.flush)
        if self.steps + 1 >= self._pace.next and self._inside is None:
            self.guarded(self._prepare)
        self._updated = False
        if self._door.lean and self._weights is None and not self._scatter.waits:
            self._ears.shut()
            self._idle_until = min(self._door.next(self.steps), self._pace.next - 1, self._copy_at)

    def validate(self, values: dict[str, float]) -> None:
        """Note a judgement: loss and metrics by name; the first metric also under `validation_metric`."""
        self.judgements, self._idle_until = self.judgements + 1, 0
        train, evaluation = self._door.passes
        if train or evaluation:
            self._judged[1] += 1
            self._judged[0] += train > 0 and evaluation == 0
        self._door.judged(self.steps)
        self._batches.rows.keep()
        for name, value in values.items():
            self._record.add(self.steps, "", f"validation_{name}", MEMBER, [value])
        metrics = [value for name, value in values.items() if name != "loss"]
        if metrics and "metric" not in values:
            self._record.add(self.steps, "", "validation_metric", MEMBER, metrics[:1])
        self._sureness.judged(values.get("loss", float("inf")))
        if "loss" in values and (recent := self._losses.mean()) is not None:
            self._record.add(self.steps, "", "train_loss", MEMBER, [recent])
        self._note_rate()

    # --- looks ---

    def _prepare(self) -> None:
        """Hooks for the step that comes."""
        began = self._pace.clock()
        if self._layers and self._pace.next <= self.steps + 1:
            self._inside = Inside(self._layers, self._looked.store.keep)
            self._inside.attach(self._root, deep=self._deep)
            self._named = dict(self._model.named_parameters(remove_duplicate=False))
            self._weights = Weights(self._named, learning(self._layers, self._named, self._held))
            self._ears.open()
            if self._witness is not None and (self._updated or (self._door.lean and self._updates)):
                self._accumulation = Accumulation(self._witness)
        self._pace.spend(began)

    def _look_before(self) -> None:
        """Just before the update of a step that is looked at."""
        began, sight = self._pace.clock(), self._sight
        assert self._weights is not None
        self._weights.before_update()
        if len(self._optimizers) == 1 and self.steps >= SETTLED:  # of several each has its own moment
            self._scatter.look(self._weights.parameters)
        if self._accumulation is not None:
            if (kept := self._accumulation.judge()) is not None:
                sight.accumulating[0] += kept
                sight.accumulating[1] += 1
            self._accumulation = None
        if not sight.updates:
            sight.symmetric = symmetric_layers(self._model, learning(self._layers, self._named, self._held))
        sight.gradients(self._named, self._witness)
        self._pace.spend(began)

    def _compare(self) -> None:
        """In the step after a look: how far its gradients lie from those of the look."""
        began = self._pace.clock()
        self._scatter.compare(self.steps + 1)
        self._pace.spend(began)

    def _finish(self, loss: Tensor | float, inputs: object, targets: object, outputs: object) -> None:
        """After the update of a step that is looked at."""
        began, sight = self._pace.clock(), self._sight
        inside, weights = self._inside, self._weights
        assert inside is not None and weights is not None
        began -= inside.spent  # in the passes
        self._disarm()
        if inside.failed is not None:
            raise inside.failed
        moved = weights.after_update() if self._updated else ([], [])
        if inside.order:
            sight.order = sight.order or inside.order
            sight.bends, sight.weighted, sight.chained = inside.bends, len(inside.order), inside.chained
        sight.functions |= inside.functions
        sight.dropout = max(sight.dropout, inside.dropout)
        if inside.sequences and not sight.sequences:
            sight.memory = memories(self._layers, inside.sequences)
        sight.sequences |= inside.sequences
        self._looked.add(Look(self.steps, sight.order, inside.views, *moved))
        self._note_rate()
        self._batches.look(loss, inputs, targets, outputs, inside)
        self._pace.spend(began)
        self._pace.plan(self.steps)

    def _note_rate(self) -> None:
        rates = [float(group["lr"]) for optimizer in self._optimizers for group in optimizer.param_groups]
        if rates and self._rated != self.steps:
            self._rated = self.steps
            self._record.add(self.steps, "", "learning_rate", MEMBER, [max(rates)])

    def _disarm(self) -> None:
        if self._inside is not None:
            self._inside.detach()
        if self._accumulation is not None:
            self._accumulation.drop()
        self._inside = self._weights = self._accumulation = None

    # --- faults ---

    def guarded(self, look: Callable[[], None]) -> None:
        """A fault in looking must not stop the user's training."""
        try:
            look()
        except Exception as error:  # of any kind: the training goes on
            line = (str(error).strip() or "no message").splitlines()[0]
            self.note(f"A look failed and was left out: {type(error).__name__}: {line}")
            self._disarm()
            self._pace.postpone(self.steps)

    def note(self, line: str) -> None:
        """What could not be looked at, or is not known, in a sentence."""
        self._notes[line] = None

    # --- what is known ---

    @property
    def record(self) -> Record:
        """Signals by step, of member 0."""
        self.guarded(self._losses.flush)
        within = self._inside is not None and bool(self._inside.views)
        self.guarded(lambda: self._looked.flush(within=within))
        return self._record

    def program(self) -> Program:
        """What is known by now."""
        batches, sight = self._batches, self._sight
        settings = settings_of(self._model, self._optimizers, self._layers)
        functions = Counter(sight.functions.values()).most_common(1)
        settings["network.activation"] = functions[0][0] if functions else "identity"
        settings["regularisation.dropout"] = max(float(settings["regularisation.dropout"]), sight.dropout)
        settings |= {"training.batch_size": batches.usual} if batches.usual else {}
        settings |= {"loss.name": batches.reading.kind} if batches.reading.kind else {}
        rows, unreached = batches.rows, sight.unreached(self.steps)
        idle = bool(self._optimizers) and self._followed and self.steps >= 8 and not self._updates
        recurrent = any(isinstance(module, nn.RNNBase | nn.RNNCellBase) for module in self._model.modules())
        return Program(
            settings=settings,
            loss=batches.reading,
            targets=targets_of(batches.all_targets, batches.reading, batches.same),
            given_task=self._task,
            batch=batches.usual,
            bends=sight.bends,
            weighted=sight.weighted,
            chains=straight_pairs(self._model, sight.chained),
            narrowest=narrowest(self._model, sight.chained, sight.weighted or 0),
            along=along_the_batch(self._layers, sight.sequences, batches.targets),
            memory=sight.memory,
            recurrent=recurrent,
            symmetric=sight.symmetric,
            accumulating=(sight.accumulating[0], sight.accumulating[1]),
            training_in_eval=(self._in_eval, self.steps),
            judged_in_train=(self._judged[0], self._judged[1]),
            modal=bool(modal_layers(self._model)),
            stuck=stuck_parameters(self._model, self._optimizers, unreached, known=bool(self._optimizers), idle=idle),
            doubled=float(np.median(rows.doubled)) if len(rows.doubled) >= 2 else 0.0,
            blank=rows.blank,
            leaked=rows.leaked,
            overlapping=rows.windows.overlapping if rows.kept else 0.0,
            answered=(batches.answered[0], batches.answered[1]),
            telling=batches.telling.place(recurrent=recurrent),
            apart=rows.apart,
            stretched=rows.stretched,
            furthest=rows.furthest,
            dropped=self._door.dropped,
            lagging=lagging(self._model),
            silent=(sight.silent[0], sight.silent[1]),
            idle_biases=idle_biases(self._model),
            dropout=settings["regularisation.dropout"],
            penalty=float(np.median(batches.penalties[-5:])) if batches.penalties else None,
            origin=self._tracer.origin,
            over=self.closed,
            constant_output=len(batches.constant) >= 3 and all(batches.constant[-3:]),
            output_range=batches.output_range,
            single=(batches.single[0], batches.single[1]),
            sureness=self._sureness.shares(),
            early=self._sureness.early(),
            strays=self._sureness.strays(),
            follows=self._sureness.follows(),
            notes=tuple(self._notes),
        )

    def asked(self) -> dict[str, float]:
        """What a copy of the module answers, once the training is over; by fields of `Program`."""
        batches = self._batches
        return {"future": self._asked.future(batches.sequence), "mixed": self._asked.mixed(batches.first)}

    @property
    def input_scale(self) -> dict[str, float] | None:
        """Extremes of means and deviations of what reaches the first layer; as given, how much of it never changes."""
        return self._batches.extremes()
