"""Silence is no approval: where nothing is wrong, it is said, with what was looked for."""

from collections.abc import Sequence

from trainwell.diagnosis.finding import Finding


def all_is_well(checked: Sequence[str], left_out: Sequence[str] = ()) -> Finding:
    """An information: what was checked, and what could not be."""
    more = f" Not checked: {'; '.join(line.rstrip('.') for line in left_out)}." if left_out else ""
    return Finding(
        "all-is-well",
        "info",
        f"All is well: {len(checked)} checks found no fault.{more}",
        evidence={
            "figure": "faults found",
            "measured": 0.0,
            "threshold": 1.0,
            "healthy": "0",
            "checked": ", ".join(checked),
            "not_checked": "; ".join(left_out),
        },
    )
