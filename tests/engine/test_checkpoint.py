"""A stop loses nothing: whatever the moment, the resumed run ends bit for bit as one that was never stopped."""

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import trainwell.engine.checkpoint
from trainwell.base import RunError
from trainwell.engine import Course, Stop, load_checkpoint, save_checkpoint, train
from trainwell.testing.members import Case

SICK = "^The checkpoint 'final.safetensors' is damaged or of another run; delete it to train that part anew.$"


def course(case: Case | None = None, k: int = 6, **edits: object) -> Course:
    case = case or Case("plain")
    plans = [case.plan(m).edited(edits, by="user", why="test") for m in range(k)]
    return case.course(range(k), plans, dtype=torch.float32)


def hard(k: int = 6) -> Course:
    """All that a later step may depend on: dropout, batch norm, early stopping, a diverging member, own batches."""
    edits: dict[str, object] = {"network.norm": "batch", "schedule.name": "one-cycle"}
    case = Case("hard", edits, (4,), own_batches=True, regularisers=("dropout", "clip_norm"))
    plans = [case.plan(m).edited({"training.patience": 1}, by="user", why="test") for m in range(k)]
    plans[2] = plans[2].edited({"learning_rate": 1e37}, by="user", why="to diverge")
    return case.course(range(k), plans, dtype=torch.float32)


def finish(given: Course, culled_at: int = 10) -> Course:
    for moment in train(given):
        if moment.step == culled_at:
            moment.send(Stop([1, 4], "culled"))
    return given


def same_end(one: Course, other: Course) -> bool:
    tensors = other.best.tensors()
    return one.outcomes == other.outcomes and all(t.equal(tensors[name]) for name, t in one.best.tensors().items())


def test_killed_again_and_again_at_random_steps_the_run_ends_the_same(tmp_path: Path) -> None:
    whole, draw, path = finish(hard()), random.Random(0), tmp_path / "final.safetensors"
    kinds = {outcome.kind for outcome in whole.outcomes}
    assert {"culled", "stopped-early", "diverged"} <= kinds, kinds
    for _ in range(5):
        present, stops = hard(), sorted(draw.sample(range(1, 54), 4))
        for stop in stops:
            for moment in train(present):
                if moment.step == stop:
                    save_checkpoint(present, path)
                    break
                if moment.step == 10:
                    moment.send(Stop([1, 4], "culled"))
            if path.exists():
                present = hard()
                load_checkpoint(present, path)
        if 10 in stops:
            continue  # a change that was asked for and not yet made is not part of the course
        assert same_end(whole, finish(present)), stops


def test_the_matrix_itself_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, part = hard(), hard()
    for moment in train(part):
        if moment.step == 17:
            save_checkpoint(part, tmp_path / "x")
            break
    resumed = hard()
    load_checkpoint(resumed, tmp_path / "x")
    assert resumed.population.step == 17
    for _ in train(whole, until=25):
        pass
    for _ in train(resumed, until=25):
        pass
    assert set(whole.tensors()) == set(resumed.tensors())
    for name, tensor in whole.tensors().items():  # NaN, too, of the member that diverged
        torch.testing.assert_close(resumed.tensors()[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_edited_hyperparameters_are_in_the_checkpoint(tmp_path: Path) -> None:
    given = course()
    given.population.edit(torch.tensor([2]), "dropout", 0.4)
    given.population.edit(torch.tensor([3]), "clip_norm", 0.1)
    given.population.edit(torch.tensor([0]), "learning_rate", 0.5)
    save_checkpoint(given, tmp_path / "x")
    resumed = course()
    load_checkpoint(resumed, tmp_path / "x")
    for each in (given, resumed):
        for _ in train(each, until=4):
            pass
    assert given.population.theta.equal(resumed.population.theta)


def test_a_course_whose_members_have_all_ended_is_saved_too(tmp_path: Path) -> None:
    ended, resumed = finish(course()), course()
    save_checkpoint(ended, tmp_path / "x")
    load_checkpoint(resumed, tmp_path / "x")
    assert not resumed.running and same_end(ended, resumed) and list(train(resumed)) == []


def test_notes_come_back_as_they_were(tmp_path: Path) -> None:
    notes: dict[str, Any] = {"elapsed": 3.25, "stage": "größer", "rungs": [1, 2], "none": None}
    save_checkpoint(course(), tmp_path / "x", **notes)
    assert load_checkpoint(course(), tmp_path / "x") == notes


def test_a_checkpoint_is_the_old_one_or_the_new_one_never_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, path = course(), tmp_path / "final.safetensors"
    save_checkpoint(given, path)
    before = path.read_bytes()

    def dies_half_way(tensors: dict[str, torch.Tensor], name: Path, metadata: dict[str, str]) -> None:
        name.write_bytes(before[: len(before) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(trainwell.engine.checkpoint, "save_file", dies_half_way)
    for _ in train(given, until=1):
        pass
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(given, path)
    assert path.read_bytes() == before
    load_checkpoint(course(), path)


def saved(tmp_path: Path, given: Course) -> Path:
    path = tmp_path / "final.safetensors"
    save_checkpoint(given, path)
    return path


DAMAGE = {
    "empty": lambda whole: b"",
    "cut in the header": lambda whole: whole[:50],
    "cut in the middle": lambda whole: whole[: len(whole) // 2],
    "cut by a byte": lambda whole: whole[:-1],
    "zeros": lambda whole: bytes(len(whole)),
    "text": lambda whole: b"not a checkpoint\n" * 99,
    "a huge header": lambda whole: b"\xff" * 8 + whole[8:],
    "a byte of the header changed": lambda whole: whole[:9] + b"\x00" + whole[10:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_checkpoint_is_named_with_the_way_out(damage: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, course())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=SICK):
        load_checkpoint(course(), path)


def test_a_checkpoint_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=SICK):
        load_checkpoint(course(), tmp_path / "final.safetensors")
    (tmp_path / "final.safetensors").mkdir()
    with pytest.raises(RunError, match=SICK):
        load_checkpoint(course(), tmp_path / "final.safetensors")


OTHERS = {
    "more members": lambda: course(k=8),
    "fewer members": lambda: course(k=4),
    "another width": lambda: course(Case("wide", {"network.width": 20})),
    "another norm": lambda: course(Case("norm", {"network.norm": "batch"})),
    "another optimizer": lambda: course(Case("sgd", {"optimizer.name": "momentum"})),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_a_checkpoint_of_another_course_is_refused(other: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, other())
    with pytest.raises(RunError, match=SICK):
        load_checkpoint(course(), path)


def test_tensors_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "final.safetensors"
    save_file({"theta": torch.zeros(2, 3)}, path)
    with pytest.raises(RunError, match=SICK):
        load_checkpoint(course(), path)
    outcomes = json.dumps([asdict(outcome) for outcome in course().outcomes])
    save_file(course().tensors(), path, {"outcomes": outcomes})
    with pytest.raises(RunError, match=SICK):
        load_checkpoint(course(), path)
