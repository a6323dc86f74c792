"""How weights follow gradients: the table of all update rules.

The contract stands in `update_rule`; the rules stand by kind in `optimizers_classical`, `optimizers_adam` and
`optimizers_layerwise`, each with its part of the table at the foot. A new rule is added there, in one file.
"""

from trainwell.base import Registry
from trainwell.base.layout import Columns as Columns
from trainwell.ingredients.optimizers_adam import ADAM_HYPERS, ADAM_LIKE
from trainwell.ingredients.optimizers_classical import CLASSICAL, CLASSICAL_HYPERS, sgd as sgd
from trainwell.ingredients.optimizers_layerwise import LAYERWISE, LAYERWISE_HYPERS
from trainwell.ingredients.update_rule import (
    Optimizer as Optimizer,
    State as State,
    Update as Update,
    weighted_averages as weighted_averages,
)

OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    {**CLASSICAL, **ADAM_LIKE, **LAYERWISE},
    hypers={**CLASSICAL_HYPERS, **ADAM_HYPERS, **LAYERWISE_HYPERS},
)
