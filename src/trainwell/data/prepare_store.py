"""A preparation as two files: `preparation.json` (plain values) and `preparation.safetensors` (arrays). No pickle."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trainwell.base import RunError
from trainwell.data.encode_numbers import BooleanEncoder, DatetimeEncoder, NumberEncoder
from trainwell.data.encode_words import IndexEncoder, OneHotEncoder, TextEncoder
from trainwell.data.options import PreparationOptions
from trainwell.data.prepare import Preparation

VERSION = 1

_ENCODERS: dict[str, type] = {
    "number": NumberEncoder,
    "boolean": BooleanEncoder,
    "datetime": DatetimeEncoder,
    "one-hot": OneHotEncoder,
    "index": IndexEncoder,
    "text": TextEncoder,
}
_NAMES = {encoder: name for name, encoder in _ENCODERS.items()}


def save_preparation(preparation: Preparation, folder: Path) -> None:
    """Write both files into a folder that is there."""
    arrays: dict[str, np.ndarray] = {"target_mean": preparation.target_mean, "target_std": preparation.target_std}
    columns = [
        {"encoder": _NAMES[type(column)], **_pack(column, f"columns.{i}", arrays)}
        for i, column in enumerate(preparation.columns)
    ]
    tree = {
        "version": VERSION,
        "task": preparation.task,
        "targets": preparation.targets,
        "classes": preparation.classes,
        "boolean_targets": preparation.boolean_targets,
        "options": _pack(preparation.options, "options", arrays),
        "columns": columns,
    }
    save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, folder / "preparation.safetensors")
    (folder / "preparation.json").write_text(json.dumps(tree, ensure_ascii=False, indent=1), encoding="utf-8")


def load_preparation(folder: Path) -> Preparation:
    """The preparation that was saved into this folder; encodes to the same bytes.

    Raises:
        RunError: the files are not there, damaged, or of a newer version.
    """
    try:
        tree = json.loads((folder / "preparation.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "preparation.safetensors")
        version = tree["version"]
        if version == VERSION:
            return _unpack_preparation(tree, arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise RunError(
            f"The preparation in '{folder}' is damaged or not there ({str(error)[:80]}). Copy the run again."
        ) from None
    raise RunError(
        f"The preparation in '{folder}' has the version {version}; this trainwell reads {VERSION}. Update it."
    )


def _unpack_preparation(tree: dict[str, Any], arrays: dict[str, np.ndarray]) -> Preparation:
    columns = [
        _unpack(_ENCODERS[packed.pop("encoder")], packed, f"columns.{i}", arrays)
        for i, packed in enumerate(tree["columns"])
    ]
    return Preparation(
        task=tree["task"],
        targets=tuple(tree["targets"]),
        classes=tuple(tree["classes"]),
        columns=tuple(columns),
        options=_unpack(PreparationOptions, tree["options"], "options", arrays),
        target_mean=arrays["target_mean"],
        target_std=arrays["target_std"],
        boolean_targets=tree["boolean_targets"],
    )


def _pack(value: Any, path: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """A dataclass as plain values; its arrays go to `arrays` under their path."""
    packed: dict[str, Any] = {}
    for item in fields(value):
        part = getattr(value, item.name)
        if isinstance(part, np.ndarray):
            arrays[f"{path}.{item.name}"] = part
        else:
            packed[item.name] = _pack(part, f"{path}.{item.name}", arrays) if is_dataclass(part) else part
    return packed


def _unpack(kind: type, packed: dict[str, Any], path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of `_pack` for a known dataclass."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for item in fields(kind):
        hint, inner = hints[item.name], f"{path}.{item.name}"
        if hint is np.ndarray:
            values[item.name] = arrays[inner]
        elif isinstance(hint, type) and is_dataclass(hint):
            values[item.name] = _unpack(hint, packed[item.name], inner, arrays)
        else:
            values[item.name] = tuple(packed[item.name]) if get_origin(hint) is tuple else packed[item.name]
    return kind(**values)
