"""trainwell from Python: `fit` for data in memory or in a file, `load`, `resume`, estimators for scikit-learn's tools.

The estimators hold their run in memory, so they can be cloned, pickled and moved; with `out` the run directory is kept
as well. What is fitted is `run_`, with everything that a run tells.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data
from torch import nn

from trainwell.base import InputError, PlanError
from trainwell.data import Table, read_table, table_from_arrays
from trainwell.engine import Alone, Processes, started_together
from trainwell.plan import Plan
from trainwell.recipe import Request, Run, Show, load_run, parse_budget, resume_run, run_recipe
from trainwell.report import LiveView, model_card, write_report


def fit(
    X: Any,
    y: Any,
    plan: Plan | str | Path | None = None,
    *,
    budget: float | str | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    task: str = "auto",
    settings: Mapping[str, Any] | None = None,
    trials: int | None = None,
    test: Any = None,
    test_size: float = 0.2,
    device: str = "auto",
    processes: Processes | None = None,
    quiet: bool = False,
) -> Run:
    """Train on a table, or a module of your own: look at the data, check, search, train, test, report.

    `fit(X, y)` trains our networks on a table. `fit(make_model, data)` trains networks of your own class:
    `make_model()` builds one anew at each call; `data` is a tuple (X, y) of arrays or tensors of any shape (N, …), or a
    torch Dataset of (x, y) pairs. The search then varies rates and regularisers, never the structure, and inputs stay
    as they are.

    Args:
        X: features: a frame, an array (N, D), lists. With names for y: the whole table, also a path or a bundled name.
            Or the factory of your module.
        y: targets (N,) or (N, C); or the name of the column of X to predict, or a tuple of several. Or the data.
        plan: values to hold to, or the path of their file. settings: further ones by dotted path.
        budget: seconds, or text such as "5m"; None: two minutes. trials: plans to draw; 0: no search.
        seed: where every random stream starts; None: the plan's, 0.
        out: the run directory, which must not exist yet; None: a new one under runs/.
        test: a table to judge by, with the same columns, or further data; None: `test_size` of the rows are held out.
        processes: those that train together under torchrun, of `trainwell.joined()`; None: this one trains alone.
        quiet: show no progress on standard error.

    Raises:
        InputError (a ValueError): one line saying what is wrong with the input, and how to mend it.
    """
    make: Any = X if callable(X) else None
    data, targets = (y, ()) if make is not None else _by_name(X, y) if _is_name(y) else _joined(X, y)
    request = Request(
        data=data,
        targets=targets,
        task=task,
        plan=_plan(plan, settings),
        budget=_seconds(budget),
        trials=trials,
        seed=seed,
        test=test,
        test_size=test_size,
        out=None if out is None else Path(out),
        device=device,
        make=make,
    )
    return _run(lambda show, processes: run_recipe(request, show, processes), processes, quiet=quiet)


def load(path: str | Path, *, module: Callable[[], nn.Module] | None = None) -> Run:
    """Read a run directory; no code in it is run.

    Args:
        module: the factory of a run that trained a module of your own; its code is not in the run.

    Raises:
        RunError (a ValueError): not a run, damaged, written by a newer version, or not of this module.
    """
    return load_run(Path(path), make=module)


def resume(
    path: str | Path,
    *,
    module: Callable[[], nn.Module] | None = None,
    processes: Processes | None = None,
    quiet: bool = False,
) -> Run:
    """Go on with a run that was stopped or killed; it ends as if it had never been. The run has kept the data.

    Args:
        module: the factory of a run that trains a module of your own.
        processes: as of `fit`; as many as there are now.

    Raises:
        RunError (a ValueError): not a run, damaged, in use, or not of this module.
    """
    return _run(
        lambda show, processes: resume_run(Path(path), show, make=module, processes=processes), processes, quiet=quiet
    )


def _run(train: Callable[[Show, Processes], Run], processes: Processes | None, *, quiet: bool) -> Run:
    """Train alone or together, and write the pages."""
    if processes is None:
        if started_together():
            raise InputError(
                "torchrun has started several processes, and each would train by itself; write 'with "
                "trainwell.joined() as processes:' around this call, and give it processes=processes."
            )
        processes = Alone()
    with LiveView(quiet=quiet or not processes.writes) as show:
        run = train(show, processes)
    if processes.writes:
        write_pages(run.path)
    return run


def write_pages(folder: Path) -> Path:
    """Write a run's report, and its model card beside the weights; gives the report's path.

    Raises:
        RunError: there is no run in this folder.
    """
    report = write_report(folder)
    if (folder / "model").is_dir():
        (folder / "model" / "README.md").write_text(model_card(folder), encoding="utf-8")
    return report


class Classifier(ClassifierMixin, BaseEstimator):
    """A classifier for scikit-learn: two or more classes, or several labels that are each 0 or 1.

    Features may be a frame of pandas or polars with numbers, words, dates and missing values, or an array. All rows
    given are used to train and to choose by; hold back your own to test. Sample weights are not supported.

    Args:
        plan, settings, budget, trials, seed, device: as in `trainwell.fit`.
        out: keep the run directory here, with its report; None: it is not kept.
        verbose: show progress on standard error.

    Attributes:
        classes_: labels, sorted, in the order of the columns of `predict_proba`.
        run_: the fitted run: `.findings`, `.result`, `.plan`, `.member(i)`.
    """

    def __init__(
        self,
        plan: Plan | str | Path | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        budget: float | str | None = None,
        trials: int | None = None,
        seed: int | None = None,
        out: str | Path | None = None,
        device: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.budget = budget
        self.trials = trials
        self.seed = seed
        self.out = out
        self.device = device
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> "Classifier":
        """Train on features X (N, D) and labels y (N,), or (N, C) of 0 and 1."""
        X, labels = _checked(self, X, y)
        check_classification_targets(labels)
        several = type_of_target(labels) == "multilabel-indicator"
        labels = labels if several else column_or_1d(labels, warn=True)
        self.classes_ = np.arange(labels.shape[1]) if several else np.unique(labels)
        self._several = several
        task = "multilabel" if several else "binary" if len(self.classes_) == 2 else "multiclass"
        table, targets = _joined(X, labels, _name_of(y))
        self.columns_, self.run_ = _trained(self, table if several else _each_class_twice(table, labels), targets, task)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C) in the order of `classes_`; of several labels: of each being 1."""
        return _fitted_run(self).predict_proba(_features(self, X))

    def predict(self, X: Any) -> np.ndarray:
        """Labels (N,), or (N, C) of 0 and 1."""
        probability = self.predict_proba(X)
        return (probability > 0.5).astype(np.int64) if self._several else self.classes_[probability.argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = ClassifierMixin.__sklearn_tags__(self)
        assert tags.classifier_tags is not None
        tags.classifier_tags.multi_label = True
        return _with_input_tags(tags)


class Regressor(RegressorMixin, BaseEstimator):
    """A regressor for scikit-learn: one number or several. For everything else, see `Classifier`."""

    def __init__(
        self,
        plan: Plan | str | Path | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        budget: float | str | None = None,
        trials: int | None = None,
        seed: int | None = None,
        out: str | Path | None = None,
        device: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.budget = budget
        self.trials = trials
        self.seed = seed
        self.out = out
        self.device = device
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> "Regressor":
        """Train on features X (N, D) and numbers y (N,) or (N, C)."""
        X, numbers = _checked(self, X, y)
        numbers = _array(numbers, ensure_2d=False, dtype=np.float64, input_name="y")
        self.columns_, self.run_ = _trained(self, *_joined(X, numbers, _name_of(y)), "regression")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers (N,) or (N, C)."""
        return _fitted_run(self).predict(_features(self, X))

    def __sklearn_tags__(self) -> Tags:
        tags = RegressorMixin.__sklearn_tags__(self)
        tags.target_tags.multi_output = True
        return _with_input_tags(tags)


Estimator = Classifier | Regressor


def _with_input_tags(tags: Tags) -> Tags:
    tags.input_tags.allow_nan = True
    tags.input_tags.categorical = True
    tags.input_tags.string = True
    return tags


def _checked(estimator: Estimator, X: Any, y: Any) -> tuple[Any, np.ndarray]:
    """X as it is if a frame, else an array (N, D); y as an array (N,) or (N, C) without missing values."""
    _validate(estimator, X, y, skip_check_array=True)  # y is not forgotten
    X = _checked_features(estimator, X, reset=True)
    target = _array(y, ensure_2d=False, dtype=None, input_name="y", estimator=estimator)
    check_consistent_length(X, target)
    return X, target


def _checked_features(estimator: Estimator, X: Any, *, reset: bool) -> Any:
    """X after scikit-learn's checks of its shape and names; the types of a frame's columns are kept."""
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        return _validate(estimator, X, reset=reset, skip_check_array=True)
    return _validate(
        estimator, X, reset=reset, dtype=None, ensure_all_finite=False, ensure_min_samples=2 if reset else 1
    )


# scikit-learn has no annotations, and what is inferred from its standard values is too narrow.
_validate: Any = validate_data
_array: Any = check_array


def _each_class_twice(table: Table, labels: np.ndarray) -> Table:
    """The table with a second copy of a row that is alone in its class: it must be both in training and in validation.

    scikit-learn asks its classifiers to take such data; `trainwell.fit` refuses it.
    """
    _, first, count = np.unique(labels, return_index=True, return_counts=True)
    alone = first[count == 1]
    return Table(table.frame.vstack(table.frame[alone]), table.source) if len(alone) else table


def _trained(estimator: Estimator, table: Table, targets: tuple[str, ...], task: str) -> tuple[tuple[str, ...], Run]:
    """Names of the features, and the run, which is all in memory."""
    with TemporaryDirectory(prefix="trainwell-") as folder:
        request = Request(
            data=table,
            targets=targets,
            task=task,
            plan=_plan(estimator.plan, estimator.settings),
            budget=_seconds(estimator.budget),
            trials=estimator.trials,
            seed=estimator.seed,
            test_size=0.0,
            out=Path(folder, "run") if estimator.out is None else Path(estimator.out),
            device=estimator.device,
        )
        with LiveView(quiet=not estimator.verbose) as show:
            run = run_recipe(request, show)
        if estimator.out is not None:
            write_pages(run.path)
    return table.columns[: -len(targets)], run


def _fitted_run(estimator: Estimator) -> Run:
    check_is_fitted(estimator)
    return estimator.run_


def _features(estimator: Estimator, X: Any) -> Table:
    """Rows to predict, under the names of the features in training: scikit-learn goes by position."""
    return table_from_arrays(_checked_features(estimator, X, reset=False), names=estimator.columns_)


def _joined(X: Any, y: Any, name: str = "") -> tuple[Table, tuple[str, ...]]:
    """Features and targets as one table; a target is named as the user named it, else target, target0, ..."""
    features = X if isinstance(X, Table) else table_from_arrays(X)
    array = np.asarray(y)
    columns = [array] if array.ndim == 1 else list(array.reshape(len(array), -1).T)
    stem = name or _name_of(y)
    names = [stem if len(columns) == 1 else f"{stem}{i}" for i in range(len(columns))]
    names = [_free(each, features.columns) for each in names]
    together = {column: features.frame[column] for column in features.columns} | dict(zip(names, columns, strict=True))
    return table_from_arrays(together), tuple(names)


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _name_of(y: Any) -> str:
    """The name of a series, or "target"."""
    name = getattr(y, "name", None)
    return name if isinstance(name, str) and name else "target"


def _is_name(y: Any) -> bool:
    return isinstance(y, str) or (isinstance(y, tuple) and bool(y) and all(isinstance(name, str) for name in y))


def _by_name(X: Any, y: str | tuple[str, ...]) -> tuple[Table, tuple[str, ...]]:
    return read_table(X), (y,) if isinstance(y, str) else y


def _plan(plan: Plan | str | Path | None, settings: Mapping[str, Any] | None) -> Plan:
    if not isinstance(plan, Plan | str | Path | None) and hasattr(plan, "shape"):
        raise PlanError("The third argument is the plan: X and y of a module of your own go together, as (X, y).")
    if not isinstance(plan, Plan | str | Path | None):
        raise PlanError(f"The plan must be a trainwell.Plan or the path of its file, but is a {type(plan).__name__}.")
    made = Plan() if plan is None else plan if isinstance(plan, Plan) else Plan.from_yaml(Path(plan))
    return made.edited(settings, by="user", why="given in settings") if settings else made


def _seconds(budget: float | str | None) -> float | None:
    return None if budget is None else parse_budget(budget)
