"""Which samples are seen when: every row once an epoch, in an order that depends on (seed, epoch, position) alone."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from trainwell.base import InputError, Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course
from trainwell.networks import Blueprint
from trainwell.plan import Plan


def feed(n: int, batch_size: int, *, orders: tuple[int, ...] = (1,), drop_last: bool = False, seed: int = 0) -> Feed:
    """A feed on `n` of 2n rows (every group its own), whose single input and class are the row's number."""
    number = torch.arange(2 * n)
    samples = Samples(number.float().unsqueeze(1), torch.stack([number, number + 1], 1), number)
    draws = [torch.randperm(2 * n, generator=torch.Generator().manual_seed(seed + g)) for g in range(len(orders))]
    train, validation = torch.stack([d[:n] for d in draws]), torch.stack([d[n:] for d in draws])
    return Feed(samples, train, validation, orders, batch_size, drop_last=drop_last)


def rows_seen(source: Feed, epoch: int) -> list[Tensor]:
    """The row numbers (G, B) of each batch of an epoch."""
    steps = range(epoch * source.steps_per_epoch, (epoch + 1) * source.steps_per_epoch)
    return [batch.y for batch in map(source.batch, steps) if batch.y is not None]


@pytest.mark.covers("H4")
@pytest.mark.parametrize(("n", "size", "iterations"), [(200, 5, 40), (1000, 1, 1000), (1000, 1000, 1), (7, 2, 4)])
def test_iterations_an_epoch_are_the_documents(n: int, size: int, iterations: int) -> None:
    source = feed(n, size)
    assert source.steps_per_epoch == iterations
    assert sum(len(b[0]) for b in rows_seen(source, 0)) == n


@pytest.mark.covers("H4")
def test_a_thousand_epochs_of_forty_iterations_are_forty_thousand_updates() -> None:
    values = {"training.epochs": 1000, "training.batch_size": 5, "loss.name": "mse", "network.width": 2}
    plan = Plan().edited(values, by="user", why="H4")
    course = Course(Blueprint(1, 1, width=2), [plan], [Seeds.of(0, 0)], feed(200, 5), [0])
    assert course.total_steps == 40_000


@pytest.mark.covers("H2", "H3")
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(n=st.integers(1, 40), data=st.data(), groups=st.integers(1, 3), epoch=st.integers(0, 3))
def test_every_group_sees_each_of_its_rows_once_an_epoch(n: int, data: st.DataObject, groups: int, epoch: int) -> None:
    size = data.draw(st.integers(1, n))
    source = feed(n, size, orders=tuple(range(groups)))
    batches = rows_seen(source, epoch)
    for group in range(groups):
        assert sorted(torch.cat([b[group] for b in batches]).tolist()) == sorted(source.train[group].tolist())
    assert [b.shape[1] for b in batches] == [size] * (n // size) + ([n % size] if n % size else [])


@pytest.mark.covers("H3")
def test_a_last_short_batch_is_trained_on_or_dropped() -> None:
    assert [b.shape[1] for b in rows_seen(feed(10, 4), 0)] == [4, 4, 2]
    dropped = feed(10, 4, drop_last=True)
    assert [b.shape[1] for b in rows_seen(dropped, 0)] == [4, 4]
    seen = {row for epoch in range(20) for b in rows_seen(dropped, epoch) for row in b.flatten().tolist()}
    assert seen == set(dropped.train.flatten().tolist()), "which rows are left out must differ from epoch to epoch"


@pytest.mark.covers("H2")
def test_rows_are_reshuffled_every_epoch() -> None:
    source = feed(50, 50)
    orders = [rows_seen(source, epoch)[0].flatten().tolist() for epoch in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    assert source.train.flatten().tolist() not in orders


@pytest.mark.covers("H2")
def test_in_the_long_run_each_row_comes_equally_often_at_each_place() -> None:
    source = feed(4, 1)
    places = torch.zeros(4, 4)
    for epoch in range(1000):
        for place, batch in enumerate(rows_seen(source, epoch)):
            places[place, (source.train[0] == batch.item()).nonzero().item()] += 1  # pyright: ignore[reportArgumentType]
    # 250 expected, standard deviation 13.7; 4 of them, fixed seeds
    assert (places - 250).abs().max() < 55


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(steps=st.lists(st.integers(0, 60), min_size=1, max_size=12))
def test_a_batch_depends_on_its_step_alone_not_on_what_was_asked_before(steps: list[int]) -> None:
    used = feed(23, 5)
    for step in steps:
        fresh = feed(23, 5).batch(step)
        batch = used.batch(step)
        assert batch.x.equal(fresh.x) and batch.y is not None and fresh.y is not None and batch.y.equal(fresh.y)


def test_a_groups_batches_do_not_depend_on_the_other_groups() -> None:
    together, alone = feed(20, 6, orders=(7, 8, 9)), feed(20, 6, orders=(8,), seed=1)
    for step in range(10):
        here, there = together.batch(step).y, alone.batch(step).y
        assert here is not None and there is not None and here[1].equal(there[0])


def test_another_order_seed_gives_another_order() -> None:
    one, other = (rows_seen(feed(30, 30, orders=(seed,)), 0)[0] for seed in (1, 2))
    assert not one.equal(other)


@pytest.mark.covers("H2")
@pytest.mark.parametrize("size", [0, -1, 11, 10**9])
def test_a_batch_size_outside_one_to_n_is_refused_with_the_rule_and_the_value(size: int) -> None:
    with pytest.raises(InputError, match=rf"^batch_size must be from 1 to the 10 training rows, but is {size}\.$"):
        feed(10, size)


@pytest.mark.covers("H2")
@pytest.mark.parametrize("size", [1, 10])
def test_both_ends_of_the_range_are_allowed(size: int) -> None:
    assert feed(10, size).batch(0).x.shape == (1, 1, size)


def test_samples_are_laid_out_with_groups_first_and_samples_last() -> None:
    x, categories = torch.arange(12.0).view(6, 2), torch.arange(18).view(6, 3)
    numbers = Samples(x, categories, torch.arange(24.0).view(6, 4))
    shared = numbers.take(torch.tensor([4, 1, 5]))
    assert shared.x.shape == (1, 2, 3) and shared.categories.shape == (1, 3, 3)
    assert shared.y is not None and shared.y.shape == (1, 4, 3)
    assert shared.x[0, :, 0].equal(x[4]) and shared.categories[0, :, 1].equal(categories[1])
    own = numbers.take(torch.tensor([[0, 1], [5, 4]]))
    assert own.x.shape == (2, 2, 2) and own.x[1, :, 0].equal(x[5])
    classes = Samples(x, categories, torch.arange(6)).take(torch.tensor([[0, 1], [5, 4]]))
    assert classes.y is not None and classes.y.tolist() == [[0, 1], [5, 4]]
    assert Samples(x, categories).take(torch.tensor([0])).y is None


def test_members_get_the_batch_of_their_group() -> None:
    batch = feed(10, 4, orders=(1, 2)).batch(0)
    members = batch.of_members(torch.tensor([1, 0, 1]))
    assert members.y is not None and batch.y is not None
    assert members.x.shape[0] == 3 and members.y[0].equal(batch.y[1]) and members.y[1].equal(batch.y[0])
    assert batch.of_members(None) is batch
    shared = feed(10, 4).batch(0)
    assert shared.of_members(torch.tensor([0, 0])) is shared
