"""Wrong input fails on entry: one line that says how to mend it, nothing half-written."""

from pathlib import Path

import polars as pl
import pytest

from tests.recipe.tables import moons
from trainwell.base import BudgetError, DataError, InputError, PlanError, RunError
from trainwell.plan import Plan
from trainwell.recipe import Request, load_run, parse_budget, resume_run, run_recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", "'abc' is not a duration; write 60s"),
        ("-5s", "must be at least 1 second"),
        ("0s", "at least 1 second"),
        ("5 parsecs", "not a duration"),
    ],
)
def test_a_wrong_budget_is_told_apart(text: str, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        parse_budget(text)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"targets": ("lable",)}, DataError, "Did you mean 'label'"),
        ({"settings": {"learning_rat": "1"}}, PlanError, "unknown key 'learning_rat'. Did you mean 'learning_rate'"),
        ({"settings": {"depth": "deep"}}, PlanError, "network.depth = 'deep'"),
        ({"settings": {"activation": "rellu"}}, PlanError, "Unknown activation 'rellu'. Did you mean 'relu'"),
        ({"settings": {"batch_size": "100000"}}, InputError, "for only 256 training rows; choose from 1 to 256"),
        ({"settings": {"data.folds": "1"}}, InputError, "must be 0 .* or from 2 to 160"),
        ({"settings": {"loss.name": "mse"}}, PlanError, "loss mse .* binary"),
        (
            {"settings": {"optimizer.rho": "0.5"}},
            PlanError,
            "rho = 0.5 has no use: adamw has no such value; adadelta has",
        ),
        ({"settings": {"schedule.floor": "2"}}, PlanError, "input should be less than 1 .≥ 0 and < 1."),
        (
            {"settings": {"norm": "group", "groups": "7"}},
            InputError,
            "7 does not divide 64. Use 1, 2, 4, 8, 16, 32, 64",
        ),
        ({"settings": {"initialiser.name": "orthogonal", "fan": "in"}}, PlanError, "so 'in' says nothing here"),
        (
            {"settings": {"initialiser.name": "dropout_adjusted", "activation": "maxout"}},
            PlanError,
            "dropout_adjusted needs a φ of one argument, but maxout has several",
        ),
        (
            {"settings": {"class_weights": "{upp: 2}"}},
            PlanError,
            "no class 'upp'. Did you mean 'up'. Classes: down, up",
        ),
        ({"trials": -1}, BudgetError, "must be 0"),
        ({"budget": -5.0}, BudgetError, "above 0"),
        ({"test_size": 1.5}, DataError, "from 0 to below 1"),
        ({"device": "gpu7"}, InputError, "Device 'gpu7' is not available"),
        ({"test": moons(40).drop("label")}, DataError, "has no column 'label'"),
        ({"test": moons(40).with_columns(label=pl.lit("sideways"))}, DataError, "class 'sideways'"),
        ({"test": moons(40).drop("x")}, DataError, "'x'"),
    ],
)
def test_a_wrong_request_writes_nothing(more: dict, error: type[Exception], message: str, tmp_path: Path) -> None:
    request = Request(**{"data": moons(), "targets": ("label",), "out": tmp_path / "run", "budget": 5.0, **more})
    with pytest.raises(error, match=message) as raised:
        run_recipe(request)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")
    with pytest.raises(RunError, match="in use: it is not empty; name another folder"):
        run_recipe(Request(moons(), ("label",), out=tmp_path / "run", budget=5.0))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        run_recipe(Request(moons(), ("label",), out=tmp_path / "file", budget=5.0))
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["precious.txt"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    settings = {"training.epochs": "2", "ensemble.members": "1", "data.folds": "0"}
    run_recipe(Request(moons(), ("label",), out=out, budget=30.0, trials=0, settings=settings))
    return out


def damaged(finished: Path, tmp_path: Path, name: str, content: bytes | None) -> Path:
    copy = tmp_path / "copy"
    for path in finished.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(finished)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    return copy


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("result.json", b"{", "damaged"),
        ("result.json", b"[]", "damaged"),
        ("result.json", b'{"format": 99, "version": "9.9"}', "written by trainwell 9.9, which is newer; upgrade"),
        ("model/weights.safetensors", b"junk", "damaged"),
        ("model/blueprint.json", b"{}", "damaged"),
        ("model/blueprint.json", b'{"format": 2, "kind": "dense"}', "newer trainwell"),
        ("model/preparation.json", b"{", "damaged|preparation"),
        ("findings.jsonl", b"{broken\n", "findings"),
        ("trials.parquet", b"junk", "incomplete or damaged"),
        ("vitals.parquet", None, "incomplete or damaged"),
        ("plan.yaml", b"version: 7\n", "version 7 is not known"),
    ],
)
def test_a_damaged_or_newer_run_is_told(
    finished: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        load_run(damaged(finished, tmp_path, name, content))
    assert "\n" not in str(raised.value)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run directory"):
        load_run(tmp_path / "nothing")
    with pytest.raises(RunError, match="not a run directory"):
        load_run(tmp_path)
    with pytest.raises(RunError, match="not a run directory"):
        resume_run(tmp_path)


def test_a_damaged_journal_is_told(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="journal .* is damaged"):
        resume_run(damaged(finished, tmp_path, "checkpoints/journal.json", b"{"))
    with pytest.raises(RunError, match="journal has format 9"):
        resume_run(damaged(finished, tmp_path / "newer", "checkpoints/journal.json", b'{"format": 9, "entries": {}}'))


def test_predicting_without_a_column_or_with_another_type_is_told(finished: Path) -> None:
    run = load_run(finished)
    with pytest.raises(DataError, match="'x'"):
        run.predict(moons(10).drop("x"))
    with pytest.raises(DataError, match="'x'.*'word'"):
        run.predict(moons(10).with_columns(x=pl.lit("word")))
    assert len(run.predict(moons(10).with_columns(colour=pl.lit("never seen")))) == 10


def test_a_plan_file_with_an_unknown_key_or_a_wrong_type_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("optimizer: {learning_rat: 0.1}\n")
    with pytest.raises(PlanError, match="unknown key 'optimizer.learning_rat'. Did you mean 'optimizer.learning_rate'"):
        Plan.from_yaml(path)
    path.write_text("training: {epochs: many}\n")
    with pytest.raises(PlanError, match="training.epochs = 'many'"):
        Plan.from_yaml(path)
