"""The tree of errors. A failed training is not in it: that is an `Outcome`.

TrainwellError                 anything trainwell raises on purpose
├── ProcessError               another process of the same training is lost: exit code 1, one line
└── InputError (ValueError)    the user's input is at fault: exit code 2, one line
    ├── DataError              the table, its columns or its target
    ├── PlanError              a value of the plan
    ├── BudgetError            a duration or a number of trials
    └── RunError               a run directory
"""

import difflib
from collections.abc import Iterable


class TrainwellError(Exception):
    """Anything trainwell raises on purpose."""


class ProcessError(TrainwellError):
    """Another process of the same training is lost. The message is one line."""


class InputError(TrainwellError, ValueError):
    """The user's input is at fault. The message is one line: the rule, the value, the way out.

    Attributes:
        tell: whether this process is to tell the user; of several with the same error, one is.
    """

    tell = True


class DataError(InputError):
    """The table, one of its columns or its target cannot be used."""


class PlanError(InputError):
    """A key or a value of the plan is wrong."""


class BudgetError(InputError):
    """A duration or a number of trials is wrong."""


class RunError(InputError):
    """A run directory is in use, damaged or of another version."""


def did_you_mean(name: str, choices: Iterable[str], *, alike: float = 0.6) -> str:
    """The nearest choice as a sentence with a leading space, or nothing where none is `alike`, in 0 … 1.

    >>> did_you_mean("incme", ["age", "income"])
    " Did you mean 'income'?"
    >>> did_you_mean("zzz", ["age", "income"])
    ''
    """
    lowered = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=alike)
    return f" Did you mean '{lowered[near[0]]}'?" if near else ""
