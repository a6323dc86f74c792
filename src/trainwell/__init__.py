"""trainwell trains neural networks well, and says why when one can't be trained.

    run = trainwell.fit(X, y, budget="60s")     # data in, network out
    model = trainwell.Classifier().fit(X, y)    # the same as a scikit-learn estimator
    run = trainwell.fit(make_model, (X, y))     # the same for a torch module of your own
    run = trainwell.load("runs/demo")           # a run directory
    with trainwell.watch(model, optimizer) as w: ...    # a loop of your own, watched
    trainwell.check(model, loss_fn, x, y)       # one batch, before any training
    trainwell.cure(make_model, (X, y), ...)     # a training of your own, healed

The names below are the public ones. They are imported when first used (PEP 562): `import trainwell` itself is fast.
"""

import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

from trainwell.version import VERSION

if TYPE_CHECKING:
    from trainwell.adapters import Watch as Watch, watch as watch
    from trainwell.diagnosis import check as check
    from trainwell.engine import joined as joined
    from trainwell.estimators import (
        Classifier as Classifier,
        Regressor as Regressor,
        fit as fit,
        load as load,
        resume as resume,
    )
    from trainwell.plan import Plan as Plan
    from trainwell.recipe import Run as Run
    from trainwell.remedies import Cure as Cure, cure as cure

__version__ = VERSION
__all__ = [
    "Classifier",
    "Cure",
    "Plan",
    "Regressor",
    "Run",
    "Watch",
    "check",
    "cure",
    "fit",
    "joined",
    "load",
    "resume",
    "watch",
]

_HOME = {
    "Classifier": "trainwell.estimators",
    "Cure": "trainwell.remedies",
    "Plan": "trainwell.plan",
    "Regressor": "trainwell.estimators",
    "Run": "trainwell.recipe",
    "Watch": "trainwell.adapters",
    "check": "trainwell.diagnosis",
    "cure": "trainwell.remedies",
    "fit": "trainwell.estimators",
    "joined": "trainwell.engine",
    "load": "trainwell.estimators",
    "resume": "trainwell.estimators",
    "watch": "trainwell.adapters",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trainwell' has no attribute '{name}'")
    drawn = random.getstate()  # a library draws from the user's stream while it is imported
    value = getattr(import_module(_HOME[name]), name)
    random.setstate(drawn)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
