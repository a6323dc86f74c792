"""What an unfinished run keeps of its request, read back: the data, and whose networks they are."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from trainwell.base import RunError
from trainwell.data import Table
from trainwell.plan import Plan
from trainwell.recipe.cut import Cut
from trainwell.recipe.request import Request
from trainwell.recipe.setup import Setting

Make = Callable[[], nn.Module]
UNREADABLE = (OSError, KeyError, IndexError, TypeError, SafetensorError, pl.exceptions.PolarsError)


def remembered_request(path: Path, asked: Mapping[str, Any], make: Make | None) -> Request:
    """The request of a run in this folder, from what its journal noted.

    Raises:
        RunError: damaged, or the module is not given.
    """
    check_kind(path, asked.get("kind", "dense"), make, "resume")
    try:
        data, test = (_table if make is None else _pairs)(path / "checkpoints", asked)
        return Request(
            data=data,
            targets=tuple(asked["targets"]),
            rows=asked.get("rows"),
            cut=None if asked.get("cut") is None else Cut.from_dict(asked["cut"]),
            task=asked["task"],
            plan=Plan.from_yaml(asked["plan"]),
            budget=asked["budget"],
            test=test,
            test_size=asked["test_size"],
            device=asked["device"],
            only_check=asked["only_check"],
            make=make,
        )
    except UNREADABLE as error:
        raise RunError(
            f"The run '{path}' is damaged: its data or request cannot be read; start it anew with 'trainwell fit'."
        ) from error


def check_kind(path: Path, kind: str, make: Make | None, verb: str) -> None:
    """A run of a user's module comes with its factory, and no other run does.

    Raises:
        RunError: otherwise. `verb`: the function of Python that takes the factory.
    """
    if kind == "module" and make is None:
        raise RunError(
            f"The run '{path}' is of a module of your own, whose code is not kept in it: "
            f"in Python, trainwell.{verb}('{path}', module=make_model)."
        )
    if kind != "module" and make is not None:
        raise RunError(f"The run '{path}' is of a table, and trains no module of yours: leave 'module' out.")


def check_same_module(setting: Setting, path: Path, asked: Mapping[str, Any]) -> None:
    """A resumed module has the parameters that the run began with.

    Raises:
        RunError: otherwise.
    """
    if "parameters" not in asked:
        return
    layout = setting.material.structure(setting.plan).layout
    now = [[slot.name, *slot.shape] for slot in layout.slots]
    if now != asked["parameters"]:
        odd = next((a for a in now if a not in asked["parameters"]), None) or next(
            a for a in asked["parameters"] if a not in now
        )
        raise RunError(
            f"The module does not fit the run '{path}': its parameter '{odd[0]}' differs. "
            "Give the factory that the run was begun with."
        )


def _table(folder: Path, asked: Mapping[str, Any]) -> tuple[Table, Table | None]:
    """The tables."""
    table = Table(pl.read_parquet(folder / "data.parquet"), asked["source"])
    test = asked["test_source"]
    return table, None if test is None else Table(pl.read_parquet(folder / "test.parquet"), test)


def _pairs(folder: Path, asked: Mapping[str, Any]) -> tuple[Any, Any]:
    """(X, y) of the rows, and of the test rows if they were given apart."""
    tensors, labels = load_file(folder / "data.safetensors"), asked["labels"]
    y = {
        n: np.array(labels[n])[tensors[n].numpy()] if n in labels else tensors[n]
        for n in ("y", "test.y")
        if n in tensors
    }
    return (tensors["x"], y["y"]), (tensors["test.x"], y["test.y"]) if "test.y" in y else None
