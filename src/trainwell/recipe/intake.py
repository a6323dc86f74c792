"""What is taken in of the user's data: all rows, as many as the budget affords, or a sample and the way to the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.base import DataError, InputError
from trainwell.data import Facts, Split, Table, profile, read_table, split_rows, target_array
from trainwell.data.blocks import Blocks, Places
from trainwell.data.room import SWITCH, room, told
from trainwell.data.scan import Scan, check_parts, open_scan, read_blocks
from trainwell.data.split_blocks import TEST, TRAIN, VALIDATION, BlockSplit
from trainwell.data.survey import Survey, survey
from trainwell.data.target import check_targets, label_keys, with_target
from trainwell.plan import Plan
from trainwell.recipe.cut import Cut
from trainwell.recipe.request import Request
from trainwell.recipe.streamed_rows import MARK, StreamedRows
from trainwell.recipe.table_rows import HeldRows, Rows

STANDARD_BUDGET = 120.0
CELLS_A_SECOND = (
    150_000  # of the table, by the budget: about one epoch of a 256-wide network in a tenth of it on 2 cores
)
NEED = 8  # memory that a training takes, in sizes of the table: read, encoded, and encoded anew by a search
SPREAD = 128  # blocks that stand for a file of which the budget affords a part
MOST_PLACES = 4_096  # single rows of a text that are looked for at once


@dataclass(frozen=True)
class Intake:
    """What is known of the rows, and where they are.

    Attributes:
        table, facts, split: of the rows in memory, which may be a sample. rows: all.
        develop, train: rows to train and validate on, and to train on; where they are streamed, about.
    """

    table: Table
    facts: Facts
    split: Split
    rows: Rows
    develop: int
    train: int


def take_in(request: Request, plan: Plan, device: torch.device) -> Intake:
    """Read what fits into the budget and into memory, and find out what it is.

    Raises:
        InputError: nothing can be learned from it as it is.
    """
    if request.cut is not None:
        return _taken_up(request, plan, request.cut, device)
    scan, allowed = open_scan(request.data), _allowed(request)
    if scan is not None:
        share = min(1.0, _affordable_rows(scan.columns, request) / scan.rows)
        rows = scan.rows * share
        if rows * scan.row_bytes * NEED > allowed:
            return _streamed(request, plan, scan, share, device)
        if share < 1.0:
            raw, _ = read_blocks(scan, Blocks(max(1, int(rows // SPREAD)), share, 0.5), int(rows))
            return _in_memory(request, plan, scan.table(raw, 0), scan.rows, device)
    whole = as_table(request.data)
    return _in_memory(request, plan, _affordable(whole, request), request.rows or whole.rows, device)


def as_table(source: Any) -> Table:
    """A table, read if it is not one yet."""
    return source if isinstance(source, Table) else read_table(source)


def test_table(request: Request) -> Table:
    """The rows to judge by; of a file that does not fit into memory evenly spaced blocks."""
    scan, allowed = open_scan(request.test), _allowed(request)
    if scan is None or scan.rows * scan.row_bytes * NEED <= allowed:
        return as_table(request.test)
    check_parts(scan, allowed)
    rows = max(1.0, allowed / NEED / scan.row_bytes)
    raw, _ = read_blocks(scan, Blocks(max(1, int(rows // SPREAD)), rows / scan.rows, 0.5), int(rows))
    return scan.table(raw, 0)


def _allowed(request: Request) -> int:
    """Bytes of memory that the data may take."""
    return room() if request.allowed is None else request.allowed


def _affordable_rows(columns: tuple[str, ...], request: Request) -> int:
    """Rows that can be learnt from within the budget."""
    return max(2, int(CELLS_A_SECOND * (request.budget or STANDARD_BUDGET) / max(1, len(columns))))


def _affordable(table: Table, request: Request) -> Table:
    """The table, or as many of its rows, evenly spaced, as can be learnt from within the budget."""
    most = _affordable_rows(table.columns, request)
    if table.rows <= most:
        return table
    return Table(table.frame[np.linspace(0, table.rows - 1, most).astype(np.int64)], table.source)


def _in_memory(request: Request, plan: Plan, table: Table, whole: int, device: torch.device) -> Intake:
    """All is known at once; `whole` rows were there."""
    found, facts = _profiled(request, plan, table)
    if table.rows < whole:
        facts = replace(facts, notes=(*facts.notes, _left_out(table.rows, whole)))
    split = split_rows(
        target_array(found, facts),
        task=facts.task,
        validation_size=plan.data.validation_size,
        test_size=_test_size(request),
        seed=plan.seed,
    )
    rows = HeldRows(found, facts, split, device, table, whole)
    return Intake(found, facts, split, rows, len(split.train) + len(split.validation), len(split.train))


def _left_out(kept: int, whole: int) -> str:
    return f"{whole - kept:,} of {whole:,} rows were left out: more do not fit into the budget."


def _task(request: Request, plan: Plan) -> str:
    """The task as the request, or else the plan, names it."""
    return plan.task if request.task == "auto" else request.task


def _test_size(request: Request) -> float:
    return request.test_size if request.test is None else 0.0


def _streamed(request: Request, plan: Plan, scan: Scan, share: float, device: torch.device) -> Intake:
    """A sample of the file, after all of it has been looked at for what the sample lacks."""
    allowed = _allowed(request)
    _refuse_folds(plan)
    check_parts(scan, allowed)
    check_targets(Table(pl.DataFrame(schema=dict.fromkeys(scan.columns, pl.Int64)), scan.source), request.targets)
    path = Path(request.data).expanduser()
    cut = Cut.of(scan, path, share=share, allowed=allowed, seed=plan.seed)
    table, places, whole = _sample(request, plan, scan, cut)
    try:
        table, facts = _profiled(request, plan, table)
    except DataError as error:
        counted = f" (Rows are counted in a sample of {table.rows:,} rows.)" if " row " in str(error) else ""
        raise DataError(f"{error}{counted}") from None
    cut = replace(
        cut,
        rows=whole.rows,
        dropped=whole.dropped,
        counts=_class_counts(facts, whole.labels),
        train=whole.odd,
        notes=tuple(_notes(scan, share, allowed, whole.rows + whole.dropped, table.rows)),
    )
    parts = _parts(request, plan, facts, cut)
    return _with_sample(table, cut, facts, parts, parts.parts(target_array(table, facts), places), device)


def _sample(request: Request, plan: Plan, scan: Scan, cut: Cut) -> tuple[Table, np.ndarray, Survey]:
    """Rows that have targets and show all that is in the file, their places in it, and what is in it."""
    raw, places = read_blocks(scan, cut.sampled, cut.piece)
    whole = survey(scan, scan.table(raw, 0), request.targets, plan.data.columns, cut.used, cut.piece)
    if lacking := tuple(np.setdiff1d(whole.odd, places).tolist()):
        more, where = read_blocks(scan, Places(lacking), MOST_PLACES)
        order = np.argsort(places := np.concatenate([places, where]))
        raw, places = pl.concat([raw, more], rechunk=True)[order], places[order]
    table = scan.table(raw, 0)
    present = with_target(table, request.targets)
    if not present.any():
        raise DataError(f"No row looked at in '{scan.source}' ({table.rows:,}) has its target. Fill it in.")
    return Table(table.frame.filter(present), table.source), places[present], whole


def _profiled(request: Request, plan: Plan, table: Table) -> tuple[Table, Facts]:
    return profile(table, request.targets, task=_task(request, plan), kinds=plan.data.columns)


def _parts(request: Request, plan: Plan, facts: Facts, cut: Cut) -> BlockSplit:
    return BlockSplit(cut.block, facts.task, plan.data.validation_size, _test_size(request), plan.seed, cut.train)


def _taken_up(request: Request, plan: Plan, cut: Cut, device: torch.device) -> Intake:
    """The sample of a run that is resumed; the file is needed only where its arrays are damaged."""
    kept = as_table(request.data)
    table, facts = _profiled(request, plan, Table(kept.frame.drop(MARK), kept.source))
    parts = _parts(request, plan, facts, cut)
    return _with_sample(table, cut, facts, parts, kept.frame[MARK].to_numpy(), device)


def _with_sample(
    table: Table, cut: Cut, facts: Facts, parts: BlockSplit, codes: np.ndarray, device: torch.device
) -> Intake:
    facts = cut.facts(facts)
    split = Split(*(np.flatnonzero(codes == part) for part in (TRAIN, VALIDATION, TEST)))
    develop = facts.rows * (1 - parts.test_size)
    rows = StreamedRows(table, facts, split, device, cut, parts)
    return Intake(table, facts, split, rows, round(develop), round(develop * (1 - parts.validation_size)))


def _class_counts(facts: Facts, labels: Mapping[str, Mapping[str, int]]) -> tuple[int, ...]:
    """Rows of each class, or of each label those that are 1, in the whole file; of a regression none."""
    if facts.task == "regression":
        return ()
    if facts.task == "multilabel":
        return tuple(labels[target].get("1", 0) + labels[target].get("true", 0) for target in facts.targets)
    keys = label_keys(pl.Series(list(facts.classes)), lower=False)
    return tuple(labels[facts.targets[0]].get(key, 0) for key in keys)


def _refuse_folds(plan: Plan) -> None:
    """Raise an InputError if the user asks for cross-validation."""
    if plan.data.folds and plan.chosen_by_user("data.folds"):
        raise InputError(
            f"data.folds = {plan.data.folds} needs all rows in memory, and these are streamed from their file; leave "
            f"it out, or allow more memory ({SWITCH}=)."
        )


def _notes(scan: Scan, share: float, allowed: int, rows: int, sample: int) -> list[str]:
    size = rows * scan.row_bytes
    notes = [
        f"The rows are streamed from disk: as a table they take about {told(size)}, a training would take {NEED} times "
        f"that, and {told(allowed)} of memory are allowed.",
        f"Columns, scales, bins and baselines are of a sample of {sample:,} rows from '{scan.source}'.",
    ]
    return notes if share == 1.0 else [*notes, _left_out(rows, scan.rows)]
