"""The table of all experiments."""

from trainwell.base import Registry
from trainwell.lab.averages import AVERAGES
from trainwell.lab.bookkeeping import BOOKKEEPING
from trainwell.lab.experiment import Experiment
from trainwell.lab.neurons import NEURONS
from trainwell.lab.rates import RATES
from trainwell.lab.ravine import RAVINE
from trainwell.lab.signals import SIGNALS

EXPERIMENTS: Registry[Experiment] = Registry(
    "experiment", {**BOOKKEEPING, **RATES, **AVERAGES, **NEURONS, **SIGNALS, **RAVINE}
)
