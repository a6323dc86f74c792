"""The stages of the recipe, in Karpathy's order (row B9), each recorded with its evidence.

Contract: a stage is a function from the `Workshop` to a `Result`. Evidence is plain values for the reader; `carry` is
what later stages need. Both are remembered in the journal: on resume a finished stage is not run again.
"""

from trainwell.recipe.stages.baselines import compare_baselines
from trainwell.recipe.stages.data import describe_data
from trainwell.recipe.stages.final import train_final
from trainwell.recipe.stages.gradients import check_gradients
from trainwell.recipe.stages.healing import heal
from trainwell.recipe.stages.initial import measure_initial_loss
from trainwell.recipe.stages.overfit import overfit_batch
from trainwell.recipe.stages.rates import range_rates
from trainwell.recipe.stages.result import Result as Result, Stage as Stage
from trainwell.recipe.stages.searching import search_plans
from trainwell.recipe.stages.testing import judge_test

STAGES: dict[str, Stage] = {
    "data": Stage(describe_data, preflight=True),
    "baselines": Stage(compare_baselines, preflight=False, alone=True),
    "initial-loss": Stage(measure_initial_loss, preflight=True),
    "gradient-check": Stage(check_gradients, preflight=True),
    "overfit-batch": Stage(overfit_batch, preflight=True),
    "rate-range": Stage(range_rates, preflight=True),
    "search": Stage(search_plans, preflight=False),
    "final": Stage(train_final, preflight=False),
    "healing": Stage(heal, preflight=False, alone=True),
    "test": Stage(judge_test, preflight=False, alone=True),
}
