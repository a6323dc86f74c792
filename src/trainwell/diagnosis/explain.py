"""The vocabulary of findings, and one page on each word: what `trainwell explain` prints."""

from collections.abc import Mapping
from textwrap import dedent, fill, indent

from trainwell.base import Registry
from trainwell.diagnosis.diagnose import CAUSES, RULES
from trainwell.diagnosis.kind import Kind
from trainwell.diagnosis.kinds_data import DATA_KINDS
from trainwell.diagnosis.kinds_program import PROGRAM_KINDS
from trainwell.diagnosis.kinds_signal import SIGNAL_KINDS
from trainwell.diagnosis.kinds_training import TRAINING_KINDS
from trainwell.diagnosis.probes import PROBES
from trainwell.diagnosis.rules_data import DATA_RULES
from trainwell.diagnosis.sound import all_is_well

KINDS: Registry[Kind] = Registry("kind of finding", {**SIGNAL_KINDS, **TRAINING_KINDS, **PROGRAM_KINDS, **DATA_KINDS})

SEARCHED: Mapping[str, Mapping[str, object]] = {
    "in a training": RULES,
    "in the data, by `trainwell fit` and `trainwell check`": DATA_RULES,
    "before a training, by `trainwell.check` and the stages of `trainwell fit`": PROBES,
    "after all others": {"all-is-well": all_is_well},
}
"""Where is searched for which kinds: registries of rules, whose docstrings say what they ask; or plain sentences."""

WIDTH = 100
"""Characters in a line of a page."""


def searched_kinds() -> frozenset[str]:
    """All kinds that some rule searches for."""
    return frozenset(kind for rules in SEARCHED.values() for kind in rules)


def has_rule(kind: str) -> bool:
    """Whether this kind is searched for."""
    return kind in searched_kinds()


def explain_text(kind: str) -> str:
    """One page in Markdown: meaning, picture, how it is measured, causes, remedies, sources.

    Raises:
        InputError: no such kind; the nearest one is named.
    """
    told = KINDS[kind]
    parts = [f"# {kind}", fill(told.meaning, WIDTH)]
    if told.sketch:
        parts.append(indent(dedent(told.sketch).strip("\n").rstrip(), "    "))
    parts += [
        f"## How it is measured\n{fill(told.measured, WIDTH)}",
        _rules(kind),
        _listed("Causes", told.causes),
        _listed("Remedies", told.remedies),
    ]
    if kind in CAUSES:
        parts.append(f"## May follow from\n{fill(', '.join(CAUSES[kind]), WIDTH, break_on_hyphens=False)}")
    parts.append(_listed("Sources", told.sources))
    return "\n\n".join(parts) + "\n"


def _rules(kind: str) -> str:
    """What each rule asks, in the words of its docstring; or that there is none."""
    rules = [f"**Rule** ({where}): {_asked(found, kind)}" for where, found in SEARCHED.items() if kind in found]
    none = "**Rule:** none yet. No report rules this kind out; it is listed so that its name stays."
    return "\n\n".join(fill(rule, WIDTH) for rule in rules or [none])


def _asked(rules: Mapping[str, object], kind: str) -> str:
    rule = rules[kind]
    return rule if isinstance(rule, str) else (rule.__doc__ or "").strip().split("\n")[0]


def _listed(title: str, lines: tuple[str, ...]) -> str:
    return "\n".join(
        [f"## {title}", *(fill(line, WIDTH, initial_indent="- ", subsequent_indent="  ") for line in lines)]
    )
