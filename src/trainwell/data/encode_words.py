"""Columns of categories and of text as inputs. The contract is in `encode_numbers`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.columns import MOST_CATEGORIES
from trainwell.data.encode_numbers import Numeric, Origin, fit_numeric
from trainwell.data.facts import ColumnFacts
from trainwell.data.options import PreparationOptions
from trainwell.data.values import numbers, words

TEXT_FEATURES = 128
"""Width of the hashed bag of words."""


@dataclass(frozen=True)
class OneHotEncoder:
    """One input a category of training, and one for "missing" if that occurred; an unseen category is all zeros."""

    name: str
    categories: tuple[str, ...]
    missing: bool
    cardinality: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the dense inputs."""
        named = tuple(f"{self.name} = {category}" for category in self.categories)
        return (*named, f"{self.name} is missing") if self.missing else named

    def encode(self, series: pl.Series, origin: Origin) -> np.ndarray:
        """(N, inputs) float32."""
        codes, absent = category_codes(series, self.categories)
        if self.missing:
            codes = np.where(absent, len(self.categories), codes)
        hot = np.zeros((len(codes), len(self.inputs)), np.float32)
        known = np.flatnonzero(codes >= 0)
        hot[known, codes[known]] = 1.0
        return hot


@dataclass(frozen=True)
class IndexEncoder:
    """An index for an embedding: 0 for rare or unseen, then the categories, then "missing" if that occurred."""

    name: str
    categories: tuple[str, ...]
    missing: bool
    inputs: tuple[str, ...] = ()

    @property
    def cardinality(self) -> int:
        """Number of different indices."""
        return 1 + len(self.categories) + self.missing

    def encode(self, series: pl.Series, origin: Origin) -> np.ndarray:
        """(N,) int64."""
        codes, absent = category_codes(series, self.categories)
        return np.where(absent & self.missing, len(self.categories), codes) + 1


def fit_category(series: pl.Series, facts: ColumnFacts, options: PreparationOptions) -> OneHotEncoder | IndexEncoder:
    """Fit on the training rows of a column: one-hot up to `one_hot_limit` categories, an index beyond.

    For an index, categories seen once in training share the row of unseen ones, which so gets trained.
    """
    text = words(series)
    counts = text.drop_nulls().value_counts().sort("count", text.name, descending=[True, False])
    missing = bool(text.null_count())
    if counts.height <= options.one_hot_limit:
        return OneHotEncoder(facts.name, tuple(counts[text.name].sort()), missing)
    kept = counts.filter(pl.col("count") > 1).head(MOST_CATEGORIES)
    return IndexEncoder(facts.name, tuple(kept[text.name].sort()), missing)


def category_codes(series: pl.Series, categories: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int64 place of each value among the categories, -1 for others; (N,) True where it is missing."""
    text = words(series)
    if not categories:
        return np.full(len(series), -1), text.is_null().to_numpy()
    names = pl.Series(categories)
    if series.dtype.is_numeric():
        names = _as_numbers_are_named(names)
    table = dict(zip(reversed(names.to_list()), reversed(range(len(categories))), strict=True))  # of equals the first
    codes = text.replace_strict(list(table), list(table.values()), default=-1, return_dtype=pl.Int64)
    return codes.fill_null(-1).to_numpy().astype(np.int64), text.is_null().to_numpy()


def _as_numbers_are_named(names: pl.Series) -> pl.Series:
    """Categories read from text, where new data hold numbers in their place: "1.50" is the category of 1.5."""
    read = numbers(names)
    return words(pl.Series(read.values)).fill_null(names)


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """Length in characters and in words, and a bag of words hashed to `features` inputs of unit length together."""

    name: str
    length: Numeric
    count: Numeric
    features: int = TEXT_FEATURES
    cardinality: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the dense inputs."""
        hashed = (f"{self.name} words #{i}" for i in range(self.features))
        return (*self.length.inputs(f"{self.name} length"), *self.count.inputs(f"{self.name} word count"), *hashed)

    def encode(self, series: pl.Series, origin: Origin) -> np.ndarray:
        """(N, inputs) float32."""
        text = words(series)
        figures = [self.length.encode(_lengths(text)), self.count.encode(_word_counts(text))]
        return np.concatenate([*figures, _hashed_bag(text, self.features)], axis=1)


def fit_text(series: pl.Series, facts: ColumnFacts, options: PreparationOptions) -> TextEncoder:
    """Fit on the training rows of a column."""
    text = words(series)
    length = fit_numeric(_lengths(text), options, plain=True)
    filled = np.where(np.isnan(_word_counts(text)), 0.0, _word_counts(text))  # one indicator is enough
    return TextEncoder(facts.name, length, fit_numeric(filled, options, plain=True))


def _lengths(text: pl.Series) -> np.ndarray:
    return _floats(text.str.len_chars())


def _word_counts(text: pl.Series) -> np.ndarray:
    return _floats(text.str.count_matches(r"\w+"))


def _floats(counts: pl.Series) -> np.ndarray:
    return np.array(counts.cast(pl.Float64).fill_null(float("nan")).to_numpy())


def _hashed_bag(text: pl.Series, features: int) -> np.ndarray:
    from sklearn.feature_extraction.text import HashingVectorizer  # heavy, and few tables hold text

    hashing = HashingVectorizer(n_features=features, norm="l2", token_pattern=r"(?u)\b\w+\b")
    bag: Any = hashing.transform(text.fill_null("").to_list())
    return bag.toarray().astype(np.float32)
