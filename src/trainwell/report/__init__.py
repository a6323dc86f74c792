"""Pages, cards and the live view: what a run directory holds, told to a person. Reads records only; no torch.

Contract: figures (`figures.py`) are pure functions from numbers to SVG; sections (`sections/`) are pure functions from
`Records` to plain blocks; the template alone knows how a block looks.

The names below are imported when first used (PEP 562): who only watches a training holds no template engine and none of
the recipe's libraries in memory until a page is asked for.
"""

import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainwell.report.card import model_card as model_card
    from trainwell.report.live import LiveView as LiveView
    from trainwell.report.page import write_report as write_report
    from trainwell.report.watched import render as render
    from trainwell.report.watched_program import Watched as Watched

__all__ = ["LiveView", "Watched", "model_card", "render", "write_report"]

_HOME = {
    "LiveView": "trainwell.report.live",
    "Watched": "trainwell.report.watched_program",
    "model_card": "trainwell.report.card",
    "render": "trainwell.report.watched",
    "write_report": "trainwell.report.page",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trainwell.report' has no attribute '{name}'")
    drawn = random.getstate()  # a library draws from the user's stream while it is imported
    value = getattr(import_module(_HOME[name]), name)
    random.setstate(drawn)
    globals()[name] = value
    return value
