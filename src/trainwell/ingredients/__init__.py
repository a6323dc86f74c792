"""Formulas with their sources: activations, initialisers, losses, norms, optimizers, regularisers, schedules.

Contract: an ingredient is a function or a frozen value in its family's file; the table at the foot of that file is the
registry. Everything takes members first, and hyperparameters as columns: (K, 1), one value a member. An entry's
`standard` are its own hyperparameters with their standard values; the registry's `hypers` say what they mean.
"""

from trainwell.ingredients.activations import ACTIVATIONS as ACTIVATIONS, Activation as Activation
from trainwell.ingredients.augmentations import AUGMENTATIONS as AUGMENTATIONS, Augmentation as Augmentation
from trainwell.ingredients.initialisers import (
    INITIALISERS as INITIALISERS,
    Initialiser as Initialiser,
    InitialiserSettings as InitialiserSettings,
    gain_for as gain_for,
    initialiser_for as initialiser_for,
)
from trainwell.ingredients.losses import (
    LOSSES as LOSSES,
    Loss as Loss,
    balanced_positives as balanced_positives,
    balanced_weights as balanced_weights,
    loss_for as loss_for,
    one_hot as one_hot,
)
from trainwell.ingredients.norms import (
    NORM_EPSILON as NORM_EPSILON,
    NORM_MOMENTUM as NORM_MOMENTUM,
    NORMS as NORMS,
    Norm as Norm,
    centred_weight as centred_weight,
    check_groups as check_groups,
    normalise as normalise,
    normalised_weight as normalised_weight,
)
from trainwell.ingredients.optimizers import (
    OPTIMIZERS as OPTIMIZERS,
    Optimizer as Optimizer,
    weighted_averages as weighted_averages,
)
from trainwell.ingredients.pairing import (
    Mismatch as Mismatch,
    check_pairing as check_pairing,
    output_for as output_for,
)
from trainwell.ingredients.propagation import signal_variances as signal_variances
from trainwell.ingredients.regularisers import (
    REGULARISERS as REGULARISERS,
    Regulariser as Regulariser,
    beta_shares as beta_shares,
    dropout as dropout,
    input_noise as input_noise,
    mixed_loss as mixed_loss,
    mixup as mixup,
    penalty as penalty,
)
from trainwell.ingredients.schedules import (
    SCHEDULES as SCHEDULES,
    Clock as Clock,
    Schedule as Schedule,
    factors as factors,
    reduce_on_plateau as reduce_on_plateau,
)
