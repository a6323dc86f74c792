"""Test and validation metrics of predictions, by scikit-learn; the first of a task's table is its main metric."""

from typing import Any

import numpy as np
from sklearn import metrics as sk

HIGHER_IS_BETTER = {
    "accuracy": True,
    "balanced_accuracy": True,
    "f1": True,
    "f1_micro": True,
    "roc_auc": True,
    "log_loss": False,
    "r2": True,
    "rmse": False,
    "mae": False,
}
MAIN = {"binary": "accuracy", "multiclass": "accuracy", "multilabel": "f1_micro", "regression": "r2"}


def score(task: str, truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """All metrics of a task.

    Args:
        truth: (N,) class numbers, (N, C) 0/1 of multi-label, (N, C) numbers on their original scale.
        prediction: (N, C) probabilities (binary: (N, 2)), or numbers on the original scale.
    """
    if task == "regression":
        return _numbers(truth, prediction)
    if task == "multilabel":
        return _labels(truth, prediction)
    return _classes(task, truth, prediction)


def _numbers(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    truth, prediction = truth.astype(np.float64), prediction.astype(np.float64)
    return {
        "r2": float(sk.r2_score(truth, prediction)) if len(truth) > 1 else float("nan"),
        "rmse": float(np.sqrt(np.mean((truth - prediction) ** 2))),
        "mae": float(np.mean(np.abs(truth - prediction))),
    }


def _labels(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    chosen = prediction > 0.5
    result = {
        "f1_micro": (_f1(truth, chosen, "micro")),
        "accuracy": float(np.mean((truth > 0.5) == chosen)),
        "log_loss": _log_loss(np.stack([truth, 1 - truth]), np.stack([prediction, 1 - prediction])) * 2,
    }
    varied = [c for c in range(truth.shape[1]) if 0 < truth[:, c].mean() < 1]
    if varied:
        result["roc_auc"] = float(sk.roc_auc_score(truth[:, varied], prediction[:, varied], average="macro"))
    return result


def _classes(task: str, truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    chosen = prediction.argmax(axis=1)
    present = np.unique(truth)
    recalls = [float(np.mean(chosen[truth == c] == c)) for c in present]
    result: dict[str, float] = {
        "accuracy": float(np.mean(chosen == truth)),
        "balanced_accuracy": float(np.mean(recalls)),
        "f1": (_f1(truth, chosen, "binary" if task == "binary" else "macro")),
        "log_loss": _log_loss(np.eye(prediction.shape[1])[truth], prediction),
    }
    if len(present) == prediction.shape[1]:
        scores: Any = prediction[:, 1] if task == "binary" else prediction / prediction.sum(axis=1, keepdims=True)
        result["roc_auc"] = float(sk.roc_auc_score(truth, scores, multi_class="ovr"))
    return result


def _f1(truth: np.ndarray, chosen: np.ndarray, average: str) -> float:
    """F1, 0 where a class is never chosen; scikit-learn's type for `zero_division` is narrower than what it takes."""
    options: dict[str, Any] = {"average": average, "zero_division": 0}
    return float(sk.f1_score(truth, chosen, **options))


def _log_loss(truth: np.ndarray, probability: np.ndarray) -> float:
    """−mean log p of the truth; p is kept above 1e-15, so that one wrong certainty is not infinite."""
    last = truth.ndim - 1 if truth.ndim == 2 else None
    terms = -truth * np.log(np.clip(probability, 1e-15, 1.0))
    return float(terms.sum(axis=last).mean() if last is not None else terms.mean())
