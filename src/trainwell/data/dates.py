"""Which way of writing dates a column of text follows."""

from collections.abc import Iterator

import polars as pl

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y")
_SHORT = ("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%y")
_NAMED = ("%d %b %Y", "%b %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%B %d, %Y")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S%.f")
_ZONED = ("%Y-%m-%dT%H:%M:%S%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
_SHAPE = r"\d[-/.: ]\d|[A-Za-z]{3}.*\d{4}|\d.[A-Za-z]{3}"


def date_format(text: pl.Series) -> str:
    """The `strptime` format that all of these (distinct, not missing) texts follow, or "" if there is none.

    Where both fit, "/" is read as month/day, "." and "-" as day first, then month.
    """
    sample = text.head(20)
    if not sample.len() or not sample.str.contains(_SHAPE).all():
        return ""
    for form in _formats():
        if _fits(sample, form) and _fits(text, form):
            return form
    return ""


def _fits(text: pl.Series, form: str) -> bool:
    parsed = text.str.to_datetime(form, strict=False)
    return parsed.null_count() == 0 and bool((parsed.dt.year() > 999).all())  # "%Y" also takes "24" as the year 24


def _formats() -> Iterator[str]:
    yield from (day + time for time in _TIMES for day in (*_DAYS, *_NAMED, *_SHORT))
    yield from _ZONED
