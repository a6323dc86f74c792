"""A watched training as the page takes it, and what is known of its program: loss, targets, optimizer, mode."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from trainwell.diagnosis import SEVERITIES, Finding
from trainwell.engine.record import Record
from trainwell.report.blocks import Block, Pairs, Points, Section
from trainwell.report.words import capital, counted, number, percent
from trainwell.vitals.program import Program

MOST_NOTES = 6

LOSSES = {
    "cross-entropy": "cross-entropy of raw outputs",
    "nll": "negative log-likelihood of log-probabilities",
    "binary-logits": "binary cross-entropy of raw outputs",
    "binary": "binary cross-entropy of probabilities",
    "squared": "squared error",
    "absolute": "absolute error",
    "huber": "Huber",
    "margin": "margin",
    "poisson": "Poisson, of rates",
    "poisson-log": "Poisson, of logarithms of rates",
}
"""Losses as they are read from the autograd graph, in words."""


@dataclass(frozen=True)
class Watched:
    """What is told of: the record (member 0), the findings in the order of `diagnose`, the program."""

    record: Record
    findings: tuple[Finding, ...]
    program: Program

    @property
    def grave(self) -> tuple[Finding, ...]:
        """Those that count as a verdict."""
        return tuple(finding for finding in self.findings if finding.severity != "info")

    @property
    def worst(self) -> str:
        """The gravest severity, "" without findings."""
        return max((f.severity for f in self.findings), key=SEVERITIES.index, default="")

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The tidy table of the record."""
        return self.record.frame()

    @cached_property
    def updates(self) -> int:
        """Updates seen; of a long training the record holds means of several losses, and so may end before the last."""
        steps, _ = self.record.series("loss", member=0)
        return max(self.program.training_in_eval[1], int(steps[-1]) if len(steps) else 0)

    @cached_property
    def looks(self) -> int:
        """Updates at which the layers were looked at."""
        return self.frame.filter(pl.col("layer") != "")["step"].n_unique()

    @cached_property
    def layers(self) -> list[str]:
        """Layers of which anything was measured, from input to output."""
        names = [n for s in ("activation-std", "gradient-norm", "weight-norm") for n in self.record.layers(s, member=0)]
        return list(dict.fromkeys(names))

    @cached_property
    def validations(self) -> int:
        """Judgements on validation rows."""
        return self.frame.filter(pl.col("signal").str.starts_with("validation_"))["step"].n_unique()

    @property
    def chance(self) -> float | None:
        """The loss of the best constant prediction, where it is known."""
        return None if self.program.targets is None else self.program.targets.chance(self.program.loss)


def known(watched: Watched) -> Section:
    """What was told of the program by its loss, its targets, its optimizer and its layers."""
    pairs = (*_of_loss(watched), *_of_targets(watched), *_of_settings(watched), *_of_loop(watched))
    blocks: list[Block] = [Pairs(pairs)]
    if watched.program.notes:
        blocks.append(Points(watched.program.notes, "What could not be looked at"))
    return Section("program", "What is known of the program", tuple(blocks))


def unseen(watched: Watched) -> list[str]:
    """What could not be judged and why, as sentences."""
    program, said = watched.program, []
    if not watched.updates:
        return said
    if not watched.validations:
        said.append("no validation was reported, so overfitting is not judged")
    if program.targets is None:
        said.append("no targets were given to `w.step`, so the loss is not compared with that of chance")
    elif not program.loss.kind:
        said.append("the loss is none that is recognised, so whether the outputs fit it is not judged")
    if "optimizer.name" not in program.settings:
        said.append("no optimizer was seen")
    if not watched.looks:
        said.append("the layers were not looked at")
    told = [f"Not looked at: {'; '.join(said)}."] if said else []
    return [*told, *(capital(note) for note in program.notes[:MOST_NOTES])]


def _of_loss(watched: Watched) -> Iterator[tuple[str, str]]:
    loss, program = watched.program.loss, watched.program
    yield "Task", program.task or "not clear from loss and targets"
    yield "Loss", LOSSES.get(loss.kind, loss.kind) or "none that is recognised"
    output = {"identity": "none: raw outputs", "": "unknown"}.get(loss.output, loss.output)
    yield "Last function before the loss", output
    if loss.shape:
        yield "Outputs as the loss takes them", _shape(loss.shape)
    if loss.broadcasts:
        yield "Compared as", _shape(loss.compared)
    if program.output_range is not None:
        yield "Outputs", f"{number(program.output_range[0])} to {number(program.output_range[1])}"
    if program.penalty is not None and abs(program.penalty) > 1e-6:
        yield "Share of penalties in the loss", percent(program.penalty)


def _of_targets(watched: Watched) -> Iterator[tuple[str, str]]:
    targets = watched.program.targets
    if targets is None:
        yield "Targets", "none were given"
        return
    spread = f"{number(targets.low)} to {number(targets.high)}"
    spread += "" if targets.constant else f", deviation {number(targets.std)}"
    classes = targets.classes if watched.program.task != "regression" else 0
    yield f"Targets, {number(targets.count)} seen", counted(classes, "class", "classes") if classes else spread
    if watched.chance is not None:
        yield "Loss of the best constant prediction", number(watched.chance)


def _of_settings(watched: Watched) -> Iterator[tuple[str, str]]:
    settings = watched.program.settings
    yield "Batch", counted(watched.program.batch, "sample") if watched.program.batch else "unknown"
    names = {"learning_rate": "Learning rate", "momentum": "Momentum", "weight_decay": "Weight decay"}
    yield "Optimizer", str(settings.get("optimizer.name", "none was seen"))
    for key, name in names.items():
        if f"optimizer.{key}" in settings:
            yield name, number(float(settings[f"optimizer.{key}"]))
    weighted, activation = watched.program.weighted, str(settings.get("network.activation", ""))
    if watched.looks:
        yield "Layers with weights", number(weighted if weighted is not None else len(watched.layers))
        yield "Activation", {"identity": "none was seen"}.get(activation, activation)
    yield "Norm", str(settings.get("network.norm", "none"))
    yield "Dropout", number(float(watched.program.dropout))


def _of_loop(watched: Watched) -> Iterator[tuple[str, str]]:
    program = watched.program
    wrong, updates = program.training_in_eval
    if updates:
        yield "Updates in evaluation mode", f"{number(wrong)} of {number(updates)}"
    noisy, judged = program.judged_in_train
    if judged:
        yield "Judgements in training mode", f"{number(noisy)} of {number(judged)}"
    if program.origin is not None:
        yield "The first NaN or infinity", capital(str(program.origin))


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
