"""What a rule says: a `Finding` with its evidence, and each `Remedy` that may cure it. Plain values, as JSON lines."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from trainwell.base import RunError

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # from mild to grave


@dataclass(frozen=True)
class Remedy:
    """Something to try against a finding.

    Attributes:
        name: short and stable, as in `smaller-rate`.
        why: one sentence: what the change does about the cause.
        change: edits of the plan by dotted path, or None where values cannot say it (then `why` does).
        verified: None until it was tried, then {"before": …, "after": …, "helped": bool}.
    """

    name: str
    why: str
    change: dict[str, Any] | None = None
    verified: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"name": self.name, "why": self.why, "change": self.change, "verified": self.verified}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Remedy":
        """The remedy of `as_dict`."""
        return cls(values["name"], values["why"], values.get("change"), values.get("verified"))


@dataclass(frozen=True)
class Finding:
    """A named fault of a training, with the figures that show it.

    Attributes:
        kind: a word of the vocabulary (`diagnosis.KINDS`); the stable code of the finding.
        severity: "info" is worth knowing, "warning" costs quality, "critical" ruins the training.
        layer: where, or None for the whole network.
        member: the network concerned, or None for all.
        step: the update at which it was first seen, or None for what holds before training.
        evidence: figures by name; always what was measured, and the threshold and healthy range it was held against.
        message: one sentence for a practitioner.
        remedies: what to try, the smallest change first.
    """

    kind: str
    severity: Severity
    message: str
    layer: str | None = None
    member: int | None = None
    step: int | None = None
    evidence: dict[str, float | str] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; a non-finite figure becomes its name ("nan", "inf")."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        evidence = {name: plain(value) for name, value in self.evidence.items()}
        return values | {"evidence": evidence, "remedies": [remedy.as_dict() for remedy in self.remedies]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Finding":
        """The finding of `as_dict`; keys of a later version are passed over.

        Raises:
            KeyError, TypeError, ValueError: the values are not those of a finding.
        """
        if values["severity"] not in SEVERITIES:
            raise ValueError(f"severity '{values['severity']}'")
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        remedies = tuple(Remedy.from_dict(remedy) for remedy in values.get("remedies", ()))
        return cls(**known | {"evidence": dict(values.get("evidence", {})), "remedies": remedies})


def plain(value: float | str) -> float | str:
    """A figure that strict JSON can hold.

    >>> plain(float("inf")), plain(0.5), plain("relu")
    ('inf', 0.5, 'relu')
    """
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write one finding a line."""
    lines = [json.dumps(finding.as_dict(), ensure_ascii=False, allow_nan=False) for finding in findings]
    Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def read_findings(path: Path) -> list[Finding]:
    """Read what `write_findings` wrote.

    Raises:
        RunError: the file is missing or a line is damaged.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise RunError(
            f"Cannot read the findings in '{path}': {type(fault).__name__}. Run the training again."
        ) from None
    return [read_line(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def read_line(line: str, where: str) -> Finding:
    """The finding of one line; `where` is named when it is damaged."""
    try:
        return Finding.from_dict(json.loads(line))
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        reason = f"{type(fault).__name__}: {fault}".replace("\n", " ")
        raise RunError(
            f"The finding at {where} is damaged ({reason}). Delete that line or run the training again."
        ) from None
