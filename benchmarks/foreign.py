"""How far a diagnosis can be trusted on programs that others wrote: `python -m benchmarks.foreign FOLDER … [--json]`.

Each `.py` file in the folders is one program, written without knowledge of trainwell's rules:

    EXPECTED = ("unscaled-inputs",)  # kinds of which one must be named; () of a healthy program
    ALSO = ("saturated-units",)      # further kinds that are true of it
    def run(tw, seed): ...           # trains within `with tw.watch(model, optimizer) as w:`, gives w.findings
    def check_args(seed): ...        # (model, loss_fn, inputs, targets, optimizer) of the untrained model, or None

Findings of severity warning or critical count. A set is worth what its programs are: sound ones must be sound, and
figures are honest only for a set by which nothing was mended yet. `set` tells which one it was: a digest of its files.
"""

import hashlib
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from math import nan
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import trainwell
from benchmarks.diagnosis import all_of, share, without_nan
from benchmarks.harness import Bar, at_least, at_most, options, publish
from trainwell.base import InputError, did_you_mean
from trainwell.diagnosis import KINDS, Finding

RECALL, PRECISION, FALSE_ALARMS = 0.9, 0.85, 0.02  # asked for
DOORS = ("watched", "checked")


@dataclass(frozen=True)
class Judged:
    """What both doors said of one program.

    Attributes:
        expected: kinds of which one must be named, () of a healthy program. also: further ones that are true.
        watched, checked: kinds and messages of findings that count. error: what was raised instead.
    """

    program: str
    expected: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    watched: tuple[tuple[str, str], ...] = ()
    checked: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    error: str | None = None

    def kinds(self, *doors: str) -> set[str]:
        """Named through these doors: "watched", "checked"."""
        return {kind for door in doors for kind, _ in getattr(self, door)}

    def found(self, *doors: str) -> bool:
        """Whether one of the kinds expected was named."""
        return bool(self.kinds(*doors) & set(self.expected))

    @property
    def row(self) -> dict[str, Any]:
        """As it is printed."""
        told = {door: [f"{kind}: {message}" for kind, message in getattr(self, door)] for door in DOORS}
        right = "found" if self.found(*DOORS) else "missed"
        verdict = right if self.expected else "blamed" if self.kinds(*DOORS) else "silent"
        verdict = verdict if self.error is None else "raised"
        kinds = ", ".join(sorted(self.kinds(*DOORS)))
        told |= {"expected": list(self.expected), "also": list(self.also)}
        ends = {"seconds": self.seconds, "error": self.error}
        return {"program": self.program, "verdict": verdict, "kinds": kinds, **told, **ends}


def loaded(path: Path) -> ModuleType:
    """A program, imported.

    Raises:
        InputError: it lacks a part, or expects a kind that there is not.
    """
    spec = spec_from_file_location(f"foreign_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # classes in it may be looked up by their module
    spec.loader.exec_module(module)
    if lacking := [name for name in ("EXPECTED", "run", "check_args") if not hasattr(module, name)]:
        raise InputError(f"{path.name} must have {', '.join(lacking)}.")
    if unknown := [kind for kind in (*module.EXPECTED, *getattr(module, "ALSO", ())) if kind not in KINDS]:
        raise InputError(
            f"{path.name} expects '{unknown[0]}', which is no kind of finding.{did_you_mean(unknown[0], KINDS)}"
        )
    return module


def counted(findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    """Kind and message of those that count."""
    return tuple((f.kind, f.message) for f in findings if f.severity != "info")


def judged(path: str, seed: int) -> Judged:
    """Run one program and check its first batch; what it raises is part of the verdict."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    began, told = time.process_time(), Judged("/".join(Path(path).parts[-3:]))
    try:
        module = loaded(Path(path))
        told = replace(told, expected=tuple(module.EXPECTED), also=tuple(getattr(module, "ALSO", ())))
        told = replace(told, watched=counted(module.run(trainwell, seed) or []))
        if (given := module.check_args(seed)) is not None:
            *batch, optimizer = given
            told = replace(told, checked=counted(trainwell.check(*batch, optimizer=optimizer)))
    except Exception as error:  # whatever the program raises
        told = replace(told, error=f"{type(error).__name__}: {error}".partition("\n")[0])
    return replace(told, seconds=time.process_time() - began)


def digest(paths: Sequence[Path]) -> str:
    """Of what the programs say, in the order of their paths."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def figures(told: Sequence[Judged], which: str) -> tuple[dict[str, Any], list[Bar]]:
    """The set's row, and the bars."""
    went = [j for j in told if j.error is None]
    ill, well = [j for j in went if j.expected], [j for j in went if not j.expected]
    said = [(kind, j) for j in ill for kind in j.kinds(*DOORS)]
    row = {
        "set": which,
        "sick": len(ill),
        "recall_watch": share([j.found("watched") for j in ill]),
        "recall": share([j.found(*DOORS) for j in ill]),
        "precision": share([kind in (*j.expected, *j.also) for kind, j in said]),
        "healthy": len(well),
        "blamed_watch": sum(bool(j.kinds("watched")) for j in well),
        "blamed": sum(bool(j.kinds(*DOORS)) for j in well),
        "raised": len(told) - len(went),
    }
    bars = [
        at_least("recall, watch or check", row["recall"], RECALL),
        at_least("precision on sick programs", row["precision"], PRECISION),
        at_most("false alarms, watch", row["blamed_watch"] / len(well) if well else nan, FALSE_ALARMS),
        at_most("false alarms, watch or check", row["blamed"] / len(well) if well else nan, FALSE_ALARMS),
        at_most("programs that raised", row["raised"], 0),
    ]
    return row, [bar for bar in bars if bar.value == bar.value]


def main() -> None:
    """Measure and print."""
    parser = options("Recall, precision and silence of the diagnosis on programs that others wrote.")
    parser.add_argument("folders", nargs="+", type=Path, help="with programs, at any depth")
    parser.add_argument("--seed", type=int, default=0, help="given to the programs")
    arguments = parser.parse_args()
    paths = sorted(path for folder in arguments.folders for path in folder.rglob("*.py"))
    if not paths:
        parser.error(f"no .py file in {', '.join(map(str, arguments.folders))}.")
    paths = paths[:: 10 if arguments.quick else 1]
    which = digest(paths)  # before they run: a folder may change meanwhile
    told = all_of(judged, map(str, paths), [arguments.seed])
    row, bars = figures(told, which)
    publish([j.row for j in told] + [without_nan(row)], bars, as_json=arguments.json)


if __name__ == "__main__":
    main()
