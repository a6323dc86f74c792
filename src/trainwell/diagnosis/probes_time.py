"""Whether a module for sequences sees, at a step, the later steps that hold what it is to predict there."""

from torch import Tensor

from trainwell.diagnosis.finding import Finding
from trainwell.diagnosis.rules_split import sees_the_future
from trainwell.diagnosis.subject import Trial
from trainwell.vitals.future import future_change, predicts_next


def future_seen(trial: Trial) -> Finding | None:
    """Targets are the inputs of the next step, and outputs change with inputs that come later."""
    x = trial.subject.x
    if x is None or not isinstance(y := trial.subject.targets, Tensor) or not predicts_next(x, y):
        return None
    return sees_the_future(future_change(trial.subject.model, x))
