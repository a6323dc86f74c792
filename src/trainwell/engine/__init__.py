"""Populations in training: the matrix, the step, the loop, evaluation, checkpoints, the record. Knows no onlooker.

Contract: build a `Course` (population, feed, what was reached) and iterate over `train(course)`; each update yields a
`Moment`, through which an onlooker reads and may `send` a change.
"""

from trainwell.engine.checkpoint import (
    Saver as Saver,
    load_checkpoint as load_checkpoint,
    save_checkpoint as save_checkpoint,
)
from trainwell.engine.columns import COLUMNS as COLUMNS, STRUCTURE as STRUCTURE, structure as structure
from trainwell.engine.course import Best as Best, Course as Course
from trainwell.engine.ensemble import Ensemble as Ensemble, Networks as Networks
from trainwell.engine.evaluate import judge as judge, metric as metric, outputs as outputs, predictions as predictions
from trainwell.engine.loop import train as train
from trainwell.engine.module_ensemble import ModuleEnsemble as ModuleEnsemble, ensemble_of as ensemble_of
from trainwell.engine.moment import (
    Change as Change,
    Copy as Copy,
    Edit as Edit,
    Evaluation as Evaluation,
    LayerView as LayerView,
    Mix as Mix,
    Moment as Moment,
    Stop as Stop,
    WantsLayers as WantsLayers,
    never as never,
)
from trainwell.engine.parallel import join as join, joined as joined, started_together as started_together
from trainwell.engine.population import Population as Population
from trainwell.engine.processes import Alone as Alone, Processes as Processes
from trainwell.engine.record import Record as Record
