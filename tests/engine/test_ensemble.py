"""Trained members together: the mean of their predictions, and their files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import trainwell.engine.ensemble
from trainwell.base import RunError
from trainwell.data.batches import Samples
from trainwell.engine import Course, Ensemble, train
from trainwell.testing.members import Case


@pytest.fixture(scope="module")
def course() -> Course:
    case = Case("all", {"network.norm": "batch", "network.residual": True}, (4, 9), regularisers=("dropout",))
    given = case.course(range(5), dtype=torch.float32)
    for _ in train(given, until=9):
        pass
    return given


@pytest.fixture
def ensemble(course: Course) -> Ensemble:
    return Ensemble.of(course, [3, 0, 4])


@pytest.mark.covers("B10")
def test_an_ensemble_predicts_the_mean_of_its_members_probabilities(course: Course, ensemble: Ensemble) -> None:
    samples = course.feed.samples
    each = torch.stack([torch.softmax(ensemble.member(m)(samples.x, samples.categories), 1) for m in range(3)])
    torch.testing.assert_close(ensemble.member_predictions(samples), each.detach(), rtol=1e-4, atol=1e-6)
    mean = each.detach().mean(0)
    torch.testing.assert_close(ensemble.predict(samples), mean, rtol=1e-4, atol=1e-6, check_dtype=False)
    assert len(ensemble) == 3 and ensemble.predict(samples).shape == (60, 3)


def test_its_members_are_the_best_weights_of_those_chosen(course: Course, ensemble: Ensemble) -> None:
    assert ensemble.theta.equal(course.best.theta[[3, 0, 4]])
    assert ensemble.hypers == tuple({"dropout": course.plans[m].regularisation.dropout} for m in (3, 0, 4))
    course.best.theta[3, 0] += 1
    assert not ensemble.theta[0].equal(course.best.theta[3])
    course.best.theta[3, 0] -= 1


def test_predicting_in_chunks_is_predicting_at_once(
    course: Course, ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ensemble.predict(course.feed.samples)
    monkeypatch.setattr(trainwell.engine.ensemble, "LARGEST_SIGNAL", 7 * 3 * 16)
    torch.testing.assert_close(ensemble.predict(course.feed.samples), whole)


def test_no_rows_give_no_predictions(course: Course, ensemble: Ensemble) -> None:
    samples = course.feed.samples
    assert ensemble.predict(Samples(samples.x[:0], samples.categories[:0])).shape == (0, 3)


def test_an_ensemble_reads_back_equal_and_without_a_pickle(course: Course, ensemble: Ensemble, tmp_path: Path) -> None:
    ensemble.save(tmp_path / "model")
    again = Ensemble.load(tmp_path / "model")
    assert again.blueprint == ensemble.blueprint and again.hypers == ensemble.hypers
    assert again.theta.equal(ensemble.theta) and again.statistics.equal(ensemble.statistics)
    assert again.predict(course.feed.samples).equal(ensemble.predict(course.feed.samples))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["blueprint.json", "weights.safetensors"]
    assert json.loads((tmp_path / "model" / "blueprint.json").read_text())["format"] == 1


def change(**values: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "blueprint.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return apply


SICK: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "incomplete or damaged; train it again or resume"),
    "no blueprint": (lambda f: (f / "blueprint.json").unlink(), "incomplete or damaged"),
    "weights cut": (lambda f: (f / "weights.safetensors").write_bytes(b"123"), "incomplete or damaged"),
    "blueprint not JSON": (lambda f: (f / "blueprint.json").write_text("{"), "incomplete or damaged"),
    "blueprint a list": (lambda f: (f / "blueprint.json").write_text("[]"), "incomplete or damaged"),
    "blueprint empty": (lambda f: (f / "blueprint.json").write_text("{}"), "incomplete or damaged"),
    "newer": (change(format=2), "was written by a newer trainwell; upgrade with 'pip install -U trainwell'"),
    "another kind": (change(kind="convolutional"), "was written by a newer trainwell"),
    "other width": (change(width=17), "damaged: its weights do not fit its blueprint; train it again"),
    "other members": (change(hypers=[{}]), "damaged: its weights do not fit its blueprint"),
    "other norm": (change(norm="layer"), "damaged: its weights do not fit its blueprint"),
    "unknown activation": (change(activation="rleu"), "incomplete or damaged"),
    "unknown output": (change(output="hardmax"), "damaged: its weights do not fit its blueprint"),
    "unknown key": (change(colour="red"), "incomplete or damaged"),
    "depth a word": (change(depth="two"), "incomplete or damaged"),
}


@pytest.mark.parametrize(("damage", "sentence"), SICK.values(), ids=list(SICK))
def test_a_damaged_model_is_named_with_the_way_out(
    damage: Callable[[Path], object], sentence: str, ensemble: Ensemble, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    ensemble.save(folder)
    damage(folder)
    with pytest.raises(RunError, match=sentence) as caught:
        Ensemble.load(folder)
    assert str(caught.value).startswith(f"The model in '{folder}' ") and "\n" not in str(caught.value)
