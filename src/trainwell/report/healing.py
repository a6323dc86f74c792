"""What healing did, in one sentence: what was treated, with what, and what the trial showed."""

import math
from collections.abc import Mapping
from typing import Any

from trainwell.report.words import code, counted, is_number, listed, number


def healing_told(e: Mapping[str, Any]) -> str:
    """A sentence from the evidence of the stage `healing`; "" where nothing was wrong."""
    found = listed([code(kind) for kind in e.get("found") or ()])
    if not found:
        return ""
    if "outcome" not in e:
        return f"Nothing was tried against {found}: {e.get('why') or 'the reason was not recorded'}."
    if e["outcome"] == "nothing":
        tried = counted(int(e.get("tried") or 0), "remedy", "remedies")
        return f"Against {found} {tried} were tried side by side; none helped beyond the noise."
    change = ", ".join(f"{code(path)} {number(a)} → {number(b)}" for path, a, b in e.get("change") or ())
    shown = trial_told(e.get("trial") or {})
    treated = f"{change} ({shown})" if shown else change
    if e["outcome"] == "cured":
        return f"Healed itself: against {found}, {treated}; the networks were trained anew with it."
    if e["outcome"] == "fixed":
        return f"Against {found} this would help: {treated}. You fixed a value in it, so nothing was changed."
    return (
        f"Against {found} this helped in a trial: {treated}; networks trained anew were no better, so all is as it was."
    )


def trial_told(verified: Mapping[str, Any]) -> str:
    """What a trial showed: the figure with and without the remedy.

    >>> trial_told({"before": 0.5, "after": 0.1, "figure": "validation loss", "seeds": 5})
    'validation loss 0.5 → 0.1 over 5 seeds'
    """
    if "before" not in verified:
        return ""
    figure, seeds = verified.get("figure"), verified.get("seeds")
    text = f"{figure} " if figure else ""
    text += f"{number(verified['before'])} → {number(verified.get('after'))}"
    return f"{text} over {counted(seeds, 'seed')}" if isinstance(seeds, int) else text


def verdict_of(verified: Mapping[str, Any]) -> str:
    """Whether a remedy helped, in words.

    >>> verdict_of({"before": 0.5, "after": 0.4, "helped": False, "figure": "validation loss"})
    'it did not help beyond the noise'
    """
    if verified.get("helped"):
        return "it helped"
    better = left(verified, "after") < left(verified, "before")
    return "it did not help beyond the noise" if better else "it did not help"


def left(verified: Mapping[str, Any], when: str) -> float:
    """The figure of a trial "before" or "after", turned so that smaller is better; NaN where it is not known."""
    value = verified.get(when)
    if not is_number(value):
        return math.nan
    return value if "loss" in str(verified.get("figure")) else -value
