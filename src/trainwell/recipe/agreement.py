"""Checked input, of a table or of a user's module; and, where processes train together, the same for all of them."""

from dataclasses import replace

import torch

from trainwell.data.room import room
from trainwell.engine import Processes
from trainwell.plan import Plan
from trainwell.recipe.module_setup import module_setting
from trainwell.recipe.request import Request
from trainwell.recipe.setup import Setting, table_setting
from trainwell.version import VERSION


def prepare_setting(request: Request) -> Setting:
    """Checked input.

    Raises:
        InputError: the input is at fault.
    """
    return table_setting(request) if request.make is None else module_setting(request)


def agreed_setting(request: Request, processes: Processes) -> Setting:
    """What `prepare_setting` makes of the request; each process reads the data itself, and all must find the same.

    Raises:
        InputError: in all processes, when the input of one is at fault or another than that of process 0.
    """
    if processes.world == 1:
        return prepare_setting(request)
    own = replace(request, device=str(processes.device), allowed=processes.agree(room()))
    setting = processes.attempt(lambda: prepare_setting(own))
    asked = f"task {setting.material.facts.task}, budget {request.budget}, test size {request.test_size}"
    processes.same(
        {
            "version": f"trainwell {VERSION}, torch {torch.__version__}",
            "command": f"{asked}, checks only {request.only_check}",
            "data set": setting.material.checksum(),
        }
    )
    return replace(setting, plan=Plan.from_yaml(processes.agree(setting.plan.to_yaml())))
