import pytest

from benchmarks.parallel import MEMBERS, SIZES, measure


@pytest.mark.parametrize("shape", SIZES)
def test_a_row_says_what_was_measured_by_how_many(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    row = measure(shape, 2)
    assert (row["members"], row["processes"]) == (MEMBERS, 1) and row["step_ms"] > 0
    assert "reduce_ms" not in row, "nobody to reduce with"
