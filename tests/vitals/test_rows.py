"""Rows are told apart by their prints: doubled ones, leaked ones, and how far two parts lie from each other."""

import pytest
import torch

from trainwell.vitals.rows import Rows, prints_of
from trainwell.vitals.scale import Scale


def test_equal_rows_have_equal_prints_and_others_do_not() -> None:
    x = torch.randn(500, 3, 4)
    prints = prints_of(torch.cat([x, x[:50]]))
    assert prints is not None and len(set(prints)) == 500 and prints[:50] == prints[500:]
    assert prints_of(torch.randn(5)) is None


def test_a_row_has_the_same_print_wherever_it_stands() -> None:
    table = torch.randint(-9, 10, (24, 250)).float().T / 7  # column by column, as frames give their numbers
    chosen = torch.randperm(250)[:32]
    prints, some, double = prints_of(table), prints_of(table[chosen]), prints_of(table.double())
    assert prints is not None and some is not None
    assert some == [prints[i] for i in chosen.tolist()] and double == prints
    signed, plain = (torch.tensor([[zero, 1.5], [0.0, 1.25], [1.0, 2.5], [2.0, 0.5]]) for zero in (-0.0, 0.0))
    ours = prints_of(signed)
    assert ours is not None and ours == prints_of(plain)


def test_names_of_users_and_items_come_again_and_tell_nothing() -> None:
    assert prints_of(torch.randint(80, (64, 2))) is None
    assert prints_of(torch.randint(80, (64, 12))) is not None


def test_rows_twice_in_a_batch_are_counted() -> None:
    rows, x = Rows(Scale()), torch.randn(10, 3)
    rows.train(x)
    rows.train(torch.cat([x[:5], x[:5]]))
    assert rows.doubled == [0.0, 0.5]


@pytest.mark.covers("P4")
def test_rows_judged_by_that_were_trained_on_are_counted_once_a_judgement_came() -> None:
    rows, x = Rows(Scale()), torch.randn(100, 3)
    rows.train(x)
    rows.judge(x[:20])
    assert rows.leaked == (0.0, 0)
    rows.keep()
    assert rows.leaked == (0.2, 20)
    rows.forget()
    assert rows.leaked == (0.2, 20)


def test_copies_of_rows_on_both_sides_are_a_leak_and_rows_of_few_kinds_are_none() -> None:
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(600, 4, generator=draw)
    copied = torch.cat([x, x, x])[torch.randperm(1800, generator=draw)]  # every row thrice, then split
    states = torch.eye(60)[torch.randint(60, (1800,), generator=draw)]  # where one stands, of sixty places
    for data, leaks in ((copied, True), (states, False)):
        rows = Rows(Scale())
        for batch in data[:320].split(40):
            rows.train(batch)
        rows.judge(data[1400:])
        rows.keep()
        both = {tuple(row) for row in data[:320].tolist()} & {tuple(row) for row in data[1400:].tolist()}
        assert len(both) > 50 and (rows.leaked[0] > 0.3) == leaks and (rows.leaked[0] > 0.02) == leaks


def test_rows_of_many_different_numbers_are_copies_though_each_column_has_few() -> None:
    draw = torch.Generator().manual_seed(6)
    images = torch.randint(17, (200, 1, 8, 8), generator=draw) / 16.0
    copied = images.repeat(4, 1, 1, 1)[torch.randperm(800, generator=draw)]
    rows = Rows(Scale())
    for batch in copied[:200].split(40):
        rows.train(batch)
    rows.judge(copied[600:])
    rows.keep()
    assert rows.leaked[0] > 0.3


@pytest.mark.parametrize("first", [True, False])
def test_training_rows_that_are_looked_at_beside_others_are_no_leak(first: bool) -> None:
    x, others = torch.randn(400, 3), torch.randn(200, 3)
    rows, mixed = Rows(Scale()), Rows(Scale())
    for one in (rows, mixed):
        one.train(x[:200])
    for batch in [*x.split(50), *others.split(50)][:: 1 if first else -1]:
        rows.judge(batch)
    everything = torch.cat([x, others])[torch.randperm(600)]
    for batch in everything.split(50):
        mixed.judge(batch)
    for one in (rows, mixed):
        one.keep()
    assert rows.leaked == (0.0, 0) and mixed.leaked == (1.0, 200)


def test_passes_that_no_judgement_follows_are_forgotten() -> None:
    rows, x = Rows(Scale()), torch.randn(100, 3)
    rows.train(x)
    rows.judge(x)
    rows.forget()
    rows.judge(torch.randn(50, 3))
    rows.keep()
    assert rows.leaked == (0.0, 0)


@pytest.mark.covers("P4")
def test_a_shift_is_told_in_deviations() -> None:
    torch.manual_seed(0)
    rows = Rows(Scale())
    rows.trained.add(torch.randn(4000, 2))
    rows.judge(torch.randn(4000, 2) + torch.tensor([3.0, 3.0]))
    rows.keep()
    assert abs(rows.apart - 3.0) < 0.3  # of a sample of the rows


@pytest.mark.covers("P4")
def test_the_input_that_lies_furthest_away_is_told_in_the_larger_deviation() -> None:
    train, judged = torch.randn(400, 6), torch.randn(100, 6)
    judged[:, 4] += 3
    train[:, 2], judged[:, 2] = 1e-9 * train[:, 2], 5e-4  # a constant, and its rounding
    rows = Rows(Scale())
    rows.trained.add(train)
    rows.judge(judged)
    assert rows.furthest == (0.0, 0)
    rows.keep()
    far, place = rows.furthest
    assert place == 4 and 2.4 < far < 3.6
    pixels = Rows(Scale())
    pixels.trained.add(torch.randn(400, 784))
    pixels.judge(torch.randn(100, 784) + 3)
    pixels.keep()
    assert pixels.furthest == (0.0, 0) and pixels.apart > 2  # many inputs are told of by their median


def test_another_spread_is_told_as_a_factor() -> None:
    torch.manual_seed(0)
    rows, scale = Rows(Scale()), torch.tensor([1.0, 30.0, 0.2])
    rows.trained.add(scale * torch.randn(4000, 3))
    rows.judge(0.25 * scale * torch.randn(4000, 3))
    assert rows.stretched == 1.0
    rows.keep()
    assert abs(rows.stretched - 4.0) < 0.2


def test_running_sums_equal_the_whole() -> None:
    x = torch.randn(600, 4) * torch.tensor([1.0, 10.0, 0.0, 2.0]) + torch.tensor([0.0, 5.0, 7.0, -1.0])
    scale = Scale()
    for part in x.split(100):
        scale.add(part)
    mean, std = scale.moments()
    assert torch.allclose(mean, x.double().mean(0)) and torch.allclose(std, x.double().std(0, correction=0), atol=1e-7)
    found = scale.extremes()
    assert found is not None and found["constant"] == 0.25


def test_names_that_did_not_come_up_are_no_inputs_that_never_change() -> None:
    def constant(x: torch.Tensor) -> float:
        scale = Scale()
        scale.add(x)
        found = scale.extremes()
        assert found is not None
        return found["constant"]

    states = torch.eye(8)[torch.tensor([0, 1, 2, 1, 4, 2])]  # three of eight are never visited
    assert constant(states) == 0.0
    assert constant(torch.cat([states, torch.rand(6, 2)], 1)) == 0.4 and constant(2 * states) == 0.5
    assert constant(states[:1].repeat(6, 1)) == 1.0


def test_rows_of_names_meet_by_nature() -> None:
    draw = torch.Generator().manual_seed(3)
    people = torch.stack([(torch.rand(6000, generator=draw) ** 3 * n).long() for n in (3, 4, 2, 3, 2, 3, 4, 2, 3)], 1)
    for data, leaks in ((people, False), (people + 0.0 * torch.rand(6000, 1), False)):
        rows = Rows(Scale())
        for batch in data[:800].split(80):
            rows.train(batch)
        rows.judge(data[3000:])
        rows.keep()
        assert (rows.leaked[0] > 0.02) == leaks
    windows = torch.randint(50, (900, 24), generator=draw)  # of letters: what is equal is a copy
    rows = Rows(Scale())
    for batch in windows[:400].split(40):
        rows.train(batch)
    rows.judge(windows[300:])
    rows.keep()
    assert rows.leaked == (0.25, 100)


def test_rows_of_one_number_are_counted_where_many_are_equal() -> None:
    rows, x = Rows(Scale()), torch.randint(0, 250, (20, 9)).float()
    rows.train(x)
    assert rows.blank == 0.0
    rows.train(torch.cat([x[:5], torch.zeros(15, 9)]))
    assert rows.blank == 0.75
