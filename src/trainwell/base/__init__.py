"""Nothing of training: the legend of axes, errors, outcomes, registries, random streams.

Axes, named once and used everywhere in this order (members always first):

| letter | axis |
|---|---|
| K | members: networks in training, the rows of the population matrix |
| G | data groups: members of one group see the same batches |
| B | samples in a batch |
| N | samples in a data set |
| D | inputs of a layer or of the network |
| H | units of a hidden layer |
| C | outputs: classes, labels or regression targets |
| P | parameters of one member, flattened |
"""

from trainwell.base.errors import (
    BudgetError as BudgetError,
    DataError as DataError,
    InputError as InputError,
    PlanError as PlanError,
    ProcessError as ProcessError,
    RunError as RunError,
    TrainwellError as TrainwellError,
    did_you_mean as did_you_mean,
)
from trainwell.base.hyper import Between as Between, Hyper as Hyper, OneOf as OneOf, Search as Search
from trainwell.base.outcomes import Outcome as Outcome
from trainwell.base.registry import Registry as Registry
from trainwell.base.streams import Seeds as Seeds, stream_seed as stream_seed
