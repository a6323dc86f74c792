"""Data sets that come with trainwell or with scikit-learn; nothing is downloaded."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.resources import files
from typing import Any

import numpy as np

from trainwell.data.delimited import read_delimited
from trainwell.data.table import Table, table_from_columns


def from_scikit_learn(name: str) -> Table:
    """One of scikit-learn's own sets, its target under the name "target": names of classes, digits, or a number."""
    loaded: Any = getattr(import_module("sklearn.datasets"), f"load_{name}")()
    names = [str(feature).replace(" ", "_") for feature in loaded.feature_names]
    target = loaded.target
    if name not in ("digits", "diabetes"):
        target = np.asarray(loaded.target_names)[target]
    features = [(feature, loaded.data[:, i]) for i, feature in enumerate(names)]
    return table_from_columns([*features, ("target", target)], name)


def from_package(name: str) -> Table:
    """A set shipped as compressed text beside this file."""
    return Table(read_delimited(lzma_text(name), name), name)


def lzma_text(name: str) -> bytes:
    """The text of a shipped file `bundled/NAME.csv.xz`."""
    packed = files("trainwell.data").joinpath("bundled", f"{name}.csv.xz").read_bytes()
    return import_module("lzma").decompress(packed)


BUNDLED: dict[str, Callable[[], Table]] = {
    **{name: partial(from_scikit_learn, name) for name in ("digits", "iris", "wine", "breast_cancer", "diabetes")},
    **{name: partial(from_package, name) for name in ("adult", "adult-test")},
}
