"""Dumb and honest baselines (row B1), on the same training and test rows: constant, linear, gradient boosting."""

import time
import warnings
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor

from trainwell.data import Split
from trainwell.recipe.metrics import MAIN, score
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop

ROWS_A_SECOND = 1_500  # rows that boosting fits in about 1 % of the budget; more are left out and that is said
NUMBERS_A_SECOND = 60_000


def compare_baselines(ws: Workshop) -> Result:
    """Fit each baseline on training and validation rows, judge it on the test part (else on validation)."""
    given, apart = ws.material.plain(ws.plan), ws.material.test_target
    y, x = given.y, np.zeros((len(given.y), 1)) if given.x is None else given.x
    fit_rows, part = _rows(ws, given.parts, x.shape[1])
    if apart is not None:
        truth, x_test = apart, np.zeros((len(apart), 1)) if given.x_test is None else given.x_test
    else:
        rows = given.parts.test if part == "test" else given.parts.validation
        truth, x_test = y[rows], x[rows]
    scores: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    models = _models(ws.facts.task, len(ws.facts.targets), ws.plan.seed)
    models = models if given.x is not None else {"constant": models["constant"]}
    for i, (name, model) in enumerate(models.items()):
        ws.progress(i / len(models), f"{name} on {len(fit_rows)} rows")
        began = time.monotonic()
        scores[name] = score(ws.facts.task, truth, _fit_predict(ws, model, x[fit_rows], y[fit_rows], x_test))
        seconds[name] = time.monotonic() - began
        if ws.clock.interrupted:
            break
    main = MAIN[ws.facts.task]
    evidence = {
        "metric": main,
        "scores": scores,
        "best": max(scores, key=lambda name: scores[name][main]),
        "seconds": seconds,
        "judged_on": part,
        "rows": len(fit_rows),
    }
    return Result(None, evidence, {"scores": scores})


def _rows(ws: Workshop, parts: Split, inputs: int) -> tuple[np.ndarray, str]:
    """Rows to fit on, and the part to judge by."""
    develop = np.concatenate([parts.train, parts.validation])
    fit, part = (develop, "test") if ws.test_rows else (parts.train, "validation")
    columns = max(1, len(ws.facts.used) or inputs)
    most = int(min(ROWS_A_SECOND, NUMBERS_A_SECOND / columns) * ws.clock.budget)
    if len(fit) > most:
        fit = fit[np.linspace(0, len(fit) - 1, max(2, most)).astype(np.int64)]
    return fit, part


def _models(task: str, targets: int, seed: int) -> dict[str, Any]:
    if task == "regression":
        boosting: Any = HistGradientBoostingRegressor(random_state=seed % 2**32)
        boosting = MultiOutputRegressor(boosting) if targets > 1 else boosting
        return {"constant": DummyRegressor(), "linear": Ridge(), "gradient-boosting": boosting}
    linear: Any = LogisticRegression(max_iter=100)
    boosting = HistGradientBoostingClassifier(random_state=seed % 2**32)
    if task == "multilabel":
        linear, boosting = MultiOutputClassifier(linear), MultiOutputClassifier(boosting)
    return {"constant": DummyClassifier(), "linear": linear, "gradient-boosting": boosting}


def _fit_predict(ws: Workshop, model: Any, x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Predictions (N, C) in the form `score` takes."""
    task = ws.facts.task
    target = y[:, 0] if task == "regression" and y.shape[1] == 1 else y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline that has not converged is still an honest one
        model.fit(x, target)
    if task == "regression":
        return np.asarray(model.predict(x_test)).reshape(len(x_test), -1)
    p = model.predict_proba(x_test)
    if task == "multilabel":
        classes = model.classes_
        columns = [q[:, list(c).index(1)] if 1 in c else np.zeros(len(x_test)) for q, c in zip(p, classes, strict=True)]
        return np.stack(columns, axis=1)
    full = np.zeros((len(x_test), len(ws.facts.classes)))
    full[:, np.asarray(model.classes_, dtype=np.int64)] = p
    return full
