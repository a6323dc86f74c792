"""The vocabulary of findings, and one page on each word: what `trainwell explain` prints."""

from textwrap import dedent, indent

from trainwell.base import Registry
from trainwell.diagnosis.diagnose import CAUSES, RULES
from trainwell.diagnosis.kind import Kind
from trainwell.diagnosis.kinds_program import PROGRAM_KINDS
from trainwell.diagnosis.kinds_signal import SIGNAL_KINDS
from trainwell.diagnosis.kinds_training import TRAINING_KINDS

KINDS: Registry[Kind] = Registry("kind of finding", {**SIGNAL_KINDS, **TRAINING_KINDS, **PROGRAM_KINDS})


def has_rule(kind: str) -> bool:
    """Whether trainings are already searched for this kind."""
    return kind in RULES


def explain_text(kind: str) -> str:
    """One page in Markdown: meaning, picture, how it is measured, causes, remedies, sources.

    Raises:
        InputError: no such kind; the nearest one is named.
    """
    told = KINDS[kind]
    parts = [f"# {kind}", told.meaning]
    if told.sketch:
        parts.append(indent(dedent(told.sketch).strip("\n").rstrip(), "    "))
    parts += [
        f"## How it is measured\n{told.measured}",
        _rule(kind),
        _listed("Causes", told.causes),
        _listed("Remedies", told.remedies),
    ]
    if kind in CAUSES:
        parts.append(f"## May follow from\n{', '.join(CAUSES[kind])}")
    parts.append(_listed("Sources", told.sources))
    return "\n\n".join(parts) + "\n"


def _rule(kind: str) -> str:
    """What the rule asks, in the words of its docstring; or that there is none yet."""
    text = RULES.summary(kind) if has_rule(kind) else "not searched for yet; listed so that the name stays."
    return f"**Rule:** {text}"


def _listed(title: str, lines: tuple[str, ...]) -> str:
    return "\n".join([f"## {title}", *(f"- {line}" for line in lines)])
