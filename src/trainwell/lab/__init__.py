"""The documents' phenomena and worked examples, each a short script on the public parts of trainwell.

Contract: see `experiment`. Experiments stand by subject in a file of their own, with a part of the table at its foot.
"""

from trainwell.lab.coverage import Coverage as Coverage, find_coverage as find_coverage
from trainwell.lab.experiment import Experiment as Experiment, Result as Result
from trainwell.lab.experiments import EXPERIMENTS as EXPERIMENTS
from trainwell.lab.page import write_page as write_page
from trainwell.lab.rows import ROWS as ROWS, Row as Row
