"""The facts of one feature: its kind, its figures, and whether it can help."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from trainwell.base import DataError, did_you_mean
from trainwell.data.facts import ColumnFacts
from trainwell.data.infer import Kind, forced_kind, infer_kind
from trainwell.data.kinds import COLUMN_KINDS, ColumnKind
from trainwell.data.statistics import describe, most_frequent
from trainwell.data.values import booleans, instants, numbers, words

MOST_CATEGORIES = 1000
"""The most frequent so many categories of a column are told apart; the others count as one, "rare"."""


def column_facts(series: pl.Series, kind: ColumnKind | None) -> ColumnFacts:
    """All facts of one feature; `kind` is the user's word, None leaves it to its values."""
    found = infer_kind(series) if kind is None else forced_kind(series, kind)
    if found.kind in ("number", "boolean"):
        return _number_facts(series, found)
    if found.kind == "datetime":
        return _datetime_facts(series, found)
    return _word_facts(series, found)


def check_kinds(kinds: Mapping[str, str], columns: tuple[str, ...], targets: tuple[str, ...]) -> None:
    """Every override names a feature and a kind.

    Raises:
        DataError: it doesn't.
    """
    for name, kind in kinds.items():
        if name in targets:
            raise DataError(f"Column '{name}' is the target: its kind follows from the task. Name the task instead.")
        if name not in columns:
            raise DataError(f"No column '{name}' to name the kind of.{did_you_mean(name, columns)}")
        if kind not in COLUMN_KINDS:
            known = ", ".join(COLUMN_KINDS)
            raise DataError(f"Unknown kind '{kind}' of '{name}'.{did_you_mean(kind, COLUMN_KINDS)} Known: {known}.")


def _number_facts(series: pl.Series, found: Kind) -> ColumnFacts:
    read = numbers(series, found.missing_tokens) if found.kind == "number" else booleans(series)
    infinite = int(np.isinf(read.values).sum())
    finite = read.values[np.isfinite(read.values)]
    unique = int(pl.Series(finite).n_unique()) if len(finite) else 0
    figures: dict[str, Any] = {**describe(read.values)}
    outliers = int(figures.pop("outliers", 0))
    notes = [found.note] if found.note else []
    if infinite:
        notes.append(f"{_rows(infinite)} {'holds' if infinite == 1 else 'hold'} infinity, treated as missing")
    return ColumnFacts(
        name=series.name,
        kind=found.kind,
        why=found.why,
        missing=int(np.isnan(read.values).sum()),
        infinite=infinite,
        unique=unique,
        outliers=outliers,
        top=most_frequent(words(series)) if found.kind == "boolean" else (),
        missing_tokens=found.missing_tokens,
        **_usefulness(unique, len(finite) == len(series), notes),
        **figures,
    )


def _datetime_facts(series: pl.Series, found: Kind) -> ColumnFacts:
    values = instants(series, found.format).values
    present = values[~np.isnat(values)]
    unique = len(np.unique(present))
    span = f", from {present.min().astype('M8[D]')} to {present.max().astype('M8[D]')}" if unique else ""
    return ColumnFacts(
        name=series.name,
        kind="datetime",
        why=found.why + span,
        missing=len(values) - len(present),
        unique=unique,
        format=found.format,
        **_usefulness(unique, len(present) == len(values), []),
    )


def _word_facts(series: pl.Series, found: Kind) -> ColumnFacts:
    text = words(series)
    missing = text.null_count()
    unique = text.n_unique() - (missing > 0)
    notes = []
    if found.kind == "category" and unique > MOST_CATEGORIES:
        notes.append(
            f"{unique:,} categories: the {MOST_CATEGORIES:,} most frequent are kept, the others merged as rare"
        )
    usefulness = _usefulness(unique, missing == 0, notes)
    if found.kind == "identifier":
        usefulness = {"used": False, "note": f"an identifier ({found.why})"}
    return ColumnFacts(
        name=series.name,
        kind=found.kind,
        why=found.why,
        missing=missing,
        unique=unique,
        top=most_frequent(text) if found.kind == "category" else (),
        **usefulness,
    )


def _usefulness(unique: int, complete: bool, notes: list[str]) -> dict[str, Any]:
    if unique == 0:
        return {"used": False, "note": "; ".join(["all its values are missing", *notes])}
    if unique == 1 and complete:
        return {"used": False, "note": "; ".join(["all its values are equal", *notes])}
    if unique == 1:
        notes = ["one value only, so what can help is whether it is missing", *notes]
    return {"used": True, "note": "; ".join(notes)}


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"
