"""A stop loses nothing: whatever the moment, the resumed run ends bit for bit as one that was never stopped."""

import json
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

import trainwell.engine.checkpoint
from trainwell.base import RunError
from trainwell.base.files import previous
from trainwell.engine import Copy, Course, Edit, Mix, Stop, load_checkpoint, save_checkpoint, train
from trainwell.engine.checkpoint import SHARE, Saver
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
    for number in range(5):
        stops = sorted(draw.sample(range(1, 54), 3) + [10 if number < 2 else 11])  # also at the step of the change
        present = hard()
        for stop in stops:
            for moment in train(present):
                if moment.step == 10:
                    moment.send(Stop([1, 4], "culled"))
                if moment.step == stop:
                    save_checkpoint(present, path)
                    break
            present = hard()
            load_checkpoint(present, path)
        assert same_end(whole, finish(present)), stops


CHANGES = {
    "stop": Stop([2], "culled"),
    "edit": Edit([0, 3], "learning_rate", 0.5),
    "copy": Copy(source=1, target=4),
    "mix": Mix(3, {0: 0.25, 3: 0.75}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("before", [False, True])
def test_a_change_sent_at_the_step_that_is_saved_is_in_the_checkpoint(
    change: Any, before: bool, tmp_path: Path
) -> None:
    """Also when that step was saved `before` the change, and again after it."""
    whole, part, resumed = course(), course(), course()
    calm = course()
    saver = eager(part, tmp_path)
    for moment in train(whole):
        if moment.step == 9:
            moment.send(change)
    for moment in train(part):
        if moment.step == 9:
            if before:
                saver.save()
            moment.send(change)
            saver.save()
            break  # killed here
    saver.close()
    assert eager(resumed, tmp_path).load()
    for each in (resumed, calm):
        for _ in train(each):
            pass
    assert same_end(whole, resumed) and not same_end(whole, calm)


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
    "a bit of a weight changed": lambda whole: whole[:-2000] + bytes([whole[-2000] ^ 1]) + whole[-1999:],
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


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_saving(given: Course, saver: Saver, save: Callable[[], Any] | None = None, until: int | None = None) -> None:
    for moment in train(given, until=until):
        if moment.step == 10:
            moment.send(Stop([1, 4], "culled"))
        (save or saver.offer)()
    saver.close()


def eager(given: Course, folder: Path, **more: Any) -> Saver:
    return Saver({folder / "final.safetensors": given}, least=0.0, share=1e9, **more)


def test_a_training_ends_the_same_however_often_it_is_saved(tmp_path: Path) -> None:
    whole, saved_often = finish(hard()), hard()
    saver = eager(saved_often, tmp_path)
    run_saving(saved_often, saver, saver.save)
    assert saver.saves == saved_often.population.step and same_end(whole, saved_often)
    assert files(tmp_path) == ["final.previous.safetensors", "final.safetensors"]  # two, and nothing half written


def test_a_training_goes_on_from_what_was_saved_beside_its_steps(tmp_path: Path) -> None:
    whole, part, resumed = finish(hard()), hard(), hard()
    run_saving(part, eager(part, tmp_path), until=30)
    saver = eager(resumed, tmp_path)
    assert saver.load() and 0 < resumed.population.step <= 30
    run_saving(resumed, saver)
    assert same_end(whole, resumed)


def test_where_nothing_was_saved_nothing_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "final.partial").write_bytes(b"half")
    fresh = course()
    assert not eager(fresh, tmp_path).load()
    assert fresh.population.step == 0 and files(tmp_path) == []


@pytest.fixture(scope="module")
def saves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a course left that was saved after its steps 12 and 18."""
    given, folder = hard(), tmp_path_factory.mktemp("saves")
    saver = eager(given, folder)
    for step in (12, 18):
        for _ in train(given, until=step):
            pass
        saver.save()
    saver.close()
    return folder


@pytest.fixture
def twice_saved(saves: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return shutil.copytree(saves, tmp_path / "saved")


@pytest.fixture(scope="module")
def undisturbed() -> Course:
    """A course trained to its end."""
    given = hard()
    for _ in train(given):
        pass
    return given


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    damage: Any, twice_saved: Path, undisturbed: Course
) -> None:
    path, lines = twice_saved / "final.safetensors", []
    path.write_bytes(damage(path.read_bytes()))
    resumed = hard()
    saver = eager(resumed, twice_saved, say=lines.append)
    assert saver.load() and resumed.population.step == 12
    line = "The newest checkpoint 'final.safetensors' was damaged; the training goes on from the one before."
    assert lines == [line] and files(twice_saved) == ["final.safetensors"]  # what is kept next is not the damaged one
    for _ in train(resumed):
        saver.offer()
    saver.close()
    assert same_end(undisturbed, resumed)


def test_killed_between_two_renamings_nothing_is_lost_and_nothing_said(twice_saved: Path) -> None:
    (twice_saved / "final.safetensors").unlink()
    lines: list[str] = []
    resumed = hard()
    assert eager(resumed, twice_saved, say=lines.append).load()
    assert resumed.population.step == 12 and lines == [] and files(twice_saved) == ["final.safetensors"]


def test_when_both_checkpoints_are_damaged_the_user_is_told_so(twice_saved: Path) -> None:
    for path in twice_saved.iterdir():
        path.write_bytes(b"")
    with pytest.raises(RunError, match=r"^The checkpoint 'final.previous.safetensors' is damaged or of another run; "):
        eager(hard(), twice_saved).load()


def instead_of_writing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    write = trainwell.engine.checkpoint.save_file

    def patched(tensors: dict[str, torch.Tensor], name: Path, metadata: dict[str, str]) -> None:
        act()
        write(tensors, name, metadata)

    monkeypatch.setattr(trainwell.engine.checkpoint, "save_file", patched)


def test_steps_go_on_while_a_checkpoint_is_written_and_do_not_enter_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, given, resumed = threading.Event(), hard(), hard()
    instead_of_writing(monkeypatch, lambda: None if allowed.wait(10) else pytest.fail("never allowed"))
    saver = eager(given, tmp_path)
    for _ in train(given, until=5):
        pass
    saver.save()
    for _ in train(given, until=9):
        assert not saver.offer()  # one at a time
    assert files(tmp_path) == []
    allowed.set()
    saver.close()
    load_checkpoint(resumed, tmp_path / "final.safetensors")
    assert resumed.population.step == 5
    expected = hard()
    for _ in train(expected, until=5):
        pass
    assert resumed.population.theta.nan_to_num(0).equal(expected.population.theta.nan_to_num(0))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_an_error_in_the_background_is_raised_at_the_next_step(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise error

    given = course()
    save_checkpoint(given, tmp_path / "final.safetensors")
    instead_of_writing(monkeypatch, fails)
    saver = Saver({tmp_path / "final.safetensors": given})
    for _ in train(given, until=1):
        pass
    saver.save()
    deadline = time.monotonic() + 10
    full = "^A checkpoint could not be written: no space left on device; make room, and resume the run.$"
    with pytest.raises(RunError, match=full):
        while time.monotonic() < deadline:
            saver.offer()
    load_checkpoint(course(), tmp_path / "final.safetensors")  # the old one is whole


def test_a_fault_of_the_program_in_the_background_is_not_lost(tmp_path: Path) -> None:
    def beside() -> Callable[[], None]:
        return lambda: [][0]

    saver = eager(course(), tmp_path, beside=beside)
    saver.save()
    with pytest.raises(IndexError):
        saver.close()


def test_the_time_between_saves_follows_from_what_they_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = [100.0], course()
    monkeypatch.setattr(trainwell.engine.checkpoint.time, "monotonic", lambda: now[0])

    def takes_seconds(seconds: float) -> None:
        now[0] += seconds

    instead_of_writing(monkeypatch, lambda: takes_seconds(3.0))
    saver = Saver({tmp_path / "final.safetensors": given}, least=5.0)
    for seconds, due in ((4.9, False), (0.2, True), (3 / SHARE - 1, False), (2.0, True)):
        now[0] += seconds
        for _ in train(given, until=given.population.step + 1):
            pass
        assert saver.offer() == due
        saver.close()
    assert saver.saves == 2 and saver.written == 6.0 and saver.paused == 0.0


def test_only_courses_that_have_moved_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    instead_of_writing(monkeypatch, lambda: writes.append(1))
    here, there = course(), course()
    saver = Saver({tmp_path / "a.safetensors": here, tmp_path / "b.safetensors": there})
    saver.save()
    for _ in train(here, until=2):
        pass
    saver.save()
    there.end([0], "culled")  # an end without a step
    saver.save()
    saver.close()
    assert len(writes) == 4
    assert files(tmp_path) == [f"{n}{kind}.safetensors" for n in "ab" for kind in (".previous", "")]


def test_what_belongs_beside_a_checkpoint_is_written_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    instead_of_writing(monkeypatch, lambda: events.append("the file"))

    def beside() -> Callable[[], None]:
        events.append(threading.current_thread().name)
        return lambda: events.append(threading.current_thread().name)

    saver = eager(course(), tmp_path, beside=beside)
    saver.save()
    saver.close()
    assert events == [threading.main_thread().name, "checkpoint", "the file"]  # the threads' names
    assert previous(tmp_path / "final.safetensors").name == "final.previous.safetensors"


def test_gradients_that_the_next_step_is_compared_with_are_in_the_checkpoint(tmp_path: Path) -> None:
    def shown(given: Course) -> list[torch.Tensor]:
        moments = [moment for moment in train(given, until=5, wants_layers=lambda step: step == 5)]
        assert moments[-1].gradients is not None
        return list(moments[-1].gradients)

    part, resumed = course(), course()
    for moment in train(part, wants_layers=lambda step: step == 5):
        if moment.step == 4:
            save_checkpoint(part, tmp_path / "x")
            break
    load_checkpoint(resumed, tmp_path / "x")
    for one, other in zip(shown(course()), shown(resumed), strict=True):
        assert torch.equal(one, other)
