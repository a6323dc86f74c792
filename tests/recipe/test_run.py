"""The main job, end to end, on small tables."""

import json
import signal
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from benchmarks.resume import SERVER
from tests.recipe.tables import STAGES, moons, waves
from trainwell.base import RunError
from trainwell.data import Preparation, read_table
from trainwell.engine import Ensemble
from trainwell.plan import Plan
from trainwell.recipe import Progress, Request, Run, intake, load_run, resume_run, run_recipe
from trainwell.recipe.stages import members, searching

SMALL = {
    "search.trials": "6",
    "training.epochs": "40",
    "ensemble.members": "4",
    "data.folds": "0",
    "network.width": "16",
}


def fit(tmp_path: Path, data: object = None, targets: tuple[str, ...] = ("label",), **more: object) -> Run:
    settings = {**SMALL, **dict(more.pop("settings", {}))}  # type: ignore[call-overload]
    request = Request(
        data=moons() if data is None else data,
        targets=targets,
        settings=settings,
        out=tmp_path / "run",
        **{"budget": 60.0, **more},
    )
    return run_recipe(request)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(tmp_path_factory.mktemp("binary"))


@pytest.mark.covers("B1", "B2", "B3", "B4", "B5", "B9", "B10", "H1")
def test_every_stage_is_recorded_in_order_with_its_evidence(run: Run) -> None:
    stages = run.result["stages"]
    assert [stage["name"] for stage in stages] == STAGES
    assert all(stage["evidence"] for stage in stages)
    passed = {stage["name"]: stage["passed"] for stage in stages}
    assert passed["initial-loss"] and passed["gradient-check"] and passed["overfit-batch"] and passed["test"]
    initial = stages[2]["evidence"]
    assert initial["chance"] == pytest.approx(np.log(2))
    assert initial["loss_with_regularisation"] > initial["loss"]
    assert set(stages[1]["evidence"]["scores"]) == {"constant", "linear", "gradient-boosting"}


def test_the_result_has_the_keys_of_the_contract(run: Run) -> None:
    result = json.loads((run.path / "result.json").read_text())
    for key in (
        "task",
        "metric",
        "validation",
        "test",
        "baselines",
        "members",
        "trials",
        "seconds",
        "seed",
        "version",
        "stages",
        "environment",
    ):
        assert key in result
    assert result["metric"] == {"name": "accuracy", "value": result["test"]["accuracy"], "higher_is_better": True}
    assert result["trials"] == run.trials.height > 0
    assert result["test"]["accuracy"] > 0.9


def test_the_run_directory_holds_what_the_contract_names_and_no_pickle(run: Run) -> None:
    names = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()}
    assert {"plan.yaml", "result.json", "findings.jsonl", "vitals.parquet", "trials.parquet", "log.txt"} <= names
    assert {"model/weights.safetensors", "model/blueprint.json", "model/preparation.json"} <= names
    for path in run.path.rglob("*"):
        assert path.is_dir() or not path.read_bytes().startswith((b"\x80\x02", b"\x80\x04", b"\x80\x05")), path


def test_vitals_are_tidy_and_about_the_final_members(run: Run) -> None:
    vitals = pl.read_parquet(run.path / "vitals.parquet")
    assert vitals.columns == ["step", "member", "layer", "signal", "value"]
    assert set(vitals["member"].unique()) == set(range(run.result["members"]))
    assert {"loss", "train_loss", "validation_loss", "gradient-norm", "update-ratio"} <= set(vitals["signal"].unique())


def test_a_run_read_back_predicts_the_same(run: Run) -> None:
    again = load_run(run.path)
    rows = moons(50, seed=3).drop("label")
    np.testing.assert_array_equal(again.predict_proba(rows), run.predict_proba(rows))
    assert set(again.predict(rows)) <= {"down", "up"}
    assert again.plan == run.plan


def test_the_prediction_is_the_mean_over_plain_modules(run: Run) -> None:
    rows = moons(50, seed=3)
    assert isinstance(run.preparation, Preparation)
    encoded = run.preparation.encode(read_table(rows), with_target=False)
    x, categories = torch.from_numpy(encoded.x), torch.from_numpy(encoded.categories)
    with torch.no_grad():
        members = torch.stack([torch.sigmoid(run.member(i)(x, categories)) for i in range(run.result["members"])])
    np.testing.assert_allclose(run.predict_proba(rows)[:, 1], members.mean(dim=0)[:, 0].numpy(), atol=1e-6)


def test_the_plan_says_who_chose_each_value_and_reads_back(run: Run) -> None:
    plan = Plan.from_yaml(run.path / "plan.yaml")
    assert plan.origin("network.width").by == "user"
    assert plan.origin("optimizer.learning_rate").by in ("search", "data")
    assert plan.origin("training.batch_size").by == "data"


def test_values_that_the_user_fixed_are_in_every_trial(run: Run) -> None:
    assert set(run.trials["network.width"]) == {16}


@pytest.mark.parametrize("task", ["regression", "multiclass", "multilabel"])
def test_other_tasks_run_through(task: str, tmp_path: Path) -> None:
    if task == "regression":
        run = fit(tmp_path, waves(), ("height",), settings={"training.epochs": "40", "training.batch_size": "16"})
        assert run.result["metric"]["name"] == "r2" and run.result["test"]["r2"] > 0.8
        assert run.result["test"]["rmse"] < 25  # on the original scale
        prediction = run.predict(waves())
        assert prediction.shape == (300,) and 900 < prediction.mean() < 1100
    elif task == "multiclass":
        frame = waves().with_columns(
            pl.col("height").rank().floordiv(101).cast(pl.Int64).replace_strict({0: "low", 1: "mid", 2: "high"})
        )
        run = fit(tmp_path, frame, ("height",), settings={"training.epochs": "20"})
        assert run.result["test"]["accuracy"] > 0.6 and run.predict_proba(frame).shape == (300, 3)
    else:
        frame = waves().select("a", "b", up=(pl.col("a") > 0).cast(pl.Int64), right=(pl.col("b") > 1).cast(pl.Int64))
        run = fit(tmp_path, frame, ("up", "right"), settings={"training.epochs": "20"})
        assert run.result["test"]["f1_micro"] > 0.8 and run.predict(frame).shape == (300, 2)


def test_small_tables_are_cross_validated(tmp_path: Path) -> None:
    run = fit(tmp_path, moons(120), settings={"data.folds": "3", "ensemble.members": "6", "search.trials": "0"})
    data = run.result["stages"][0]["evidence"]
    assert data["folds"] == 3 and data["train"] == 64 and data["validation"] == 32
    assert run.result["members"] == 6


def test_without_a_search_the_standard_plan_is_trained(tmp_path: Path) -> None:
    run = fit(tmp_path, trials=0)
    assert run.result["trials"] == 0 and run.result["members"] == 4


def test_the_same_seed_gives_the_same_network(tmp_path: Path) -> None:
    a, b = (fit(tmp_path / name, trials=0, settings={"ensemble.members": "2"}) for name in "ab")
    np.testing.assert_array_equal(a.predict_proba(moons()), b.predict_proba(moons()))
    c = fit(tmp_path / "c", trials=0, seed=1, settings={"ensemble.members": "2"})
    assert not np.array_equal(a.predict_proba(moons()), c.predict_proba(moons()))


def test_a_check_stops_before_the_search(tmp_path: Path) -> None:
    run = fit(tmp_path, only_check=True)
    assert [s["name"] for s in run.result["stages"]] == [
        "data",
        "initial-loss",
        "gradient-check",
        "overfit-batch",
        "rate-range",
    ]
    with pytest.raises(RunError, match="no trained network"):
        run.predict(moons())


def test_progress_tells_stage_fraction_and_time(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run_recipe(Request(moons(), ("label",), settings=SMALL, budget=60.0, trials=0, out=tmp_path / "run"), seen.append)
    assert list(dict.fromkeys(p.stage for p in seen)) == STAGES
    assert all(0 <= p.fraction <= 1 and p.seconds >= 0 for p in seen)
    assert seen[-1].best is not None


def test_a_budget_of_a_few_seconds_still_ends_with_a_model(tmp_path: Path) -> None:
    run = run_recipe(Request(moons(2000), ("label",), budget=4.0, out=tmp_path / "run"))
    assert run.ensemble is not None and run.result["test"]["accuracy"] > 0.6  # far above chance, on a slow machine too


def test_labels_that_cannot_be_learnt_by_heart_are_found(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"x": [float(i % 2) for i in range(200)], "y": ["a" if (i // 2) % 2 else "b" for i in range(200)]}
    )
    run = fit(tmp_path, frame, ("y",), only_check=True)
    overfit = next(s for s in run.result["stages"] if s["name"] == "overfit-batch")
    assert overfit["evidence"]["samples"] == 2  # only two different inputs


KILLED = {
    "training.epochs": "20",
    "ensemble.members": "3",
    "data.folds": "0",
    "network.norm": "batch",
    "regularisation.dropout": "0.2",
    "training.batch_size": "16",
    "network.width": "64",
    "training.patience": "60",
}


def go_on(table: str, out: Path) -> None:
    """The run, or its continuation, as a process of its own does it; on one thread, as the tests."""
    torch.set_num_threads(1)
    members.SAVE_EVERY = searching.SAVE_EVERY = 0.1
    if out.exists():
        resume_run(out)
    else:
        run_recipe(Request(table, ("label",), budget=600.0, trials=8, out=out, settings=KILLED))


def kill_at(path: Path, process: BaseProcess) -> None:
    """Kill a process once a file is there."""
    while not path.exists() and process.exitcode is None:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def same_end(one: Run, other: Run) -> None:
    """Both runs came to the same, bit for bit and byte for byte, but for their times."""
    assert isinstance(one.ensemble, Ensemble) and isinstance(other.ensemble, Ensemble)
    assert torch.equal(one.ensemble.theta, other.ensemble.theta)
    assert torch.equal(one.ensemble.statistics, other.ensemble.statistics)
    assert_frame_equal(one.record.frame(), other.record.frame(), check_row_order=False)
    assert_frame_equal(one.trials, other.trials)
    assert (one.path / "plan.yaml").read_bytes() == (other.path / "plan.yaml").read_bytes()
    for mine, yours in zip(one.result["stages"], other.result["stages"], strict=True):
        timed = mine["evidence"].keys() & {"seconds"}
        assert mine == {**yours, "evidence": yours["evidence"] | {key: mine["evidence"][key] for key in timed}}


def test_a_run_killed_in_its_search_and_again_in_its_final_training_ends_bit_identically(tmp_path: Path) -> None:
    table = tmp_path / "moons.csv"
    moons(500).write_csv(table)
    whole = run_recipe(Request(str(table), ("label",), budget=600.0, trials=8, out=tmp_path / "whole", settings=KILLED))
    for name in ("search-1", "final"):
        process = SERVER.Process(target=go_on, args=(str(table), tmp_path / "killed"))
        process.start()
        kill_at(tmp_path / "killed" / "checkpoints" / f"{name}.safetensors", process)
    assert not (tmp_path / "killed" / "model" / "weights.safetensors").exists()
    same_end(resume_run(tmp_path / "killed"), whole)


class Killed(BaseException):
    """As if the process had ended here."""


def test_a_run_stopped_in_every_stage_in_turn_says_and_does_what_an_undisturbed_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(progress: Progress) -> None:
        if progress.stage == stage:
            raise Killed

    monkeypatch.setattr(intake, "CELLS_A_SECOND", 20)  # so that not all rows fit into the budget
    frame = moons(500).with_columns(
        pl.when(pl.int_range(pl.len()) % 9 == 0).then(None).otherwise(pl.col("label")).alias("label")
    )
    request = Request(frame, ("label",), settings=SMALL, budget=60.0, out=tmp_path / "whole")
    whole = run_recipe(request)
    for stage in (stage for stage in STAGES if stage != "test"):  # which shows no progress
        with pytest.raises(Killed):
            if stage == STAGES[0]:
                run_recipe(replace(request, out=tmp_path / "stopped"), dies)
            else:
                resume_run(tmp_path / "stopped", dies)
    same_end(resume_run(tmp_path / "stopped"), whole)
    notes = whole.result["stages"][0]["evidence"]["notes"]
    assert "rows without a target left out" in " ".join(notes) and "200 of 500 rows were left out" in " ".join(notes)


def test_ctrl_c_ends_with_the_best_so_far_and_can_be_continued(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.stage == "final" and progress.fraction > 0.2 and not sent:
            sent.append(progress)
            signal.raise_signal(signal.SIGINT)

    sent: list[Progress] = []
    request = Request(moons(500), ("label",), trials=0, budget=600.0, out=tmp_path / "run", settings=KILLED)
    run = run_recipe(request, interrupt)
    assert run.result["interrupted"] and run.ensemble is not None and run.result["test"]["accuracy"] > 0.6
    assert "interrupted by the user" in run.result["stages"][7]["evidence"]["outcomes"][0]
    finished = resume_run(tmp_path / "run")
    assert not finished.result["interrupted"]
    assert resume_run(tmp_path / "run").result == finished.result
    same_end(finished, run_recipe(replace(request, out=tmp_path / "whole")))


def test_networks_that_diverge_are_a_result_with_findings(tmp_path: Path) -> None:
    hopeless = {"optimizer.name": "sgd", "optimizer.learning_rate": "1e6", "schedule.name": "constant"}
    run = fit(tmp_path, waves(), ("height",), trials=0, settings=hopeless)
    assert run.ensemble is None and run.result["test"] == {}
    assert "diverged" in run.result["stages"][7]["evidence"]["outcomes"][0]
    assert {finding.kind for finding in run.findings} & {"non-finite", "learning-rate-too-large", "exploding-gradient"}
