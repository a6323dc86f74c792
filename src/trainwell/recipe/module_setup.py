"""From a request with a user's module to a workshop: every wrong input is found here, before anything is written."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from trainwell.base import DataError, InputError, PlanError
from trainwell.data import Facts, Split, split_rows
from trainwell.data.module_inputs import dtype_of, told_shape
from trainwell.data.pairs import Pairs, read_pairs
from trainwell.data.pairs_target import encoded_target, names, pairs_target
from trainwell.data.profile import notes_on_classes, notes_on_rows
from trainwell.data.target import TargetFacts
from trainwell.ingredients import check_pairing, loss_for
from trainwell.networks import ModuleBlueprint, built, dropout_rates, last_linear
from trainwell.networks.trial import first_line
from trainwell.plan import Plan, complete_for_module
from trainwell.recipe.module_material import ModuleMaterial, TargetScale
from trainwell.recipe.request import Request
from trainwell.recipe.setup import (
    Setting,
    check_class_weights,
    check_request,
    check_sizes,
    choose_device,
    requested_plan,
)

Make = Callable[[], nn.Module]
NEARER = 0.5  # of the squared error of untrained outputs: how much nearer they must be to standardised targets
MOST_TRIED = 512  # rows
MOST_LOOKED_AT, NUMBERS_LOOKED_AT = 256, 1 << 21  # rows, and numbers in them
PREDICTIONS = 12  # passes over a test row: the final members, and some more for what is drawn
NUMBERS = ("regularisation.input_noise", "regularisation.mixup")  # need inputs that are numbers


def module_setting(request: Request) -> Setting:
    """Build the module, read the rows, infer the task from both, complete the plan.

    Raises:
        InputError: one line saying what is wrong and how to mend it.
    """
    check_request(request)
    assert request.make is not None
    plan = requested_plan(request)
    fixed = tuple(path for path, origin in plan.origins.items() if origin.by != "default")
    module = built(request.make, 0)
    pairs = read_pairs(request.data)
    test = None if request.test is None else _same_form(read_pairs(request.test, what="test"), pairs)
    device = choose_device(request.device)
    rates = dropout_rates(module)
    own = not rates or (len(set(rates)) > 1 and not plan.chosen_by_user("regularisation.dropout"))
    blueprint = _blueprint(request.make, pairs, device, own_rates=own)
    for given in (pairs, test):
        _check_whole_numbers(blueprint, given)
    found = pairs_target(pairs.y, blueprint.outputs, plan.task if request.task == "auto" else request.task)
    target = encoded_target(pairs.y, found)
    test_target = None if test is None else encoded_target(test.y, found, what="The test's y")
    facts = _facts(pairs, found)
    size = request.test_size if test is None else 0.0
    split = split_rows(
        target, task=found.task, validation_size=plan.data.validation_size, test_size=size, seed=plan.seed
    )
    plan = _completed(plan, facts, len(split.train) + len(split.validation), module, rates, blueprint.outputs)
    _check_plan(plan, facts, split, module, pairs)
    if _has_batch_norm(module) and not plan.training.drop_last:
        fixed = (*fixed, "training.batch_size")  # with another one, a batch of one sample might be left
    rows = split.train[np.linspace(0, len(split.train) - 1, _how_many(pairs.x, len(split.train))).astype(np.int64)]
    x = pairs.x[torch.from_numpy(rows)]
    material = ModuleMaterial(
        make=request.make,
        pairs=pairs,
        test=test,
        facts=facts,
        target=target,
        test_target=test_target,
        split=split,
        blueprint=blueprint,
        bare=_blueprint(request.make, pairs, device, own_rates=False) if own and rates else blueprint,
        looked_at=x,
        dropout="none" if not rates else "own" if own else "plan",
        scale=_scale(blueprint, x, target[rows], target[split.train]) if found.task == "regression" else None,
        device=device,
        test_seconds=PREDICTIONS * _seconds(blueprint, x) / len(x),
    )
    return Setting(material, plan, fixed, device)


def _blueprint(make: Make, pairs: Pairs, device: torch.device, *, own_rates: bool) -> ModuleBlueprint:
    try:
        return ModuleBlueprint(make, pairs.x[:MOST_LOOKED_AT], own_rates=own_rates, device=device)
    except InputError as error:
        if not str(error).startswith("The module fails on"):
            raise
        given = f"X is {told_shape(('N', *pairs.x.shape[1:]))} of {dtype_of(pairs.x)}"
        raise InputError(f"{str(error).removesuffix('.')}. {given}: convert it to what the module takes.") from error


@torch.no_grad()
def _check_whole_numbers(blueprint: ModuleBlueprint, pairs: Pairs | None) -> None:
    """Try the rows with the largest and smallest numbers: a table that is looked up in may be too short for them."""
    if pairs is None or pairs.x.is_floating_point():
        return
    flat = pairs.x.reshape(len(pairs.x), -1).to(torch.int64)
    rows = torch.cat([flat.argmax(dim=0), flat.argmin(dim=0)]).unique()[:MOST_TRIED]
    try:
        blueprint.untrained().eval()(pairs.x[rows])
    except Exception as error:  # whatever the user's code may raise
        span = f"whole numbers from {flat.min()} to {flat.max()}"
        raise DataError(f"The module fails on some rows of X ({span}): {first_line(error)}.") from error


def _same_form(test: Pairs, pairs: Pairs) -> Pairs:
    if test.x.shape[1:] != pairs.x.shape[1:]:
        wanted, given = told_shape(("N", *pairs.x.shape[1:])), told_shape(tuple(test.x.shape))
        raise DataError(f"test: X must be {wanted} as in the data, but is {given}.")
    return replace(test, x=test.x.to(pairs.x.dtype))


def _facts(pairs: Pairs, found: TargetFacts) -> Facts:
    rows, twins = len(pairs.y), _duplicates(pairs)
    seen = [(c, n) for c, n in zip(found.classes, found.counts, strict=True) if n or found.task == "multilabel"]
    present = replace(found, classes=tuple(c for c, _ in seen), counts=tuple(n for _, n in seen))
    return Facts(
        source=pairs.source,
        rows=rows,
        features=(),
        targets=names(pairs.y),
        task=found.task,
        why_task=found.why,
        classes=found.classes,
        class_counts=found.counts,
        target_stats=found.stats,
        notes=(*notes_on_rows(rows, 0, twins), *notes_on_classes(present)),
        duplicates=twins,
    )


def _duplicates(pairs: Pairs) -> int:
    """Rows equal to an earlier row, target included."""
    x = pairs.x.numpy().reshape(len(pairs.x), -1)
    rows = (a.tobytes() + b.tobytes() for a, b in zip(x, pairs.y, strict=True))
    return len(x) - len({hashlib.blake2b(row, digest_size=12).digest() for row in rows})


def _completed(plan: Plan, facts: Facts, rows: int, module: nn.Module, rates: tuple[float, ...], outputs: int) -> Plan:
    """The plan with what module and data decide."""
    dropout = rates[0] if rates and len(set(rates)) == 1 else 0.0
    whose = "the module's own rate" if len(set(rates)) == 1 else "its layers keep rates of their own" if rates else ""
    given = {"regularisation.dropout": (dropout, whose or "the module has no layer of dropout")}
    if _has_batch_norm(module):
        given["training.drop_last"] = (True, "batch norm cannot train on a last batch of one sample")
    task = "multiclass" if facts.task == "binary" and outputs == 2 else facts.task
    loss = loss_for(task), f"the loss of {outputs} output{'s' * (outputs > 1)} for {facts.task}"
    if plan.chosen_by_user("regularisation.dropout") and not rates:
        now = plan.regularisation.dropout
        raise PlanError(f"Plan: regularisation.dropout = {now} has no use: the module has no nn.Dropout layer.")
    plan = complete_for_module(plan, facts, rows, loss=loss, given=given)
    for mismatch in check_pairing("relu", "auto", "identity", plan.loss.name, task):
        raise PlanError(mismatch.message)
    return plan


def _check_plan(plan: Plan, facts: Facts, split: Split, module: nn.Module, pairs: Pairs) -> None:
    """Values that only module and data can show to be wrong."""
    train = check_sizes(plan, len(split.train) + len(split.validation), len(split.train))
    check_class_weights(plan, facts)
    size = plan.training.batch_size
    if _has_batch_norm(module) and size == 1:
        raise InputError("The module's batch norm needs batches of at least 2 samples; raise training.batch_size.")
    if _has_batch_norm(module) and (train % size == 1 and not plan.training.drop_last):
        raise InputError(
            f"The module's batch norm can't train on a batch of one sample, but {train} rows in batches of {size} "
            "leave one; set training.drop_last, or another training.batch_size."
        )
    for path in NUMBERS:
        if plan.get(path) > 0 and not pairs.x.is_floating_point():
            value, kind = plan.get(path), dtype_of(pairs.x)
            raise PlanError(f"Plan: {path} = {value} has no use: X holds {kind}, not decimal numbers.")


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules())


def _how_many(x: torch.Tensor, rows: int) -> int:
    """Rows that are enough to judge inputs and outputs by, and few enough for large ones."""
    return min(rows, MOST_LOOKED_AT, max(8, NUMBERS_LOOKED_AT // max(1, x[0].numel())))


@torch.no_grad()
def _scale(blueprint: ModuleBlueprint, x: torch.Tensor, y: np.ndarray, train: np.ndarray) -> TargetScale | None:
    """That of the training targets, if untrained outputs are nearer to it, and a last linear layer can undo it.

    Args:
        x, y: some rows. train: the targets (N, C) of all training rows.
    """
    layer = last_linear(blueprint.untrained, x)
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    z = blueprint.untrained().eval()(x).double().numpy().reshape(y.shape)
    raw, scaled = np.square((z - y) / std).mean(), np.square(z - (y - mean) / std).mean()
    return TargetScale(layer, mean, std) if layer is not None and scaled < NEARER * raw else None


@torch.no_grad()
def _seconds(blueprint: ModuleBlueprint, x: torch.Tensor) -> float:
    module, began = blueprint.untrained().eval(), time.monotonic()
    module(x)
    return time.monotonic() - began
