"""What kind a column is, and why; or, where the user says it, whether it can be that kind."""

import re
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from trainwell.base import DataError
from trainwell.data.dates import date_format
from trainwell.data.kinds import ColumnKind
from trainwell.data.values import (
    FALSE_WORDS,
    MISSING_NUMBERS,
    TRUE_WORDS,
    booleans,
    instants,
    looks_like_codes,
    numbers,
    parse_numbers,
    words,
)

ODD_WORDS = 20
"""A column of numbers may hold this many different words, such as "unknown"; they count as missing."""

_ODD_SHARE = 0.05
_NEARLY_UNIQUE = 0.9
_TEXT_WORDS, _TEXT_SHARE, _TEXT_UNIQUE = 3, 0.2, 20
_ID_NAME = re.compile(
    r"(^|[_\W])(id|uuid|guid|key|index|idx|nr|no|number|row)$|^unnamed|(?-i:(?<=[a-z])(Id|ID))$", re.IGNORECASE
)


@dataclass(frozen=True)
class Kind:
    """A kind with its reason, and what is needed to read such a column (see `ColumnFacts`)."""

    kind: ColumnKind
    why: str
    format: str = ""
    missing_tokens: tuple[str, ...] = ()
    note: str = ""


def infer_kind(series: pl.Series) -> Kind:
    """The kind of a column from its type and its values."""
    if series.dtype == pl.Boolean:
        return Kind("boolean", "true or false")
    if series.dtype.is_temporal():
        return Kind("datetime", "dates by type")
    if series.dtype.is_numeric():
        return _kind_of_numbers(series)
    return _kind_of_words(series.name, words(series))


def _kind_of_numbers(series: pl.Series) -> Kind:
    present = series.drop_nulls()
    unique = present.n_unique()
    if unique == 2 and set(present.unique().to_list()) == {0, 1}:
        return Kind("boolean", "numbers that are 0 or 1 only")
    if not series.dtype.is_integer():
        return Kind("number", f"decimal numbers, {unique:,} distinct")
    if _ID_NAME.search(series.name) and unique == len(series) > 2 and bool((present.diff().drop_nulls() > 0).all()):
        return Kind("identifier", f"whole numbers that rise from row to row under the name '{series.name}'")
    if unique <= 20:
        why = f"whole numbers, {unique} distinct: kept as a quantity, so that their order is not lost"
        return Kind("number", why)
    return Kind("number", f"whole numbers, {unique:,} distinct")


def _kind_of_words(name: str, text: pl.Series) -> Kind:
    counts = text.drop_nulls().value_counts().sort("count", text.name, descending=[True, False])
    distinct, times = counts[text.name], counts["count"]
    present, unique = int(times.sum()), len(distinct)
    if not unique:
        return Kind("category", "no values at all")
    if _are_booleans(distinct):
        return Kind("boolean", f"the words {' and '.join(distinct.sort())}")
    if number := _kind_of_written_numbers(distinct, times):
        return number
    if form := date_format(distinct):
        return Kind("datetime", f"dates written as {form}", format=form)
    length = float((distinct.str.count_matches(r"\S+") * times).sum()) / present
    if length >= _TEXT_WORDS and unique > max(_TEXT_UNIQUE, _TEXT_SHARE * present):
        return Kind("text", f"{length:.0f} words a row, {unique:,} distinct")
    if unique > 2 and (unique == present or (unique > 50 and unique >= _NEARLY_UNIQUE * present)):
        return Kind(
            "identifier", f"{unique:,} distinct words in {present:,} rows: they tell rows apart and nothing else"
        )
    codes = ", digits behind zeros read as names" if looks_like_codes(distinct) else ""
    return Kind("category", f"words, {unique:,} distinct{codes}")


def _are_booleans(distinct: pl.Series) -> bool:
    lowered = [value.lower() for value in distinct.head(3)]
    return len(lowered) == 2 and any(v in TRUE_WORDS for v in lowered) and any(v in FALSE_WORDS for v in lowered)


def _kind_of_written_numbers(distinct: pl.Series, times: pl.Series) -> Kind | None:
    """Numbers among words: all numbers, or nearly all with a few odd words that stand for a missing number."""
    usual = distinct.is_in(list(MISSING_NUMBERS))
    distinct, times = distinct.filter(~usual), times.filter(~usual)
    if not len(distinct) or looks_like_codes(distinct):
        return None
    odd = parse_numbers(distinct).is_null()
    good = len(distinct) - int(odd.sum())
    if not odd.any():
        return Kind("number", f"numbers written as text, {good:,} distinct")
    share = float(times.filter(odd).sum()) / float(times.sum())
    if good < 20 or odd.sum() > ODD_WORDS or share > _ODD_SHARE:
        return None
    tokens = tuple(distinct.filter(odd).sort().to_list())
    listed = ", ".join(f"'{token}'" for token in tokens[:3]) + (" …" if len(tokens) > 3 else "")
    return Kind("number", f"numbers, but for {share:.1%} words", "", tokens, f"the words {listed} count as missing")


def forced_kind(series: pl.Series, kind: ColumnKind) -> Kind:
    """The kind that the user names, if the column can be it.

    Raises:
        DataError: a value that is not of this kind, with its row.
    """
    inferred = infer_kind(series)
    if inferred.kind == kind:
        return replace(inferred, why=f"named by the user; {inferred.why}")
    form, bad = "", np.zeros(len(series), bool)
    if kind == "number":
        bad = numbers(series).bad
    elif kind == "boolean":
        bad = _not_boolean(series)
    elif kind == "datetime":
        form = date_format(words(series).drop_nulls().unique()) if series.dtype == pl.String else ""
        bad = instants(series, form).bad if form or series.dtype != pl.String else series.is_not_null().to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"Column '{series.name}' cannot be read as {kind}: row {row + 1} holds '{series[row]}'. "
            f"Mend the value, or leave the kind to trainwell ({inferred.kind})."
        )
    return Kind(kind, "named by the user", format=form)


def _not_boolean(series: pl.Series) -> np.ndarray:
    if series.dtype != pl.String:
        return ~np.isin(numbers(series).values, (0, 1)) & series.is_not_null().to_numpy()
    return booleans(series).bad
