"""The verdict in words, composed from the figures: what was trained, and how good it is beside the baselines."""

import math
from dataclasses import dataclass
from typing import Literal

from trainwell.report.records import Records
from trainwell.report.words import (
    capital,
    code,
    counted,
    is_number,
    listed,
    metric_name,
    model_name,
    number,
    percent,
    score,
)

Relation = Literal["ahead", "level", "behind"]
SHARES = ("accuracy", "balanced_accuracy")  # metrics that plain words tell as "right for x % of the rows"
CERTAIN = 1.96  # standard errors: 95 % of the cases
GUESS = "constant"
SMALL_TEST = 200  # rows below which an accuracy is uncertain by more than about 5 points


@dataclass(frozen=True)
class Standing:
    """The networks beside the baselines by the main metric.

    Attributes:
        part: the rows judged on: "test" or "validation". value: of the networks. others: of each baseline.
        doubt: half width of the 95 % interval of an accuracy on so many rows; NaN for other metrics.
    """

    metric: str
    part: str
    rows: int | None
    value: float
    higher: bool
    others: dict[str, float]
    doubt: float

    @property
    def rivals(self) -> dict[str, float]:
        """Baselines that look at the inputs."""
        return {name: value for name, value in self.others.items() if name != GUESS}

    @property
    def best_rival(self) -> str | None:
        """The best baseline that looks at the inputs."""
        rivals = self.rivals
        if not rivals:
            return None
        return (max if self.higher else min)(rivals, key=lambda name: rivals[name])

    def against(self, name: str) -> Relation:
        """Where the networks stand beside a baseline; equal to four digits is level."""
        mine, other = (self.value, self.others[name]) if self.higher else (self.others[name], self.value)
        if score(self.metric, mine) == score(self.metric, other):
            return "level"
        return "ahead" if mine > other else "behind"

    def told(self, value: float) -> str:
        """A value of the metric, as a percentage where it is a share."""
        return percent(value) if self.metric in SHARES else score(self.metric, value)

    def within_doubt(self, name: str) -> bool:
        """Whether the difference is one that chance gives on a test of this size."""
        return abs(self.value - self.others[name]) <= self.doubt


def standing(records: Records) -> Standing | None:
    """Where the networks stand; None when there are none."""
    metric, test = records.metric, records.result.get("test") or {}
    part = "test" if is_number(test.get(metric)) else "validation"
    value = test.get(metric) if part == "test" else (records.result.get("validation") or {}).get(metric)
    if not is_number(value):
        return None
    rows = records.evidence("test").get("rows") if part == "test" else _validation_rows(records)
    same = records.evidence("baselines").get("judged_on", "test") == part
    given = records.result.get("baselines") or {}
    others = {str(name): float(v[metric]) for name, v in given.items() if is_number(v.get(metric))} if same else {}
    doubt = CERTAIN * math.sqrt(max(value * (1 - value), 0.0) / rows) if metric == "accuracy" and rows else math.nan
    return Standing(metric, part, rows, float(value), records.higher_is_better(metric) is not False, others, doubt)


def _targets(records: Records) -> str:
    return listed([code(t) for t in records.targets[:3]])


def _validation_rows(records: Records) -> int | None:
    """Rows that the networks were validated on; in folds every row judges once."""
    data = records.evidence("data")
    parts = [data.get("validation"), data.get("train") if data.get("folds") else 0]
    return sum(int(n) for n in parts if is_number(n)) if is_number(parts[0]) else None


def headline(records: Records, s: Standing | None) -> tuple[str, str]:
    """The verdict as one sentence, and its tone."""
    target = _targets(records)
    if s is None:
        return _unfinished(records, target)
    good = _how_good(s, target)
    if GUESS in s.others and s.against(GUESS) != "ahead":
        return f"The network has learnt nothing of use about {target}: it does no better than guessing.", "bad"
    rival = s.best_rival
    if rival is None:
        return f"{good}.", "plain"
    name = model_name(rival)
    if s.against(rival) == "behind":
        figures = f"{s.told(s.value)} against {s.told(s.others[rival])}"
        close = ", though by less than so few rows can tell" if s.within_doubt(rival) else ""
        return f"The network loses to {name} on {target}{close}: {_metric_words(s)} {figures}.", "warn"
    if s.against(rival) == "level":
        return f"{good}, as well as the best baseline, {name}.", "plain"
    close = " by a margin that so few rows cannot confirm" if s.within_doubt(rival) else ""
    return f"{good}, ahead of every baseline{close}.", "good" if s.part == "test" else "plain"


def _metric_words(s: Standing) -> str:
    return metric_name(s.metric) if s.higher else f"{metric_name(s.metric)} (lower is better)"


def _how_good(s: Standing, target: str) -> str:
    if s.metric == "accuracy":
        return f"The network predicts {target} right in {percent(s.value)} of {_rows(s)}"
    if s.metric == "r2":
        return f"The network explains {percent(max(s.value, 0.0))} of what varies in {target}{_where(s)}"
    return f"The network predicts {target} with {metric_name(s.metric)} {s.told(s.value)}{_where(s)}"


def _rows(s: Standing) -> str:
    return "unseen rows" if s.part == "test" else "the validation rows"


def _where(s: Standing) -> str:
    return "" if s.part == "test" else " on the validation rows"


def _unfinished(records: Records, target: str) -> tuple[str, str]:
    stages = [stage.get("name") for stage in records.stages]
    if "final" not in stages and not records.interrupted:
        failed = [s["name"] for s in records.stages if s.get("passed") is False]
        if failed:
            return f"Not ready to train on {target}: {counted(len(failed), 'check', numerals=True)} failed.", "bad"
        return f"Ready to train on {target}: every check before the training passed.", "good"
    if records.interrupted:
        return f"The run was stopped before there was a network for {target}.", "warn"
    return f"No network could be trained for {target}.", "bad"


def what_was_trained(records: Records) -> str:
    """The networks and the data, in a sentence or two."""
    data, final, plan = records.evidence("data"), records.evidence("final"), records.plan
    members = int(records.result.get("members") or 0)
    if not members:
        return ""
    what = counted(members, "network" if records.of_module else "dense network", numerals=True)
    weights, each = final.get("parameters") or data.get("parameters"), " each" if members > 1 else ""
    if records.of_module:
        what += f" of your {code((data.get('module') or {}).get('class', '?'))}"
        what += f" ({number(weights)} weights{each})" if weights else ""
    elif plan is not None:
        n = plan.network
        size = (
            f"{counted(n.depth, 'hidden layer', numerals=True)} of {n.width} {n.activation} units"
            if n.depth
            else "no hidden layer"
        )
        what += f" ({size}{f', {number(weights)} weights{each}' if weights else ''})"
    text = f"{capital(what)} {'was' if members == 1 else 'were'} trained to predict {_targets(records)}"
    used = [c for c in data.get("columns") or () if c.get("used", True)]
    if used:
        text += f" from {counted(len(used), 'column')}"
    if data.get("train"):
        rows = data["train"] if not data.get("folds") else data["train"] + data.get("validation", 0)
        text += f" {'of' if used else 'from'} {counted(rows, 'row')}"
    text += "; the prediction is their average." if members > 1 else "."
    return text


def how_good(records: Records, s: Standing) -> list[str]:
    """The figures in plain sentences: the test, then beside it guessing, the best baseline, and the validation."""
    seen = f"{number(s.rows)} " if s.rows else ""
    where = (
        f"On {seen}test rows that nothing was chosen by"
        if s.part == "test"
        else f"On {seen}validation rows (no test part was kept, so this is optimistic)"
    )
    range_ = f" (95{chr(0x202F)}% interval ± {percent(s.doubt)})" if is_number(s.doubt) and s.part == "test" else ""
    sentences = [f"{where}, {metric_name(s.metric)} is {s.told(s.value)}{range_}."]
    if GUESS in s.others:
        sentences.append(_against_guess(records, s))
    if s.best_rival:
        sentences.append(_against_rival(records, s, s.best_rival))
    validation = (records.result.get("validation") or {}).get(s.metric)
    if s.part == "test" and is_number(validation):
        sentences.append(_against_validation(s, float(validation)))
    return sentences


def _against_guess(records: Records, s: Standing) -> str:
    guesses = {"regression": "the mean", "multilabel": "each label's most frequent value"}
    text = f"Always guessing {guesses.get(records.task, 'the most frequent class')} gives {s.told(s.others[GUESS])}"
    return text + {"ahead": ".", "level": ", just the same.", "behind": ", which is better."}[s.against(GUESS)]


def _against_rival(records: Records, s: Standing, rival: str) -> str:
    name, other, relation = model_name(rival), s.others[rival], s.against(rival)
    if relation == "level":
        return f"The best baseline, {name}, does just as well."
    apart = f"{number(100 * abs(s.value - other), 2)} points" if s.metric in SHARES else number(abs(s.value - other), 3)
    text = f"The best baseline, {name}, gives {s.told(other)}: the network is {relation} by {apart}"
    if s.within_doubt(rival):
        return f"{text}, which is within what chance alone gives on so many rows."
    if relation == "behind":
        what = "these data" if records.of_module else "this table"
        return f"{text}. For {what} {name} is the better model as things stand."
    return f"{text}."


def _against_validation(s: Standing, validation: float) -> str:
    worse = (validation - s.value) if s.higher else (s.value - validation)
    told = f"The validation rows had promised {s.told(validation)}"
    if is_number(s.doubt) and abs(worse) <= s.doubt:
        return f"{told}, and the test agrees."
    if worse <= 0:
        return f"{told}; the test is no worse."
    if worse <= 0.1 * max(abs(validation), 1e-12):
        return f"{told}; the test is a little worse."
    if s.rows and s.rows < SMALL_TEST:
        return f"{told}; the test falls short of that, as a test of {s.rows} rows may."
    return f"{told}; the test falls well short of that, so look for a difference between the two parts."
