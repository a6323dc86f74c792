"""Become one with the data: every column's kind and figures, the task, and what the user should know."""

from collections.abc import Mapping, Sequence

from trainwell.base import DataError
from trainwell.data.columns import check_kinds, column_facts
from trainwell.data.facts import ColumnFacts, Facts
from trainwell.data.kinds import ColumnKind
from trainwell.data.leaks import duplicate_rows, find_leaks
from trainwell.data.table import Table
from trainwell.data.target import TargetFacts, check_targets, drop_missing_targets, target_facts

FEW_ROWS = 50
IMBALANCE = 20.0
"""How many times as frequent as the rarest class the most frequent one may be before it is said."""


def profile(
    table: Table, targets: Sequence[str], *, task: str = "auto", kinds: Mapping[str, ColumnKind] | None = None
) -> tuple[Table, Facts]:
    """The table without the rows that lack a target, and its facts.

    Raises:
        DataError: nothing can be learned from this table as it is; the message says why and what to do.
    """
    targets = tuple(targets)
    check_targets(table, targets)
    check_kinds(kinds or {}, table.columns, targets)
    kept, dropped = drop_missing_targets(table, targets)
    if kept.rows < 2:
        behind = f" with a target; {dropped:,} lack it" if dropped else ""
        raise DataError(f"'{table.source}' has one row (1 sample){behind}. Training needs at least 2, better hundreds.")
    kept, found = target_facts(kept, targets, task)
    features = tuple(
        column_facts(kept.frame[name], (kinds or {}).get(name)) for name in kept.columns if name not in targets
    )
    _check_usable(features, table.source)
    leaks = find_leaks(kept, features, targets, found)
    duplicates = duplicate_rows(kept)
    return kept, Facts(
        source=kept.source,
        rows=kept.rows,
        features=features,
        targets=targets,
        task=found.task,
        why_task=found.why,
        classes=found.classes,
        class_counts=found.counts,
        target_stats=found.stats,
        notes=(
            *notes_on_rows(kept.rows, dropped, duplicates),
            *notes_on_classes(found),
            *_notes_on_columns(features),
            *(f"{why}. Is it known at the time of predicting? If not, leave it out." for _, why in leaks),
        ),
        duplicates=duplicates,
        dropped=dropped,
        leaks=tuple(name for name, _ in leaks),
    )


def _check_usable(features: Sequence[ColumnFacts], source: str) -> None:
    if not any(column.used for column in features):
        reasons = "; ".join(f"'{column.name}': {column.note}" for column in features[:3])
        raise DataError(f"No usable feature is left in '{source}' ({reasons}). Add columns, or name their kinds.")


def notes_on_rows(rows: int, dropped: int, duplicates: int) -> list[str]:
    """Sentences on how many rows there are."""
    notes = []
    if dropped:
        notes.append(f"{dropped:,} row{'s' * (dropped != 1)} without a target left out.")
    if duplicates:
        notes.append(
            f"{duplicates:,} of {rows:,} rows ({duplicates / rows:.1%}) equal an earlier row; such twins can stand on "
            "both sides of a split and flatter the result."
        )
    if rows < FEW_ROWS:
        notes.append(f"Only {rows} rows: results on held-out rows will be rough.")
    return notes


def notes_on_classes(found: TargetFacts) -> list[str]:
    """A sentence on uneven classes."""
    if found.task == "regression" or max(found.counts) <= IMBALANCE * min(found.counts):
        return []
    rare = min(range(len(found.counts)), key=lambda i: found.counts[i])
    times = max(found.counts) / max(found.counts[rare], 1)
    return [
        f"The classes are uneven: '{found.classes[rare]}' has {found.counts[rare]:,} rows, "
        f"the most frequent one {times:.0f} times as many."
    ]


def _notes_on_columns(features: Sequence[ColumnFacts]) -> list[str]:
    """A sentence for each column with a note; unused columns of one reason share a sentence."""
    unused: dict[str, list[str]] = {}
    for column in features:
        if not column.used:
            unused.setdefault(column.note, []).append(f"'{column.name}'")
    notes = [
        f"Not used: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}: {reason}."
        for reason, names in unused.items()
    ]
    return notes + [f"'{column.name}': {column.note}." for column in features if column.used and column.note]
