import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks import resume
from benchmarks.resume import Trial, end_of, kill_all, killed, rows_of, schedule
from benchmarks.resume_programs import PLANS, WHOLE, Program
from trainwell.engine.checkpoint import Saver


def test_what_the_issue_names_is_among_the_plans() -> None:
    names = " ".join([*PLANS, *WHOLE])
    for wanted in ("early stopping", "halving", "dropout", "batch norm", "plateau", "restarts", "muon", "search"):
        assert wanted in names


def test_every_plan_has_its_turn_and_every_fourth_is_the_whole_recipe() -> None:
    names = schedule(200)
    assert len(names) == 200 and set(names) == {*PLANS, *WHOLE}
    assert sum(name in WHOLE for name in names) == 50


def test_a_training_is_killed_resumed_and_compared() -> None:
    (trial,) = kill_all(["halving"])
    assert trial.kills >= 1 and trial.differs == ()


def short(name: str) -> Program:
    """The program of a plan with fewer steps."""
    whole = PLANS[name]
    assert isinstance(whole, partial)
    (given,) = whole.args
    cases = [replace(c, edits={**c.edits, "training.epochs": 40}) for c in (given if name == "halving" else [given])]
    return partial(whole.func, cases if name == "halving" else cases[0])


@pytest.mark.parametrize("name", ["early stopping", "halving"])
def test_an_end_depends_on_the_plan_and_not_on_checkpoints(name: str, tmp_path: Path) -> None:
    folders = [tmp_path / "with", tmp_path / "without", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    saved, unsaved = (short(name)(folder, folder.name == "with") for folder in folders[:2])
    other = short("running average")(folders[2], False)
    assert saved == unsaved
    assert list(folders[0].glob("*.safetensors")) and not list(folders[1].glob("*.safetensors"))
    assert saved["0 best.theta"] != other["0 best.theta"]


def test_a_resume_that_forgets_something_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Saver.load

    def forgetful(saver: Saver) -> bool:
        found = load(saver)
        for course in saver._courses.values():
            course.population.state["m"].zero_()
        return found

    class Killed(Exception):
        pass

    def stops(saver: Saver) -> bool:
        saver.save()
        if saver.saves == 50:
            saver.close()
            raise Killed
        return True

    program, whole = short("restarts"), tmp_path / "whole"
    whole.mkdir()
    end = program(whole, False)
    for load_as, same in ((load, True), (forgetful, False)):
        folder = tmp_path / str(same)
        folder.mkdir()
        monkeypatch.setattr(Saver, "offer", stops)
        with pytest.raises(Killed):
            program(folder, True)
        monkeypatch.undo()
        monkeypatch.setattr(Saver, "load", load_as)
        assert (program(folder, False) == end) == same
        monkeypatch.undo()


def test_kills_that_come_too_late_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, folders = [False, True, True, False], []

    def in_child(name: str, folder: Path, *, killed_after: float | None) -> tuple[bool, float]:
        folders.append(folder)
        (folder / "end.json").write_text('{"weights": "a", "trials": "c"}')
        if len(folders) == 2:
            (folder / "course.partial").touch()
            (folder / "course.safetensors").touch()
        elif (folder / "course.partial").exists():
            (folder / "course.partial").unlink()
        return answers[len(folders) - 1], 1.0

    monkeypatch.setattr(resume, "in_child", in_child)
    monkeypatch.setattr(resume, "KILLS", (2,))
    trial = killed("some plan", 0, ({"weights": "a", "vitals": "b", "trials": "b"}, 1.0))
    assert trial == Trial("some plan", 2, 2, 1, ("vitals", "trials"))
    assert len(set(folders)) == 2 and folders[1] == folders[3]  # anew after the first, which was not killed in time


def test_a_training_that_cannot_be_resumed_is_a_row_not_the_end_of_the_benchmark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def in_child(name: str, folder: Path, *, killed_after: float | None) -> tuple[bool, float]:
        if killed_after is None:
            raise RuntimeError("the journal is damaged")
        return True, 1.0

    monkeypatch.setattr(resume, "in_child", in_child)
    monkeypatch.setattr(resume, "KILLS", (2,))
    assert killed("some plan", 0, ({}, 1.0)) == Trial("some plan", 2, 0, 0, ("the journal is damaged",))


def test_rows_are_sums_over_a_plans_trials() -> None:
    trials = [Trial("a", 1, 1, 0, ()), Trial("b", 3, 2, 1, ("weights",)), Trial("a", 2, 0, 1, ())]
    rows = rows_of(trials)
    counts = {"kills": 3, "killed_after_a_checkpoint": 1, "killed_while_writing": 1}
    assert rows[0] == {"plan": "a", "trials": 2, **counts, "identical": 2, "differs": []}
    assert (rows[1]["identical"], rows[1]["differs"]) == (0, ["weights"])


def test_bars_hold_ends_and_cost_against_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    monkeypatch.setattr(resume, "cost_row", lambda seconds, members: {"plan": "long", "time_share": 0.019})
    monkeypatch.setattr(
        resume,
        "kill_all",
        lambda names: [Trial(n, draw.randint(1, 3), 0, 0, ("weights",) * (n == "muon")) for n in names],
    )
    monkeypatch.setenv("TRAINWELL_SAVE_EVERY", "5")
    rows, bars = resume.measure(40, 1.0, 64)
    assert [(bar.value, bar.target, bar.met) for bar in bars] == [(38, 40, False), (0.019, 0.02, True)]
    assert rows[-1]["plan"] == "long" and sum(row.get("trials", 0) for row in rows) == 40


def test_a_child_that_fails_is_an_error_not_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"^The training 'no such plan' took too long or failed, with 1: "):
        resume.in_child("no such plan", tmp_path)
    assert not (tmp_path / "end.json").exists()
    with pytest.raises(FileNotFoundError):
        end_of(tmp_path)


def test_the_whole_recipe_begins_anew_or_goes_on_as_the_kill_demands(tmp_path: Path) -> None:
    name = "fit: search"
    assert resume.in_child(name, tmp_path, killed_after=0.01)[0]  # before the request is in the journal
    assert resume.in_child(name, tmp_path, killed_after=0.8)[0] or (tmp_path / "end.json").exists()
    assert not resume.in_child(name, tmp_path)[0]
    assert {"weights", "trials", "vitals", "figures", "plan"} == set(end_of(tmp_path))
