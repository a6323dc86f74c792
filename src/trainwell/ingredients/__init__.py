"""Formulas with their sources: activations, initialisers, losses, optimizers, schedules.

Contract: an ingredient is a function or a frozen value in its family's file; the table at the foot of that file is the
registry. Everything takes members first, and hyperparameters as columns: (K, 1), one value a member.
"""

from trainwell.ingredients.activations import ACTIVATIONS as ACTIVATIONS, Activation as Activation
from trainwell.ingredients.initialisers import (
    INITIALISERS as INITIALISERS,
    Initialiser as Initialiser,
    initialiser_for as initialiser_for,
)
from trainwell.ingredients.losses import LOSSES as LOSSES, Loss as Loss, loss_for as loss_for
from trainwell.ingredients.optimizers import OPTIMIZERS as OPTIMIZERS, Optimizer as Optimizer
from trainwell.ingredients.schedules import SCHEDULES as SCHEDULES, schedule_factor as schedule_factor
