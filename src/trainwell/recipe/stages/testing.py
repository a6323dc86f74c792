"""The test: rows that nothing was chosen by, judged once, beside the baselines."""

from typing import Any

import numpy as np
import torch

from trainwell.data.batches import CPU
from trainwell.recipe.metrics import MAIN, score
from trainwell.recipe.stages.result import Result
from trainwell.recipe.workshop import Workshop

SHOWN = 500  # points of a scatter, and of a ROC curve


def judge_test(ws: Workshop) -> Result:
    """Metrics of the averaged networks on the test part, and what a page needs to draw them."""
    if not (ws.folder / "model" / "weights.safetensors").exists():
        return Result(False, {"why": "there is no trained network"})
    if not ws.test_rows:
        return Result(None, {"why": "no rows were kept for a test", "rows": 0})
    material, truth = ws.material, ws.material.test_target
    if truth is None:
        rows = ws.split.test
        truth, samples = material.truth(ws.plan, rows), material.samples(ws.plan).only(torch.from_numpy(rows)).to(CPU)
    else:
        samples = material.test_samples(ws.plan)
    prediction = material.networks(ws.folder / "model").predict(samples).numpy()
    prediction = material.on_original_scale(ws.plan, prediction)
    metrics = score(ws.facts.task, truth, prediction)
    main = MAIN[ws.facts.task]
    best_baseline = (
        max(v[main] for v in ws.carry["baselines"]["scores"].values()) if ws.carry.get("baselines") else None
    )
    ws.progress(1.0, f"{main} {metrics[main]:.4f} on {len(truth)} rows")
    evidence = {"metrics": metrics, "rows": len(truth), **_details(ws, truth, prediction)}
    dumb = ws.carry.get("baselines", {}).get("scores", {}).get("constant", {}).get(main)
    return Result(None if dumb is None else metrics[main] > dumb, evidence | {"best_baseline": best_baseline})


def _details(ws: Workshop, truth: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    task = ws.facts.task
    if task == "regression":
        pick = np.linspace(0, len(truth) - 1, min(SHOWN, len(truth))).astype(np.int64)
        residual = (truth - prediction).std(axis=0)
        return {
            "scatter": np.stack([truth[pick, 0], prediction[pick, 0]], axis=1).tolist(),
            "residual_std": residual.tolist(),
        }
    if task == "multilabel":
        return {"labels": [str(c) for c in ws.facts.classes]}
    classes, chosen = len(ws.facts.classes), prediction.argmax(axis=1)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, chosen), 1)
    details: dict[str, Any] = {"labels": [str(c) for c in ws.facts.classes], "confusion": confusion.tolist()}
    details["reliability"] = _reliability(prediction.max(axis=1), chosen == truth)
    if task == "binary":
        details["roc"] = _roc(truth, prediction[:, 1])
        details["reliability"] = _reliability(prediction[:, 1], truth == 1)
    return details


def _reliability(probability: np.ndarray, hit: np.ndarray) -> list[list[float]]:
    """(mean probability, observed share, rows) in ten bins of equal width."""
    bins = np.minimum((probability * 10).astype(int), 9)
    return [
        [float(probability[bins == b].mean()), float(hit[bins == b].mean()), int((bins == b).sum())]
        for b in range(10)
        if (bins == b).any()
    ]


def _roc(truth: np.ndarray, scores: np.ndarray) -> list[list[float]]:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order] == 1)
    false = np.cumsum(truth[order] != 1)
    last = np.concatenate([np.flatnonzero(np.diff(scores[order])), [len(order) - 1]])
    points = np.stack([false[last] / max(1, false[-1]), hits[last] / max(1, hits[-1])], axis=1)
    pick = np.unique(np.linspace(0, len(points) - 1, min(SHOWN, len(points))).astype(np.int64))
    return [[0.0, 0.0], *points[pick].tolist()]
