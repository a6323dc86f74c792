"""The words of the data layer: kinds of columns and kinds of task, each with its meaning. No heavy import."""

from collections.abc import Mapping
from typing import Literal

ColumnKind = Literal["number", "category", "boolean", "datetime", "text", "identifier"]
Task = Literal["binary", "multiclass", "multilabel", "regression"]

COLUMN_KINDS: Mapping[ColumnKind, str] = {
    "number": "a quantity: larger means more of something",
    "category": "one of a list of names",
    "boolean": "one of two values that mean no and yes",
    "datetime": "a date, or a date with a time of day",
    "text": "words; used as its length and a hashed bag of words",
    "identifier": "tells rows apart and nothing else; never an input",
}

TASKS: Mapping[Task, str] = {
    "binary": "one of two classes",
    "multiclass": "one of several classes",
    "multilabel": "several targets, each 0 or 1",
    "regression": "one or several numbers",
}
