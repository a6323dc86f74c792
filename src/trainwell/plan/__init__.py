"""The description of a training: frozen plain values with their reasons, its file, its defaults from the data.

Contract: a `Plan` is the only way by which a choice reaches the engine. Change one with `Plan.edited`.
"""

from trainwell.plan.defaults import (
    complete as complete,
    complete_for_module as complete_for_module,
    is_of_tables as is_of_tables,
)
from trainwell.plan.plan import (
    NAMED as NAMED,
    Author as Author,
    Origin as Origin,
    Plan as Plan,
    apply_settings as apply_settings,
    described as described,
    hypers as hypers,
    paths as paths,
    resolve as resolve,
    searched as searched,
    unregularised as unregularised,
)
