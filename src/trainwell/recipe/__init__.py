"""The expert's recipe: stages in order, each recorded with its evidence, into a run directory.

Contract: `run_recipe(request, show)`; a stage is one function in `stages/`, named in the table there.
"""

from trainwell.recipe.loaded import Run as Run, load_run as load_run
from trainwell.recipe.request import (
    Progress as Progress,
    Request as Request,
    Show as Show,
    parse_budget as parse_budget,
    silent as silent,
)
from trainwell.recipe.run import resume_run as resume_run, run_recipe as run_recipe
