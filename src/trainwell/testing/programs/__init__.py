"""The programs by which the diagnosis of a user's own training is judged: sick ones, healthy ones, and some to cure.

They are plain PyTorch and know `trainwell.watch`, `check` and `cure` only as the contract writes them. A fault is
planted by a function in a table under its kind (`faults_*.py`), or written out from top to bottom (`scripts*.py`);
healthy programs hold themselves to a figure of their own (`healthy_*.py`); `cure_cases.py` has sick ones with fixes.
`python -m benchmarks.diagnosis` runs them all.
"""

from trainwell.testing.programs.faults_batch import BATCH_FAULTS
from trainwell.testing.programs.faults_data import DATA_FAULTS
from trainwell.testing.programs.faults_program import PROGRAM_FAULTS
from trainwell.testing.programs.faults_rate import RATE_FAULTS
from trainwell.testing.programs.faults_signal import SIGNAL_FAULTS
from trainwell.testing.programs.healthy_aims import aims
from trainwell.testing.programs.healthy_contests import contests
from trainwell.testing.programs.healthy_recipes import recipes
from trainwell.testing.programs.healthy_text import texts
from trainwell.testing.programs.healthy_tricks import tricks
from trainwell.testing.programs.program import Ended as Ended, Program as Program
from trainwell.testing.programs.scripts import SCRIPTS
from trainwell.testing.programs.scripts_sequence import SEQUENCE_SCRIPTS


def sick() -> list[Program]:
    """All programs with a planted fault."""
    tables = (SIGNAL_FAULTS, RATE_FAULTS, PROGRAM_FAULTS, BATCH_FAULTS, DATA_FAULTS)
    planted = [p for table in tables for kind, faults in table.items() for f in faults for p in f.programs(kind)]
    return [*planted, *SCRIPTS, *SEQUENCE_SCRIPTS]


def healthy() -> list[Program]:
    """All programs in which there is nothing to find."""
    return [*recipes(), *tricks(), *aims(), *contests(), *texts()]
