"""From files and frames to the numbers a network eats: read, profile, split, prepare.

Contract: `read_table` → `profile` → `split_rows` → `fit_preparation` (on the training rows alone) →
`Preparation.encode`. A preparation is plain values: saved as JSON and safetensors, and applied alike to training, test
and new data.
"""

from trainwell.data.facts import ColumnFacts as ColumnFacts, Facts as Facts, Label as Label
from trainwell.data.kinds import (
    COLUMN_KINDS as COLUMN_KINDS,
    TASKS as TASKS,
    ColumnKind as ColumnKind,
    Task as Task,
)
from trainwell.data.options import PreparationOptions as PreparationOptions
from trainwell.data.prepare import (
    Encoded as Encoded,
    InputSpec as InputSpec,
    Preparation as Preparation,
    fit_preparation as fit_preparation,
)
from trainwell.data.prepare_store import (
    load_preparation as load_preparation,
    save_preparation as save_preparation,
)
from trainwell.data.profile import profile as profile
from trainwell.data.read import BUNDLED as BUNDLED, read_table as read_table
from trainwell.data.split import Split as Split, fold_rows as fold_rows, split_rows as split_rows
from trainwell.data.table import Table as Table, table_from_arrays as table_from_arrays
from trainwell.data.target import drop_missing_targets as drop_missing_targets, target_array as target_array
