"""`trainwell.check`: what can be told of a module, a loss and one batch before any training."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.base import InputError
from trainwell.diagnosis.case import Case
from trainwell.diagnosis.diagnose import RULES, diagnose, explained
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.observed import case_of
from trainwell.diagnosis.probes import PROBES, Trial
from trainwell.diagnosis.sound import all_is_well
from trainwell.diagnosis.subject import Subject, as_one, one_line, undisturbed
from trainwell.vitals.observer import Observer
from trainwell.vitals.program import stuck_parameters
from trainwell.vitals.targets import Targets

LOOKS = 8
"""Passes that are observed, at a rate of 0: as many as rules on first signals ask for."""

BEFORE = frozenset(
    "target-shape-mismatch loss-output-mismatch double-softmax parameters-not-updated symmetric-units "
    "missing-activation unscaled-inputs exploding-gradient vanishing-gradient initial-loss-off saturated-units "
    "dead-units non-finite bias-before-norm shrinking-activations growing-activations constant-input class-imbalance "
    "duplicate-rows batch-leak".split()
)
"""Kinds that show before the first update."""

OF_SEVERAL = frozenset({"constant-input", "duplicate-rows", "class-imbalance"})
"""Of these, kinds that one sample can't show."""


def check(
    model: nn.Module, loss_fn: Callable[..., Any], inputs: Any, targets: Any, *, optimizer: Any = None
) -> list[Finding]:
    """What is wrong before any training: with shapes, loss, outputs, first weights, gradients, samples and rate.

    Copies of the module are tried; module, optimizer and random streams stay as they are. Takes a few seconds at most
    for small modules.

    Args:
        model: the module. loss_fn: loss_fn(outputs, targets), a number.
        inputs: one batch (B, …) as the module takes it; a tuple or dict of tensors is handed on as arguments.
        targets: those of the batch.
        optimizer: its parameters are compared with the module's, and its rate is tried on the batch; or a list of them.

    Returns:
        causes before symptoms; without a fault one finding that says what was checked.

    Raises:
        InputError: the module can't take the inputs, or the loss can't take its outputs in a way that is no finding.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"check takes a torch.nn.Module, but got {type(model).__name__}.")
    if not callable(loss_fn):
        raise InputError(f"loss_fn must be a function of outputs and targets, but is {type(loss_fn).__name__}.")
    subject = Subject(model, loss_fn, inputs, targets, as_one(optimizer))
    unfit = _unfit(subject)
    if unfit is not None:
        return [unfit]
    case = _observed(subject)
    before = BEFORE if subject.samples > 1 else BEFORE - OF_SEVERAL
    found = [finding for finding in diagnose(case) if finding.kind in before]
    skipped: list[str] = []
    done = sorted({str(kind) for kind in before} & set(RULES))
    if not any(f.kind in ("non-finite", "target-shape-mismatch") for f in found):
        for name, probe in PROBES.items():
            try:
                finding = probe(Trial(subject, case))
            except Exception as error:  # whatever the user's code may raise in float64, or with other samples
                skipped.append(f"{name} ({one_line(error)})")
                continue
            done.append(name)
            known = {other.kind for other in found}
            found += [] if finding is None or finding.kind in known else [finding]
    found = explained(sorted(found, key=lambda finding: finding.severity == "info"))
    grave = [finding for finding in found if finding.severity != "info"]
    return found if grave else [*found, all_is_well(done, skipped)]


def _unfit(subject: Subject) -> Finding | None:
    """The module and the loss are tried once.

    Raises:
        InputError: the module fails on the inputs.
    """
    model = subject.copied()
    try:
        with undisturbed():
            outputs = subject.run(model)
    except Exception as error:  # whatever the user's code may raise
        raise InputError(f"The module fails on the inputs {_shape(subject.inputs)}: {one_line(error)}") from error
    try:
        with undisturbed():
            loss = subject.loss_fn(outputs, subject.targets)
    except Exception as error:  # whatever the user's code may raise
        shapes = f"outputs {_shape(outputs)} and targets {_shape(subject.targets)}"
        typed = any(word in str(error).lower() for word in ("dtype", "scalar type", "long", "not implemented for"))
        kind = "loss-output-mismatch" if typed else "target-shape-mismatch"
        return Finding(
            kind,
            "critical",
            f"The loss fails on {shapes}: {one_line(error)}",
            step=0,
            evidence={"figure": "loss", "measured": "an error", "threshold": "a number", "healthy": "a number"},
            remedies=(Remedy("fit-targets", "give targets in the type and shape that the loss takes"),),
        )
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise InputError(f"loss_fn must give one number as a tensor, but gives {_shape(loss)}; take its mean.")
    if loss.requires_grad:
        return None
    frozen = not any(p.requires_grad for p in model.parameters())
    return Finding(
        "parameters-not-updated",
        "critical",
        "No gradient reaches any parameter: " + ("all are frozen." if frozen else "the loss is detached from them."),
        step=0,
        evidence={"figure": "parameters with a gradient", "measured": 0.0, "threshold": 1.0, "healthy": "all"},
        remedies=(Remedy("train-all", "all parameters learn", {"module.trainable": "all"}),),
    )


def _observed(subject: Subject) -> Case:
    """Passes of a copy at a rate of 0, observed as a training."""
    model = subject.copied().train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.0)
    loss_fn = subject.loss_fn
    observer = Observer(model, [optimizer], loss_fn=loss_fn, every=1)
    for _ in range(LOOKS):
        with undisturbed():
            optimizer.zero_grad()
            outputs = subject.run(model)
            loss = loss_fn(outputs, subject.targets)
            loss.backward()
            optimizer.step()
        observer.step(loss, inputs=subject.x, targets=subject.targets, outputs=outputs)
    observer.close()
    return _with_own_optimizer(case_of(observer, over=True), subject, observer)


def _with_own_optimizer(case: Case, subject: Subject, observer: Observer) -> Case:
    """The case with what is known of the user's optimizer instead of ours."""
    program = case.program
    assert program is not None
    own = subject.optimizer
    optimizers = [] if own is None else [own]
    unreached = program.stuck.unreached
    stuck = stuck_parameters(subject.model, optimizers, unreached, known=bool(optimizers))
    settings = {k: v for k, v in program.settings.items() if not k.startswith("optimizer.")}
    if own is not None:
        settings["optimizer.learning_rate"] = float(own.param_groups[0]["lr"])
    return replace(case, program=replace(program, stuck=stuck, settings=settings, targets=_once(program.targets)))


def _once(targets: Targets | None) -> Targets | None:
    """The targets of one batch, that were seen in each pass."""
    if targets is None:
        return None
    return replace(targets, count=targets.count // LOOKS, counts=tuple(count // LOOKS for count in targets.counts))


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__
