"""Tensors side by side in the rows of a matrix."""

import torch
from hypothesis import given, settings, strategies as st

from trainwell.networks import Layout, Slot

SHAPES = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), max_size=6)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(SHAPES, st.integers(0, 3))
def test_every_column_belongs_to_one_tensor_and_views_write_through(shapes: list[tuple[int, ...]], rows: int) -> None:
    layout = Layout([Slot(str(i), shape) for i, shape in enumerate(shapes)])
    matrix = torch.zeros(rows, layout.size)
    for number, (name, view) in enumerate(layout.views(matrix).items(), start=1):
        assert view.shape == (rows, *shapes[int(name)])
        view += number
    columns = [n for n, shape in enumerate(shapes, start=1) for _ in range(torch.zeros(shape).numel())]
    for row in matrix:
        assert row[: len(columns)].tolist() == columns


def test_the_columns_of_a_tensor_are_where_its_span_says() -> None:
    layout = Layout([Slot("a", (2, 3)), Slot("b", (4, 1))])
    matrix = torch.arange(2.0 * layout.size).view(2, -1)
    for name in ("a", "b"):
        first, behind = layout.span(name)
        assert layout.views(matrix)[name].flatten(1).equal(matrix[:, first:behind])


def test_an_empty_layout_has_no_columns() -> None:
    assert Layout([]).size == 0 and Layout([]).views(torch.zeros(3, 0)) == {}
