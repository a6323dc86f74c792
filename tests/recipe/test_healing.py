"""`fit` heals itself: remedies tried as rows beside untouched twins, proven, applied, or told to the user."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import trainwell
from tests.recipe.tables import moons
from tests.recipe.test_run import same_end
from trainwell.cli.summary import summary
from trainwell.diagnosis import Finding, Remedy
from trainwell.engine import Ensemble
from trainwell.plan import Plan
from trainwell.recipe import Progress, Request, Run, proving, resume_run, run as recipe_run, run_recipe
from trainwell.recipe.agreement import prepare_setting
from trainwell.recipe.clock import Clock
from trainwell.recipe.journal import Journal
from trainwell.recipe.request import Show, silent
from trainwell.recipe.stages import STAGES, healing, searching
from trainwell.recipe.trial import Candidate, Round, candidates_of, change_of, compare, pairs_of
from trainwell.recipe.workshop import Workshop
from trainwell.report import write_report

SMALL = {
    "training.epochs": "20",
    "ensemble.members": "3",
    "data.folds": "0",
    "network.width": "16",
}
WITH_RATE = searching._with_rate
DEEP = {"network.activation": "sigmoid", "network.depth": 8}


def request(out: Path, *, plan: Plan | None = None, **settings: Any) -> Request:
    given = SMALL | {path.replace("__", "."): str(value) for path, value in settings.items()}
    return Request(moons(), ("label",), plan=plan, settings=given, trials=0, budget=600.0, out=out / "run")


def evidence(run: Run, stage: str = "healing") -> dict[str, Any]:
    return next(s["evidence"] for s in run.result["stages"] if s["name"] == stage)


def passed(run: Run) -> bool | None:
    return next(s["passed"] for s in run.result["stages"] if s["name"] == "healing")


def verified(run: Run, kind: str) -> dict[str, dict[str, Any] | None]:
    """By remedy: what was shown of it, for the worst finding of a kind."""
    finding = next(f for f in run.findings if f.kind == kind)
    return {remedy.name: remedy.verified for remedy in finding.remedies}


@pytest.fixture(scope="module")
def rate_of_three() -> Iterator[None]:
    """The rate is 3 where the user leaves it open; the range test still knows better."""

    def with_three(plan: Plan, rate: float) -> Plan:
        change = {"optimizer.learning_rate": 3.0}
        user = plan.chosen_by_user("optimizer.learning_rate")
        return plan if user else plan.edited(change, by="default", why="a fault")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_with_rate", with_three)
        yield


@pytest.fixture(scope="module")
def cured(tmp_path_factory: pytest.TempPathFactory, rate_of_three: None) -> Run:
    """Nobody fixed the rate of three."""
    return run_recipe(request(tmp_path_factory.mktemp("cured")))


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The user fixed a rate that is far too large."""
    return run_recipe(request(tmp_path_factory.mktemp("fixed"), optimizer__learning_rate=10))


@pytest.mark.covers("D15")
def test_a_rate_that_nobody_fixed_is_cured_and_the_networks_in_use_are_better(cured: Run) -> None:
    run = cured
    healed, origin = evidence(run), run.plan.origin("optimizer.learning_rate")
    assert passed(run) is True and healed["outcome"] == "cured"
    assert "learning-rate-too-large" in healed["found"] and "helpful" in healed
    assert origin.by == "remedy" and "learning-rate-too-large" in origin.why
    assert run.plan.optimizer.learning_rate <= 0.3
    before, after = healed["validation"]["before"], healed["validation"]["after"]
    assert after["log_loss"] < 0.5 * before["log_loss"]
    assert run.result["validation"] == after == evidence(run, "final")["validation"]
    assert run.result["test"]["accuracy"] > 0.95 and run.result["members"] == 3
    rates = run.record.series("learning_rate", member=0)[1]
    assert rates.max() <= run.plan.optimizer.learning_rate * 1.001  # the record is that of the networks in use
    gone = [f for f in run.findings if f.evidence.get("cured_by")]
    assert {f.kind for f in gone} == set(healed["found"]) and all(f.severity == "info" for f in gone)
    assert healed["remedy"] in gone[0].message


@pytest.mark.covers("D15")
def test_a_value_that_the_user_fixed_is_tried_but_stays(fixed: Run) -> None:
    assert passed(fixed) is False and evidence(fixed)["outcome"] == "fixed"
    assert fixed.plan.optimizer.learning_rate == 10 and fixed.plan.origin("optimizer.learning_rate").by == "user"
    assert not any(origin.by == "remedy" for origin in fixed.plan.origins.values())
    shown = verified(fixed, "learning-rate-too-large")["tested-rate"]
    assert shown is not None and shown["helped"] and shown["after"] < shown["before"] and shown["seeds"] == 5


def test_a_remedy_that_does_not_help_is_told_so(fixed: Run) -> None:
    shown = verified(fixed, "learning-rate-too-large")["smaller-rate-3"]
    assert shown is not None and shown["helped"] is False and shown["figure"] == "validation loss"


def test_page_and_summary_tell_the_trial_in_one_sentence(fixed: Run) -> None:
    page = write_report(fixed.path).read_text(encoding="utf-8")
    assert "You fixed a value in it, so nothing was changed." in page
    assert "Tried: it helped (validation loss" in page and "Tried: it did not help" in page
    stream = StringIO()
    Console(file=stream, width=1000).print(summary(fixed))
    assert "this would help: 'optimizer.learning_rate' 10 → " in stream.getvalue()


@pytest.mark.covers("D15")
def test_layers_through_which_no_gradient_comes_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_with_rate", WITH_RATE)
    plan = Plan().edited(DEEP, by="default", why="a deep old network")
    run = run_recipe(request(tmp_path, plan=plan))
    assert "vanishing-gradient" in evidence(run)["found"] and evidence(run)["outcome"] == "cured"
    changed = [path for path, origin in run.plan.origins.items() if origin.by == "remedy"]
    assert changed and all(path.startswith("network.") or path == "initialiser.name" for path in changed)
    assert run.result["test"]["accuracy"] > 0.95


def test_a_healthy_fit_is_what_it_is_without_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_with_rate", WITH_RATE)
    run = run_recipe(request(tmp_path))
    assert passed(run) is None and evidence(run) == {"why": "nothing was to be healed"}
    monkeypatch.setattr(recipe_run, "STAGES", {name: stage for name, stage in STAGES.items() if name != "healing"})
    bare = run_recipe(request(tmp_path / "bare"))
    assert isinstance(run.ensemble, Ensemble) and isinstance(bare.ensemble, Ensemble)
    assert torch.equal(run.ensemble.theta, bare.ensemble.theta)
    assert run.plan == bare.plan and run.findings == bare.findings and run.result["test"] == bare.result["test"]


def test_networks_that_are_no_better_when_trained_anew_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate_of_three: None
) -> None:
    monkeypatch.setattr(healing, "_better", lambda ws, after, before: False)
    run = run_recipe(request(tmp_path))
    assert evidence(run)["outcome"] == "no better" and run.plan.optimizer.learning_rate == 3.0
    assert run.result["validation"] == evidence(run)["validation"]["before"]
    assert run.record.series("learning_rate", member=0)[1].max() == pytest.approx(3.0)


def test_without_time_nothing_is_tried_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "SHARE", 0.0)
    run = run_recipe(request(tmp_path, optimizer__learning_rate=10))
    assert passed(run) is None and "leave no room" in evidence(run)["why"]
    assert all(v is None for v in verified(run, "learning-rate-too-large").values())


def test_a_user_s_own_module_is_healed_too(tmp_path: Path, rate_of_three: None) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    run = trainwell.fit(
        lambda: nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)),
        (x, y),
        budget=600,
        out=tmp_path / "run",
        quiet=True,
        settings={"search.trials": 0, "training.epochs": 30, "ensemble.members": 2},
    )
    assert evidence(run)["outcome"] == "cured"
    assert run.plan.origin("optimizer.learning_rate").by == "remedy"
    assert run.result["test"]["accuracy"] > 0.8


class Killed(BaseException):
    """As if the process had ended here."""


MOMENTS = ("short trial", "long trial", "networks at once: 3, epoch 9")  # of the look, and of training anew


def seen(progress: Progress, words: str) -> bool:
    """Whether this is the moment at which the progress says these words for healing."""
    return words in progress.text and ("trial" in words or progress.stage == "healing")


def test_a_run_killed_while_it_heals_ends_bit_identically(tmp_path: Path, cured: Run) -> None:
    def dies_at(words: str) -> Show:
        def show(progress: Progress) -> None:
            if seen(progress, words):
                raise Killed

        return show

    for words in MOMENTS:
        with pytest.raises(Killed):
            if words == MOMENTS[0]:
                run_recipe(request(tmp_path), dies_at(words))
            else:
                resume_run(tmp_path / "run", dies_at(words))
    same_end(resume_run(tmp_path / "run"), cured)


@pytest.mark.parametrize("words", MOMENTS[1:])
def test_ctrl_c_keeps_the_networks_there_are_and_can_be_continued(words: str, tmp_path: Path, cured: Run) -> None:
    def interrupt(progress: Progress) -> None:
        if seen(progress, words) and not sent:
            sent.append(progress)
            signal.raise_signal(signal.SIGINT)

    sent: list[Progress] = []
    run = run_recipe(request(tmp_path), interrupt)
    assert run.result["interrupted"] and evidence(run)["why"] == "interrupted"
    assert run.plan.optimizer.learning_rate == 3.0 and run.ensemble is not None
    assert {"learning-rate-too-large"} <= {f.kind for f in run.findings}
    same_end(resume_run(tmp_path / "run"), cured)


def test_a_sick_training_is_given_up_early_only_for_a_cure_that_may_be_applied(cured: Run, fixed: Run) -> None:
    validated = evidence(fixed, "final")["epochs"]
    assert max(validated) > 6  # of 20: the look is at 5
    assert evidence(cured)["given_up"] and not evidence(fixed)["given_up"]


def workshop(folder: Path) -> Workshop:
    setting = prepare_setting(request(folder))
    (folder / "checkpoints").mkdir()
    return setting.workshop(folder, Clock(600.0), Journal(folder / "checkpoints" / "journal.json"), silent, ())


def test_twins_share_weights_batches_and_noise_whatever_population_they_are_in(tmp_path: Path) -> None:
    ws = workshop(tmp_path)
    same, apart, other = ({}, {"training.patience": 19}, {"optimizer.learning_rate": 0.01})
    tried = [Candidate(str(i), "", change, i) for i, change in enumerate((same, apart, other))]
    sick = ws.plan.edited({"regularisation.dropout": 0.2}, by="default", why="noise")
    scores = compare(ws, sick, tried, Round("long", 6, 3, 600.0, "loss", (0.0, 1.0)))
    assert scores is not None
    twins, equal, elsewhere, faster = scores
    assert equal == twins and elsewhere == pytest.approx(twins, rel=1e-4)
    assert len({round(score, 6) for score in twins}) == 3 and all(a > b for a, b in zip(faster, twins, strict=True))


def test_a_round_is_remembered_and_not_trained_again(tmp_path: Path) -> None:
    ws = workshop(tmp_path)
    round_ = Round("short", 2, 2, 600.0, "metric", (0.0, 1.0))
    ws.journal.note("healing.short", [[0.5, None], [0.75, 1.0]])
    scores = compare(ws, ws.plan, [Candidate("a", "", {"schedule.warmup": 0.1}, 0)], round_)
    assert scores is not None and scores[1] == [0.75, 1.0] and scores[0][0] == 0.5 and np.isnan(scores[0][1])


def offer(name: str, **change: Any) -> Remedy:
    return Remedy(name, f"why {name}", {path.replace("__", "."): value for path, value in change.items()})


def test_candidates_are_told_once_the_smallest_change_first() -> None:
    smaller, norm = offer("smaller", optimizer__learning_rate=1e-4), offer("norm", network__norm="batch")
    both = offer("both", optimizer__learning_rate=1e-4, regularisation__clip_norm=1.0)
    words, foreign = Remedy("words", "look at it"), offer("foreign", module__norm="batch")
    wrong = offer("wrong", network__width=-1)
    findings = [
        Finding("dead-units", "warning", "", remedies=(norm, words, both)),
        Finding("non-finite", "critical", "", remedies=(foreign, wrong, replace(smaller, name="again"), smaller)),
    ]
    found = candidates_of(Plan(), findings)
    assert [c.name for c in found] == ["again", "both", "norm"] and [c.size for c in found] == [0, 1, 2]
    assert change_of(Plan(), {"network.norm": "none"}) == {} == change_of(Plan(), None)


def test_pairs_are_of_changes_that_can_be_done_together() -> None:
    a, b, c = (Candidate(n, n, {path: 1}, i) for i, (n, path) in enumerate([("a", "x"), ("b", "y"), ("c", "x")]))
    assert [(pair.name, pair.change) for pair in pairs_of([a, b, c])] == [
        ("a + b", {"x": 1, "y": 1}),
        ("b + c", {"y": 1, "x": 1}),
    ]
