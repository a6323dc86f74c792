"""How much memory a training takes, estimated before it begins, and how many members fit.

each = member_bytes(blueprint, plan)          # kept for every member
passing = pass_bytes(blueprint, plan)         # while one member's step is computed
members_that_fit(blueprint, plan, wanted=64, free=2 << 30)
"""

from math import prod

import torch

from trainwell.base import InputError
from trainwell.data.room import room, told
from trainwell.ingredients import OPTIMIZERS, REGULARISERS
from trainwell.networks import Blueprint
from trainwell.networks.members import widest
from trainwell.networks.structure import Structure
from trainwell.plan import Plan

SHARE = 0.8  # of the free memory that is planned with: torch, the page, the system's own need the rest (assumption)
COPIES = 2  # of what a checkpoint holds: the training's own, and the one that is being written
SIGNALS = 6  # tensors of a layer's size that a step holds: before φ, after it, their slopes (measured: 5.0 and 6.0)
NUMBER = 4  # bytes


def member_bytes(structure: Structure, plan: Plan) -> int:
    """Bytes that stay while a member trains: θ, the optimizer's state, its best weights, all in two copies, and G."""
    size = structure.layout.size
    start = OPTIMIZERS[plan.optimizer.name].start(torch.zeros(1, max(1, size), device="meta"))
    state = sum(matrix.numel() for matrix in start.values())
    averaged = any(
        r.stage == "average" and plan.get(f"regularisation.{name}") not in (None, r.off)
        for name, r in REGULARISERS.items()
    )
    kept = 2 * size + state + (size if averaged else 0) + 2 * structure.statistics.size
    halves = size // 2 if plan.training.precision == "bfloat16" else 0
    return NUMBER * (COPIES * kept + size + halves)


def pass_bytes(structure: Structure, plan: Plan) -> int:
    """Bytes that one member's way there and back takes on a batch: its signals, and its slopes before they are in G."""
    if isinstance(structure, Blueprint):
        signals = structure.depth * structure.width * structure.pieces + structure.outputs + structure.fan_ins[0]
    else:
        signals = widest(structure) * (len(structure.layers) + 1)
    slopes = sum(prod(slot.shape) for slot in structure.layout.slots)
    number = NUMBER // 2 if plan.training.precision == "bfloat16" else NUMBER
    return number * SIGNALS * signals * plan.training.batch_size + NUMBER * slopes


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on a device; on a CPU what this process may still take."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else room()


def portion_that_fits(structure: Structure, plan: Plan, *, members: int, free: int) -> int:
    """Members, at least 1, whose passes fit beside what stays of all of them."""
    left = SHARE * free - members * member_bytes(structure, plan)
    return max(1, min(members, int(left // pass_bytes(structure, plan))))


def members_that_fit(structure: Structure, plan: Plan, *, wanted: int, free: int) -> int:
    """How many of the members wanted can be trained at once; 0: not even one."""
    most = (SHARE * free - pass_bytes(structure, plan)) // member_bytes(structure, plan)
    return max(0, min(wanted, int(most)))


def check_fits(structure: Structure, plan: Plan, *, free: int) -> None:
    """Raise an InputError if not even one member can be trained."""
    if members_that_fit(structure, plan, wanted=1, free=free) < 1:
        needed = member_bytes(structure, plan) + pass_bytes(structure, plan)
        raise InputError(
            f"One network of this size takes about {told(needed)} in training, and {told(free)} are free; "
            "choose a smaller network.width or training.batch_size."
        )


def batch_that_fits(structure: Structure, plan: Plan, *, free: int) -> int:
    """The plan's batch size, halved as often as one member needs to fit, but not below 32."""
    size = plan.training.batch_size
    room_left = SHARE * free - member_bytes(structure, plan)
    while size >= 64 and pass_bytes(structure, _with_batch(plan, size)) > room_left:
        size //= 2
    return size


def _with_batch(plan: Plan, size: int) -> Plan:
    return plan.edited({"training.batch_size": size}, by="data", why="to fit into memory")
