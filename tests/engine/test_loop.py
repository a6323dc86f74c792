"""The loop against a plain PyTorch loop written by hand, and what an onlooker may ask of it."""

from copy import deepcopy
from dataclasses import dataclass
from math import ceil, cos, inf, pi

import pytest
import torch
import torch.nn.functional as F

from trainwell.engine import Copy, Course, Edit, Moment, Record, Stop, train
from trainwell.testing.members import Case
from trainwell.vitals import observe

EPOCHS, PER_EPOCH = 18, 3  # of the suite's cases
STEPS = EPOCHS * PER_EPOCH


def course(case: Case | None = None, k: int = 4, **edits: object) -> Course:
    """A course of the suite's cases; `edits` name values by the last part of their path."""
    case = case or Case("plain")
    plans = [case.plan(m).edited(edits, by="user", why="test") for m in range(k)] if edits else None
    return case.course(range(k), plans)


@dataclass
class PlainEnd:
    """What a loop written by hand ended with."""

    kind: str
    step: int
    best_step: int
    best_loss: float
    weights: dict[str, torch.Tensor]


def plain_loop(given: Course, k: int, monitor: str) -> PlainEnd:
    """Member k trained by torch's AdamW with early stopping and best weights kept, on the course's batches."""
    plan, patience = given.plans[k], given.patience
    network, feed, o = given.population.member(k).train(), given.feed, given.plans[k].optimizer
    β1, β2, ε, smoothing, floor, limit = (
        plan.effective(path)
        for path in ("momentum", "beta2", "epsilon", "label_smoothing", "schedule.floor", "clip_norm")
    )
    optimizer = torch.optim.AdamW(network.parameters(), o.learning_rate, (β1, β2), ε, o.weight_decay)
    group = int(given.group_of[k])
    held = feed.samples.take(feed.validation[group])
    assert held.y is not None
    end = PlainEnd("finished", STEPS, 0, inf, {})
    best_metric, waited = -inf, 0
    for t in range(STEPS):
        batch = feed.batch(t)
        assert batch.y is not None
        warm = min(1.0, (t + 1) / (plan.schedule.warmup * STEPS)) if plan.schedule.warmup else 1.0
        optimizer.param_groups[0]["lr"] = (
            o.learning_rate * warm * (floor + (1 - floor) * 0.5 * (1 + cos(pi * t / STEPS)))
        )
        optimizer.zero_grad()
        z = network(batch.x[group].T, batch.categories[group].T)
        F.cross_entropy(z, batch.y[group], label_smoothing=smoothing).backward()
        if limit is not None:
            slopes = [p.grad for p in network.parameters() if p.grad is not None]
            norm = torch.cat([slope.flatten() for slope in slopes]).norm()
            for slope in slopes:
                slope.mul_(min(1.0, limit / float(norm)))
        optimizer.step()
        if (t + 1) % PER_EPOCH:
            continue
        network.eval()
        with torch.no_grad():
            z = network(held.x[0].T, held.categories[0].T)
        network.train()
        loss, metric = F.cross_entropy(z, held.y[0]).item(), (z.argmax(1) == held.y[0]).double().mean().item()
        better = loss < end.best_loss if monitor == "loss" else (metric, -loss) > (best_metric, -end.best_loss)
        if better:
            end.best_loss, best_metric, end.best_step = loss, metric, t + 1
            end.weights, waited = deepcopy(network.state_dict()), 0
            continue
        waited += 1
        if waited >= patience and t + 1 < STEPS:
            end.kind, end.step = "stopped-early", t + 1
            break
    return end


@pytest.mark.covers("R5", "H6")
@pytest.mark.parametrize("monitor", ["loss", "metric"])
@pytest.mark.parametrize(
    "case",
    [
        Case("plain", {"loss.balance": 0.0}),
        Case("own batches", {"loss.balance": 0.0}, own_batches=True),
        Case("norm", {"network.norm": "batch", "loss.balance": 0.0}, regularisers=("clip_norm",)),
    ],
    ids=str,
)
def test_every_member_stops_and_keeps_its_best_weights_as_in_a_plain_loop(case: Case, monitor: str) -> None:
    rates = (None, {"learning_rate": 0.08})
    plans = [case.plan(k).edited({"patience": 2, **(rates[k % 2] or {})}, by="user", why="test") for k in range(8)]
    given = case.course(range(8), plans)
    given.monitor = monitor
    expected = [plain_loop(given, k, monitor) for k in range(8)]
    for _ in train(given):
        pass
    ended = [(o.kind, o.step, o.best_step) for o in given.outcomes]
    assert ended == [(e.kind, e.step, e.best_step) for e in expected]
    assert len(set(ended)) > 2 and "stopped-early" in {kind for kind, _, _ in ended}, "members should end variously"
    given.population = type(given.population)(given.blueprint, given.plans, given.seeds, dtype=torch.float64)
    given.population.load(given.best.theta, given.best.statistics)
    for k, end in enumerate(expected):
        assert float(given.best.loss[k]) == pytest.approx(end.best_loss, rel=1e-6)
        for name, value in given.population.member(k).state_dict().items():
            if "num_batches" not in name:
                torch.testing.assert_close(value, end.weights[name], rtol=1e-6, atol=1e-8)


@pytest.mark.covers("R5")
def test_an_outcome_tells_when_a_member_stopped_and_where_its_best_weights_are_from() -> None:
    given = course(k=6, patience=1, learning_rate=0.3)
    for _ in train(given):
        pass
    early = [o for o in given.outcomes if o.kind == "stopped-early"]
    assert early and all(o.best_step == o.step - PER_EPOCH for o in early)
    assert str(early[0]).startswith(
        "stopped early: the validation loss had not improved for `patience` evaluations (at"
    )


def test_a_moment_comes_after_every_update_with_its_step_epoch_rate_and_loss() -> None:
    given, twin = course(), course()
    for step, moment in enumerate(train(given), start=1):
        batch = twin.feed.batch(step - 1)
        rate = twin.population.rates(STEPS)
        loss = twin.population.backward(batch)
        assert (moment.step, moment.epoch) == (step, step / PER_EPOCH)
        assert moment.members.tolist() == [0, 1, 2, 3] and moment.active.all()
        assert moment.loss.equal(loss) and moment.learning_rate.equal(rate.flatten())
        twin.population.update(rate)
    assert twin.population.step == STEPS and {o.kind for o in given.outcomes} == {"finished"}


@pytest.mark.parametrize(("often", "every"), [(1, 3), (3, 1), (100, 1), (2, 2)])
def test_validation_is_measured_as_often_as_planned_and_at_the_end(often: int, every: int) -> None:
    given = course(k=2, evaluations_per_epoch=often)
    steps = [moment.step for moment in train(given) if moment.evaluation is not None]
    assert steps == [*range(every, STEPS, every), STEPS]


def test_a_long_run_on_few_rows_is_not_judged_after_every_update() -> None:
    given = course(k=1, epochs=2000)
    assert 60 <= given.total_steps / given.evaluate_every <= 66


def test_evaluations_are_those_of_the_members_alone() -> None:
    given = course(Case("norm", {"network.norm": "batch"}), k=3)
    for moment in train(given, until=2 * PER_EPOCH):
        if moment.evaluation is None:
            continue
        held = given.feed.samples.take(given.feed.validation[0])
        probe = given.feed.samples.take(given.feed.train[0])
        assert held.y is not None and probe.y is not None
        for k in range(3):
            network = given.population.member(k)
            z, seen = network(held.x[0].T), network(probe.x[0].T)
            assert float(moment.evaluation.loss[k]) == pytest.approx(F.cross_entropy(z, held.y[0]).item(), rel=1e-9)
            assert float(moment.evaluation.metric[k]) == pytest.approx(
                (z.argmax(1) == held.y[0]).double().mean().item()
            )
            assert float(moment.evaluation.train_loss[k]) == pytest.approx(
                F.cross_entropy(seen, probe.y[0]).item(), rel=1e-9
            )


def test_a_course_trained_in_portions_ends_as_one_trained_at_once() -> None:
    whole, parts = course(), course()
    for _ in train(whole):
        pass
    for until in (PER_EPOCH, 5 * PER_EPOCH, 5 * PER_EPOCH, STEPS + 99):
        for moment in train(parts, until=until):
            assert moment.step <= until
        assert parts.population.step == min(until, STEPS)
    assert whole.outcomes == parts.outcomes
    assert all(t.equal(parts.best.tensors()[name]) for name, t in whole.best.tensors().items())


@pytest.mark.covers("D2")
@pytest.mark.parametrize("monitor", ["loss", "metric"])
def test_a_member_that_diverges_ends_so_and_keeps_the_best_it_had(monitor: str) -> None:
    given = course(k=5)
    given.monitor = monitor
    best = None
    for moment in train(given):
        if moment.step == 2 * PER_EPOCH:
            best = {name: tensor[2].clone() for name, tensor in given.best.tensors().items()}
            assert best["best.loss"].isfinite()
            given.population.theta[2] = float("nan")
    assert best is not None
    assert (given.outcomes[2].kind, given.outcomes[2].step) == ("diverged", 3 * PER_EPOCH)
    assert given.outcomes[2].best_step == int(best["best.step"])
    for name in ("theta", "loss", "metric", "step"):
        assert getattr(given.best, name)[2].equal(best[f"best.{name}"]), name
    assert [o.kind for k, o in enumerate(given.outcomes) if k != 2] == ["finished"] * 4


@pytest.mark.parametrize("monitor", ["loss", "metric"])
def test_a_member_that_never_had_a_finite_loss_has_no_best(monitor: str) -> None:
    given = course(k=3)
    given.monitor = monitor
    given.population.theta[0] = float("nan")
    for _ in train(given):
        pass
    assert given.outcomes[0].kind == "diverged" and given.outcomes[0].best_step == 0
    assert given.best.loss[0] == inf and given.best.metric[0] == -inf


def test_a_member_that_has_diverged_does_not_come_back() -> None:
    given = course(k=3)
    for moment in train(given, until=10 * PER_EPOCH):
        if moment.step == PER_EPOCH - 1:
            given.population.theta[1] = float("nan")
        if moment.step == PER_EPOCH:
            assert given.outcomes[1].kind == "diverged"
            given.population.copy_row(0, 1)  # finite again
        assert moment.active.tolist() == [True, moment.step <= PER_EPOCH, True]
    assert given.outcomes[1].step == PER_EPOCH
    assert int(given.best.step[1]) == given.outcomes[1].best_step == 0 and given.best.loss[1] == inf


def test_when_all_members_have_diverged_the_loop_ends() -> None:
    given = course(k=2)
    given.population.theta.fill_(float("nan"))
    assert len(list(train(given))) == PER_EPOCH and not given.running


def test_a_stopped_member_leaves_and_the_others_go_on() -> None:
    given, calm = course(), course()
    for moment in train(given):
        if moment.step == 4:
            moment.send(Stop([1, 3], "target-reached"))
        assert moment.members.tolist() == ([0, 1, 2, 3] if moment.step <= 4 else [0, 2])
    for _ in train(calm):
        pass
    assert [(o.kind, o.step) for o in given.outcomes] == [
        ("finished", STEPS),
        ("target-reached", 4),
        ("finished", STEPS),
        ("target-reached", 4),
    ]
    torch.testing.assert_close(given.best.loss[[0, 2]], calm.best.loss[[0, 2]], rtol=1e-9, atol=0)


def test_stopping_a_member_that_has_left_or_never_was_changes_nothing() -> None:
    given = course(k=2)
    for moment in train(given, until=9):
        moment.send(Stop([1] if moment.step == 2 else [1, 77] if moment.step > 2 else [], "culled"))
    assert (given.outcomes[1].kind, given.outcomes[1].step) == ("culled", 2)


def test_when_all_members_are_stopped_the_loop_ends() -> None:
    given = course(k=2)
    steps = []
    for moment in train(given):
        steps.append(moment.step)
        if moment.step == 5:
            moment.send(Stop([0, 1]))
    assert steps == [1, 2, 3, 4, 5] and not given.running
    assert {o.kind for o in given.outcomes} == {"interrupted"}


def test_an_edited_rate_is_used_from_the_next_step_on_by_its_members_alone() -> None:
    given = course(k=3)
    rates = {}
    for moment in train(given, until=4):
        rates[moment.step] = moment.learning_rate.tolist()
        if moment.step == 2:
            moment.send(Edit([2, 0], "learning_rate", 0.0))
    assert min(rates[1] + rates[2]) > 0
    assert [rate == 0 for rate in rates[3]] == [True, False, True]


def test_a_change_is_made_at_once_and_the_moment_stays_what_it_was() -> None:
    given = course(k=3)
    moment = next(train(given, wants_layers=lambda step: True))
    assert moment.layers is not None
    seen = [moment.members, moment.loss, moment.learning_rate, moment.active, moment.layers[0].weight]
    kept = [values.clone() for values in seen]
    moment.send(Edit([2], "learning_rate", 0.0))
    moment.send(Copy(source=0, target=2))
    moment.send(Stop([1]))
    assert given.population.members.tolist() == [0, 2] and given.outcomes[1].kind == "interrupted"
    assert given.population.columns["learning_rate"][1] == 0 and given.population.theta[0].equal(
        given.population.theta[1]
    )
    assert all(one.equal(other) for one, other in zip(seen, kept, strict=True))


def test_an_edit_finds_its_member_also_after_others_have_left() -> None:
    given = course(k=4)
    for moment in train(given, until=5):
        if moment.step == 2:
            moment.send(Stop([0, 2]))
            moment.send(Edit([3], "learning_rate", 0.0))
    assert (given.population.columns["learning_rate"] == 0).flatten().tolist() == [False, True]


def test_a_copy_overwrites_a_members_row_by_anothers() -> None:
    given = course(k=4)
    for moment in train(given, until=5):
        if moment.step == 2:
            moment.send(Stop([0]))
            moment.send(Copy(source=3, target=1))
        if moment.step == 3:
            break
    p = given.population
    assert p.members.tolist() == [1, 2, 3]
    given = course(k=4)
    for moment in train(given, until=2):
        if moment.step == 2:
            moment.send(Copy(source=3, target=1))
    assert given.population.theta[1].equal(given.population.theta[3])
    assert given.population.state["m"][1].equal(given.population.state["m"][3])


def test_a_copy_from_or_to_a_member_that_has_left_changes_nothing() -> None:
    given, calm = course(k=3), course(k=3)
    for each, send in ((given, True), (calm, False)):
        for moment in train(each, until=6):
            if moment.step == 2:
                moment.send(Stop([1]))
            if moment.step == 4 and send:
                moment.send(Copy(source=1, target=0))
                moment.send(Copy(source=0, target=1))
    assert given.population.theta.equal(calm.population.theta)


@pytest.mark.covers("B7")
def test_layers_are_shown_at_the_steps_asked_for_as_they_were_in_that_step() -> None:
    case = Case("sgd", {"optimizer.name": "sgd", "schedule.name": "constant", "optimizer.weight_decay": 0.0})
    given = course(case, k=3, warmup=0.0, label_smoothing=0.0)
    shown = []
    for moment in train(given, until=8, wants_layers=lambda step: step % 3 == 0):
        if moment.layers is None:
            continue
        shown.append(moment.step)
        assert [layer.name for layer in moment.layers] == ["hidden.0", "hidden.1", "output"]
        assert [layer.activation_name for layer in moment.layers] == ["tanh", "tanh", "identity"]
        batch = given.feed.batch(moment.step - 1)
        h = batch.x[0].T
        for layer in moment.layers:
            assert layer.gradient is not None and layer.before is not None and layer.activation is not None
            rate = moment.learning_rate.view(3, 1, 1)
            assert layer.weight.equal(given.population.weights[f"{layer.name}.weight"].detach())
            torch.testing.assert_close(layer.before - rate * layer.gradient, layer.weight)
            assert layer.activation.shape == (3, len(h), layer.weight.shape[1])
        first = moment.layers[0]
        assert first.activation is not None and first.before is not None
        assert (first.activation.abs() <= 1).all()
    assert shown == [3, 6]


def test_the_first_layer_shown_is_what_it_hands_on_before_the_update() -> None:
    given = course(k=2)
    old = {name: view.detach().clone() for name, view in given.population.weights.items()}
    moment: Moment = next(train(given, wants_layers=lambda step: True))
    assert moment.layers is not None and moment.layers[0].activation is not None
    x = given.feed.batch(0).x[0].T
    for k in range(2):
        expected = torch.tanh(F.linear(x, old["hidden.0.weight"][k], old["hidden.0.bias"][k].flatten()))
        torch.testing.assert_close(moment.layers[0].activation[k], expected)


def test_with_vitals_recorded_at_every_step_the_weights_are_bit_identical() -> None:
    watched, calm = (
        Case("all", {"network.norm": "batch"}, (4,), regularisers=("dropout",)).course(range(5)) for _ in range(2)
    )
    record = Record()
    for moment in train(watched, wants_layers=lambda step: True):
        observe(moment, record)
    for _ in train(calm):
        pass
    assert len(record.series("loss", member=4)[0]) == ceil(STEPS)
    assert all(t.equal(calm.tensors()[name]) for name, t in watched.tensors().items())


def test_where_layers_are_shown_so_are_gradients_of_the_step_before_and_of_this_one() -> None:
    always = {m.step: m for m in train(course(k=3), until=6, wants_layers=lambda step: True)}
    some = {m.step: m for m in train(course(k=3), until=6, wants_layers=lambda step: step in (1, 3, 6))}
    assert [step for step, moment in some.items() if moment.gradients is not None] == [3, 6]
    for step in (3, 6):
        pair = some[step].gradients
        assert pair is not None
        before, now = pair
        shown = always[step - 1].layers, some[step].layers
        assert shown[0] is not None and shown[1] is not None
        first = shown[0][0].gradient, shown[1][0].gradient
        assert first[0] is not None and first[1] is not None
        assert torch.equal(before[:, 0], first[0][:, 0, 0]) and torch.equal(now[:, 0], first[1][:, 0, 0])
        assert before.shape == now.shape and before.shape[1] <= 1024


def test_no_pair_of_gradients_is_of_other_members() -> None:
    given = course(k=3)
    pairs = []
    for moment in train(given, until=3, wants_layers=lambda step: step == 3):
        pairs.append(moment.gradients)
        if moment.step == 2:
            moment.send(Stop([1]))
    assert pairs == [None, None, None]
