"""How often the surest outputs are wrong: against noise that is planted in targets of which all is known."""

import pytest
import torch
from scipy import stats
from sklearn.metrics import r2_score

from trainwell.vitals.observer import Observer
from trainwell.vitals.sureness import NONE, UNKNOWN, Shares, Sureness


def seen(p: torch.Tensor, y: torch.Tensor) -> Shares:
    """What is told of log-probabilities (N, C) and classes (N,), in batches of 50."""
    sureness = Sureness()
    for z, targets in zip(p.log().split(50), y.split(50), strict=True):
        sureness.look(z, targets.clone(), numbers=False)
        assert sureness.wanted
        sureness.kept.append((z, targets.clone()))
    return sureness.shares()


def test_errors_of_wrong_labels_are_as_frequent_where_a_network_is_surest() -> None:
    draw = torch.Generator().manual_seed(0)
    true = torch.randint(5, (3000,), generator=draw)
    noisy = torch.where(torch.rand(3000, generator=draw) < 0.3, torch.randint(5, (3000,), generator=draw), true)
    p = torch.nn.functional.one_hot(true, 5) * 0.7 + 0.06  # what the best network says, and some unevenness
    p = p + 0.01 * torch.rand(3000, 5, generator=draw)
    count, skill, (half, fifth, tenth), taste, gathered = seen(p / p.sum(1, keepdim=True), noisy)
    assert 0.3 < taste < 2  # χ² with its 15 degrees of freedom: within three deviations of 1
    assert 0.45 < gathered < 1.55  # with 59
    assert count == 3000 and abs(skill - (1 - 0.24 / 0.8)) < 0.05
    assert all(abs(share - 0.24) < 0.06 for share in (half, fifth, tenth))


def test_errors_of_overlapping_classes_fade_with_sureness() -> None:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(3000, generator=draw)
    one = torch.sigmoid(2 * x)
    y = (torch.rand(3000, generator=draw) < one).long()
    count, _, (half, fifth, tenth), taste, _ = seen(torch.stack([1 - one, one], 1), y)
    assert count == 3000 and tenth < 0.5 * half and fifth < 0.7 * half and taste != taste


def test_errors_that_fall_on_whole_steps_are_gathered() -> None:
    y = torch.arange(3000) % 2
    said = torch.where(torch.arange(3000) // 50 % 3 == 0, 1 - y, y)  # wrong about all of each third batch
    p = torch.nn.functional.one_hot(said, 2) * 0.8 + 0.1
    assert seen(p, y).gathered == pytest.approx((20 * (50 - 50 / 3) ** 2 + 40 * (50 / 3) ** 2) / (50 * 2 / 9) / 59)


def test_classes_that_are_taken_for_one_another_are_a_matter_of_taste() -> None:
    draw = torch.Generator().manual_seed(2)
    true = torch.randint(6, (3000,), generator=draw)
    pair = torch.nn.functional.one_hot(true // 2 * 2, 6).float()  # of each pair the first one is named
    p = pair + 0.05 + 0.01 * torch.rand(3000, 6, generator=draw)
    assert seen(p / p.sum(1, keepdim=True), true).taste > 50


def test_targets_that_are_no_classes_are_not_kept() -> None:
    sureness = Sureness()
    sureness.look(torch.randn(8, 3, 32, 32), torch.randint(3, (8, 32, 32)), numbers=False)
    assert not sureness.wanted and sureness.shares() is NONE
    sureness.kept.append((torch.randn(8, 1), torch.randn(8, 1)))
    assert sureness.shares()[0] == 0
    sureness.look(torch.randn(8, 4), torch.randn(8, 4), numbers=True)
    assert not sureness.wanted
    sureness.look(torch.randn(8, 1), torch.randn(8), numbers=True)
    assert sureness.wanted and sureness.strays().samples == 8 and sureness.shares() is NONE


def test_a_place_that_is_written_anew_counts_once() -> None:
    sureness, place = Sureness(), torch.zeros(4, dtype=torch.int64)
    for step in range(3):
        place.fill_(step)
        sureness.kept.append((torch.nn.functional.one_hot(place, 3).float() * 9, place))
    assert sureness.shares()[:3] == (4, 0.0, (0.0, 0.0, 0.0))


def test_what_was_said_before_the_best_judgement_counts_not_what_was_learned_by_heart_since() -> None:
    draw = torch.Generator().manual_seed(3)
    sureness = Sureness()
    y = torch.randint(4, (12, 50), generator=draw)
    said = torch.nn.functional.one_hot((y + 1) % 4, 4).float()  # all wrong
    right = torch.nn.functional.one_hot(y, 4).float()
    for step in range(12):
        if step == 4:
            sureness.judged(0.9)  # 200 samples so far: too few
            assert sureness.shares().samples == 200
        if step == 8:
            sureness.judged(0.5)
        sureness.keep((said if step < 8 else right)[step], y[step])
    sureness.judged(0.7)
    told = sureness.shares()
    assert told.samples == 400 and told.wrong == (1.0, 1.0, 1.0)


def test_the_first_outputs_that_show_something_learned_are_kept_from_what_is_learned_by_heart_later() -> None:
    draw = torch.Generator().manual_seed(4)
    sureness = Sureness()
    true = torch.randint(2, (40, 50), generator=draw)
    wrong = torch.rand(40, 50, generator=draw) < 0.2
    y = torch.where(wrong, 1 - true, true)
    for epoch, knows in enumerate((None, true, y, y)):  # nothing, what is true, all by heart
        for step in range(10):
            said = torch.zeros(50, dtype=torch.int64) if knows is None else knows[10 * epoch + step]
            sure = torch.nn.functional.one_hot(said, 2) * (1 + torch.rand(50, 1, generator=draw))
            sureness.keep(sure, y[10 * epoch + step])
        sureness.judged(1.0 / (epoch + 1))
        sureness.kept.clear()
    early = sureness.early()
    assert early.samples == 500 and abs(early.wrong[0] - 0.2) < 0.06
    assert sureness.shares().wrong[0] == 0.0


def test_of_later_steps_every_eighth_is_kept() -> None:
    model, y = torch.nn.Linear(2, 2), torch.zeros(1, dtype=torch.int64)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    observer = Observer(model, [optimizer])
    for step in range(1, 201):
        loss = torch.nn.functional.cross_entropy(model(torch.ones(1, 2)), y)
        loss.backward()
        optimizer.step()
        observer.step(loss, targets=y, outputs=torch.full((1, 2), float(step)))
    steps = [int(z[0, 0]) for z, _ in observer._sureness.kept]
    assert steps == [*range(74, 129), *range(136, 201, 8)]


@pytest.mark.parametrize("slope", [0.0, 0.1, 2.0])
def test_how_far_outputs_follow_targets_is_students_t_and_r2(slope: float) -> None:
    draw = torch.Generator().manual_seed(3)
    y = torch.randn(640, 1, generator=draw)
    z = slope * y + torch.randn(640, 1, generator=draw)
    sureness = Sureness()
    for out, target in zip(z.split(64), y.split(64), strict=True):
        sureness.look(out, target, numbers=True)
        sureness.keep(out, target)
    samples, t, explained = sureness.follows()
    r = stats.spearmanr(z.numpy(), y.numpy()).statistic  # pyright: ignore[reportAttributeAccessIssue]
    assert samples == 640 and t == pytest.approx(r * (638 / (1 - r * r)) ** 0.5, rel=1e-6)
    assert explained == pytest.approx(r2_score(y.numpy(), z.numpy()), rel=1e-4)
    assert Sureness().follows() is UNKNOWN
    of_numpy = Sureness()
    of_numpy.look(z, y, numbers=True)
    of_numpy.keep(z, y.numpy())
    assert of_numpy.follows() is UNKNOWN


def test_kept_outputs_are_copies_that_a_later_step_cannot_change() -> None:
    sureness, out = Sureness(), torch.ones(8, 1)
    sureness.look(out, torch.ones(8, 1), numbers=True)
    sureness.keep(out, torch.ones(8, 1))
    out.zero_()
    assert bool((sureness.kept[0][0] == 1).all())
