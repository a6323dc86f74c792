"""What to do next: a few sentences, the most pressing first. One rule a function, in the table at the foot."""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trainwell.diagnosis import Finding, Remedy
from trainwell.report.fit import Fit
from trainwell.report.healing import left, trial_told, verdict_of
from trainwell.report.records import Records
from trainwell.report.verdict import GUESS, SMALL_TEST, Standing
from trainwell.report.words import capital, code, counted, model_name, seconds, stage_name

MOST = 4  # sentences that a reader takes in
FEW_TRIALS = 8  # tried plans, below which the search has hardly searched


@dataclass(frozen=True)
class Case:
    """What advice is given on."""

    records: Records
    standing: Standing | None
    fit: Fit


Rule = Callable[[Case], Iterator[str]]


def advice(records: Records, standing: Standing | None, fit: Fit) -> tuple[str, ...]:
    """The most pressing things to do; the last is how to go on."""
    case = Case(records, standing, fit)
    said = [sentence for rule in RULES for sentence in rule(case)]
    onward = _go_on(case)
    return (*said[: MOST - 1], onward) if onward else tuple(said[:MOST])


def _interrupted(case: Case) -> Iterator[str]:
    if case.records.interrupted:
        place = case.records.place
        command = f"trainwell resume {shlex.quote(place)}"
        if case.records.of_module:
            command = f"trainwell.resume({json.dumps(place)}, module=make_model)"
        yield f"The run was stopped by Ctrl-C. Go on where it stopped: `{command}`."


def _failed_checks(case: Case) -> Iterator[str]:
    for stage in case.records.stages:
        if stage.get("passed") is False and stage.get("name") not in ("test", "final", "healing", "search"):
            name = stage_name(stage["name"])
            yield f"The check “{name}” failed: look there first, since no tuning mends what it shows."


def _critical(case: Case) -> Iterator[str]:
    for finding in case.records.findings or ():
        if finding.severity == "critical":
            yield f"Mend {code(finding.kind)}: {first_remedy(finding, in_python=case.records.of_module)}"


def _leaks(case: Case) -> Iterator[str]:
    for finding in case.records.findings or ():
        if finding.kind == "train-test-leak" and finding.severity != "critical":
            remedy = first_remedy(finding, in_python=case.records.of_module)
            yield f"Do not trust these figures before {code(finding.kind)} is looked into: {remedy}"


def first_remedy(finding: Finding, *, in_python: bool = False) -> str:
    """The remedy that helped most in a trial, else the smallest, as a sentence with the settings that make it."""
    if not finding.remedies:
        return f"see `trainwell explain {finding.kind}`."
    tried = [remedy for remedy in finding.remedies if remedy.verified and remedy.verified.get("helped")]
    remedy = min(tried, key=_left) if tried else finding.remedies[0]
    settings = " ".join(f"--set {path}={value}" for path, value in (remedy.change or {}).items())
    settings = f"settings={remedy.change}" if in_python and remedy.change else settings
    return f"{remedy.why}{f' ({code(settings)})' if settings else ''}."


def _left(remedy: Remedy) -> float:
    return left(remedy.verified or {}, "after")


def _loses(case: Case) -> Iterator[str]:
    s, budget = case.standing, case.records.result.get("budget")
    if s is None or s.part != "test":
        return
    if GUESS in s.others and s.against(GUESS) != "ahead":
        inputs = "inputs" if case.records.of_module else "columns"
        yield f"Ask whether the {inputs} can tell the target at all: the inputs may not hold the answer."
    elif s.best_rival and s.against(s.best_rival) == "behind":
        name, of_module = model_name(s.best_rival), case.records.of_module
        longer = "a longer search"
        if budget:
            to = longer_budget(budget)
            longer += f' (`budget="{to}"`)' if of_module else f" (`--budget {to}`)"
        what = "these data" if of_module else "this table"
        yield f"Use {name} for {what}, or give the network {longer} and see whether it catches up."


def longer_budget(budget: float) -> str:
    """Five times a budget, as the command line takes it.

    >>> longer_budget(60.0), longer_budget(4.0)
    ('5m', '20s')
    """
    return f"{round(budget * 5)}s" if budget * 5 < 60 else f"{round(budget * 5 / 60)}m"


def _short_search(case: Case) -> Iterator[str]:
    search, budget = case.records.evidence("search"), case.records.result.get("budget")
    if "trials" in search and search["trials"] < FEW_TRIALS and not case.records.interrupted:
        given = f" in {seconds(budget)}" if budget else ""
        option = _option(case)
        yield f"Only {counted(search['trials'], 'plan')} could be tried{given}: a larger {option} searches more."


def _fit_advice(case: Case) -> Iterator[str]:
    if case.fit.kind == "underfit":
        larger = (
            "a larger module may fit better" if case.records.of_module else "`--set network.width` makes them larger"
        )
        yield f"The networks underfit: a larger {_option(case)} trains them longer, {larger}."


def _option(case: Case) -> str:
    return "`budget`" if case.records.of_module else "`--budget`"


def _small_test(case: Case) -> Iterator[str]:
    s = case.standing
    if s is not None and s.part == "test" and s.rows and s.rows < SMALL_TEST:
        rows = counted(s.rows, "row")
        yield f"The test has {rows} only, so its figures are rough: judge by more rows before relying on them."


def _go_on(case: Case) -> str:
    path = case.records.place
    if not case.records.result.get("members"):
        if case.records.interrupted:
            return ""
        return f"Train: `trainwell{'.' if case.records.of_module else ' '}fit` with the same data."
    if case.records.of_module:
        return f"Predict new rows with `trainwell.load({json.dumps(path)}, module=make_model).predict(X)`."
    command = f"trainwell predict {shlex.quote(path)} NEW.csv"
    return f"Predict new rows with `{command}`, or in Python with `trainwell.load({json.dumps(path)})`."


def remedies_told(finding: Finding) -> list[str]:
    """Each remedy as a sentence, with what its trial showed."""
    told = []
    for remedy in finding.remedies:
        change = ", ".join(f"{code(path)} → {code(value)}" for path, value in (remedy.change or {}).items())
        text = f"{capital(remedy.why.rstrip('.'))}{f': {change}' if change else ''}."
        if remedy.verified:
            text += f" Tried: {verdict_of(remedy.verified)} ({trial_told(remedy.verified)})."
        told.append(text)
    return told


RULES: tuple[Rule, ...] = (
    _interrupted,
    _failed_checks,
    _leaks,
    _critical,
    _loses,
    _fit_advice,
    _short_search,
    _small_test,
)
