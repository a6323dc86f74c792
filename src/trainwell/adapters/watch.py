"""`trainwell.watch`: any PyTorch training loop, observed and judged while it runs.

with trainwell.watch(model, optimizer) as w:
    for x, y in batches:
        optimizer.zero_grad(); out = model(x); loss = loss_fn(out, y); loss.backward(); optimizer.step()
        w.step(loss, inputs=x, targets=y, outputs=out)
print(w.findings)
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from trainwell.adapters.page import write_page
from trainwell.adapters.status import Status
from trainwell.base import InputError, did_you_mean
from trainwell.diagnosis import RULES, Case, Finding, diagnose, write_findings
from trainwell.diagnosis.case import EARLY
from trainwell.diagnosis.observed import case_of
from trainwell.diagnosis.sound import all_is_well
from trainwell.engine.record import Record
from trainwell.vitals.observer import Observer

TASKS = ("binary", "multiclass", "multilabel", "regression", "classification")


class Watch:
    """A training under observation; use it as a context, or call `close` at its end.

    Attributes:
        record: all that was measured, as tidy rows of (step, layer, signal, value).
    """

    def __init__(self, observer: Observer, out: Path | None) -> None:
        self._observer, self._out = observer, out
        self._status = Status(sys.stderr)

    @property
    def record(self) -> Record:
        """All that was measured, member 0."""
        return self._observer.record

    def step(
        self,
        loss: Tensor | float,
        *,
        inputs: object = None,
        targets: object = None,
        outputs: object = None,
    ) -> None:
        """Call after each update.

        Args:
            loss: of the batch, as `backward` was called on it. inputs, targets, outputs: of the batch, as far as there
                are such; what is not given is not judged.

        Raises:
            InputError: the first loss is no number.
        """
        if not self._observer.steps:
            _number("step", "loss", loss)
        self._observer.step(loss, inputs=inputs, targets=targets, outputs=outputs)
        if self._status.live and self._status.due():
            self._observer.guarded(lambda: self._status.show(self._observer.steps, loss, self._judged(over=False)))

    def validate(self, *, loss: Tensor | float | None = None, **metrics: Tensor | float) -> None:
        """Call after each judgement on validation rows, with their mean loss and metrics, larger is better.

        Raises:
            InputError: there is no value, or one that is no number.
        """
        given = {**({} if loss is None else {"loss": loss}), **metrics}
        if not given:
            raise InputError("validate takes the loss of the validation rows, or metrics by name, but got nothing.")
        self._observer.validate({name: _number("validate", name, value) for name, value in given.items()})

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the training so far, causes first; it is judged as if it ended here.

        Without a finding of weight the last one says so, with what was looked for; not after so few updates that
        nothing can be told.
        """
        found = self._judged(over=True)
        if self._observer.steps < EARLY or any(finding.severity != "info" for finding in found):
            return found
        return [*found, all_is_well(list(RULES), self._observer.program().notes)]

    @property
    def sound(self) -> bool:
        """Whether nothing of weight was found."""
        return all(finding.severity == "info" for finding in self.findings)

    def _judged(self, *, over: bool) -> list[Finding]:
        return diagnose(self.case(over=over))

    def case(self, *, over: bool = True) -> Case:
        """What the rules are given."""
        return case_of(self._observer, over=over)

    def report(self, path: str | Path) -> Path:
        """Write a page with curves and findings; gives its path.

        Raises:
            InputError: it can't be written there.
        """
        return write_page(Path(path), self.record, self.findings, self._observer.program())

    def close(self) -> None:
        """End the observation: hooks are taken away, and with `out` findings, measurements and page are written."""
        self._observer.close()
        self._status.end(self._observer.steps, self.findings if self._status.live else [])
        if self._out is not None:
            self._out.mkdir(parents=True, exist_ok=True)
            write_findings(self._out / "findings.jsonl", self.findings)
            self.record.write(self._out / "vitals.parquet")
            self.report(self._out / "report.html")

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def watch(
    model: nn.Module,
    optimizer: Any = None,
    *,
    loss_fn: Callable[..., Any] | None = None,
    task: str | None = None,
    every: int | str = "auto",
    out: str | Path | None = None,
) -> Watch:
    """Watch a training loop: name what goes wrong, with layer, step and figure as evidence.

    Nothing is changed: weights end bit for bit as without it. The loss is noted at every step; layers, gradients and
    updates are looked at in steps 1, 4, 8, 16 …, where steps are short 1, 4, 16, 64 …, and more often as far as a
    stated share of the time permits.

    Args:
        model: the module in training; it may be wrapped (DataParallel, DistributedDataParallel) or compiled.
        optimizer: that updates it, or several; None: found when it steps.
        loss_fn: loss_fn(outputs, targets) without penalties, to tell penalties from the loss.
        task: binary, multiclass, multilabel or regression, where outputs and targets don't tell. Another word tells
            nothing, and is noted among what could not be looked at.
        every: look at the layers each `every`-th step; 0: never; "auto": see above.
        out: a folder for findings.jsonl, vitals.parquet and report.html, written at the end.

    Raises:
        InputError: an argument is not what it should be.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"watch takes a torch.nn.Module, but got {type(model).__name__}.")
    optimizers = [] if optimizer is None else list(optimizer) if isinstance(optimizer, Sequence) else [optimizer]
    wrong = [o for o in optimizers if not hasattr(o, "param_groups")]
    if wrong:
        raise InputError(f"optimizer must be a torch optimizer or several, but is {type(wrong[0]).__name__}.")
    known = _task(task)
    if loss_fn is not None and not callable(loss_fn):
        raise InputError(f"loss_fn must be a function of outputs and targets, but is {type(loss_fn).__name__}.")
    if every != "auto" and not (isinstance(every, int) and not isinstance(every, bool) and every >= 0):
        raise InputError(f"every must be 'auto' or a whole number of steps from 0, but is {every!r}.")
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"out must be a folder, but '{out}' is a file. Name another one.")
    observer = Observer(model, optimizers, loss_fn=loss_fn, task=known, every=every)
    if task is not None and not known:
        observer.note(f"No rule knows the task '{task}': outputs and targets must tell what is to be learned.")
    return Watch(observer, None if out is None else Path(out))


def _task(given: str | None) -> str:
    """The task of that name; "" of one that no rule knows, as "gan", which outputs and targets must tell.

    Raises:
        InputError: it is no word, or nearly one that is known.

    >>> _task("Multi-label classification"), _task("gan")
    ('multilabel', '')
    """
    if given is None:
        return ""
    if not isinstance(given, str):
        raise InputError(f"task must be a word such as {', '.join(TASKS)}, but is {type(given).__name__}.")
    plain = "".join(letter for letter in given.lower() if letter.isalpha())
    name = plain.removesuffix("classification") or plain
    if name in TASKS:
        return name
    if near := did_you_mean(name, TASKS, alike=0.8):  # "representation" and "multitask" are none of ours
        raise InputError(f"task must be one of {', '.join(TASKS)}, but is '{given}'.{near}")
    return ""


def _number(where: str, name: str, value: object) -> float:
    try:
        return float(value.detach() if isinstance(value, Tensor) else value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{where}: {name} must be one number, but is {type(value).__name__}.") from None
