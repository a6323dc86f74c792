"""Rules on data: planted faults are found in several sets and seeds, and healthy data are left alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.metrics import roc_auc_score

from trainwell.base import InputError
from trainwell.diagnosis.data_case import data_case, hashes
from trainwell.diagnosis.data_forests import guess_out_of_bag, rows_for
from trainwell.diagnosis.data_measures import apart, auc, auc_error, by_chance, skill_of_input, skills_of_inputs
from trainwell.diagnosis.finding import Finding
from trainwell.diagnosis.rules_data import DATA_RULES, data_findings
from trainwell.plan import Plan

Rows = tuple[np.ndarray, np.ndarray]
Set = tuple[Any, Any, str]  # x, y, task
SEEDS = (0, 1, 2)
made_by: Any = datasets  # its own types allow lists


def bundled(name: str) -> Set:
    loaded: Any = getattr(datasets, f"load_{name}")()
    task = {"diabetes": "regression", "breast_cancer": "binary"}.get(name, "multiclass")
    return loaded.data, loaded.target, task


def classes(seed: int, **more: Any) -> Set:
    """Measured numbers and two classes that a forest learns well."""
    given = {"n_samples": 1200, "n_features": 12, "n_informative": 6, "flip_y": 0.0, "class_sep": 1.5, **more}
    x, y = made_by.make_classification(**given, random_state=seed)
    return x, y, "binary"


def numbers(seed: int) -> Set:
    x, y = made_by.make_friedman1(1000, noise=0.5, random_state=seed)
    return x, y, "regression"


def split(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[Rows, Rows]:
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = order[: len(x) * 4 // 5], order[len(x) * 4 // 5 :]
    return (x[train], y[train]), (x[test], y[test])


def found(kind: str, *given: Any, **more: Any) -> list[Finding]:
    return [finding for finding in data_findings(*given, **more) if finding.kind == kind]


def grave(findings: list[Finding]) -> list[str]:
    return [f"{finding.kind}: {finding.message}" for finding in findings if finding.severity != "info"]


SETS: dict[str, Callable[[int], Set]] = {
    "classes": classes,
    "numbers": numbers,
    "digits": lambda seed: bundled("digits"),
    "wine": lambda seed: bundled("wine"),
}


@pytest.mark.covers("P4")
@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
def test_bundled_sets_get_no_warning(name: str) -> None:
    x, y, task = bundled(name)
    train, test = split(x, y, 0)
    assert grave(data_findings(*train, task, test=test)) == []


def made(seed: int) -> dict[str, Set]:
    """Healthy sets of many sorts: easy and hopeless, discrete, one-hot, of one input, with heavy tails."""
    random = np.random.default_rng(seed)
    x, grid = random.normal(size=(600, 5)), random.integers(0, 4, (800, 6))
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 80, dtype=float)
    return {
        "moons": (*made_by.make_moons(500, noise=0.1, random_state=seed), "binary"),
        "blobs": (*made_by.make_blobs(500, centers=4, random_state=seed), "multiclass"),
        "uneven": classes(seed, weights=[0.9]),
        "five classes": (
            *made_by.make_classification(900, 20, n_informative=8, n_classes=5, random_state=seed),
            "multiclass",
        ),
        "random labels": (x, random.integers(0, 2, 600), "binary"),
        "random numbers": (x, random.normal(size=600), "regression"),
        "line": (x, (x[:, 0] + x[:, 1] > 0).astype(int), "binary"),
        "sine of one input": (x[:, :1], np.sin(3 * x[:, 0]), "regression"),
        "heavy tails": (x, x[:, 0] + random.standard_t(2, 600), "regression"),
        "exact line": (*made_by.make_regression(600, 8, random_state=seed), "regression"),
        "corners": (corners, np.array([0, 1, 1, 0] * 80), "binary"),
        "few values": (grid, (grid.sum(axis=1) > 9).astype(int), "binary"),
        "one-hot": (np.eye(4)[grid].reshape(800, -1), (grid.sum(axis=1) > 9).astype(int), "binary"),
        "two labels": (x, np.stack([x[:, 0] > 0, x[:, 1] > 1.5], axis=1).astype(int), "multilabel"),
    }


@pytest.mark.parametrize("name", list(made(0)))
def test_made_healthy_sets_get_no_warning(name: str) -> None:
    for seed in SEEDS[:2]:
        x, y, task = made(seed)[name]
        train, test = split(x, y, seed)
        assert grave(data_findings(*train, task, test=test, seed=seed)) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(SETS))
def test_copies_of_training_rows_in_the_test_part_are_found(name: str, seed: int) -> None:
    x, y, task = SETS[name](seed)
    (x_train, y_train), (x_test, y_test) = split(x, y, seed)
    copied = len(x_test) // 3
    test = np.concatenate([x_test, x_train[:copied]]), np.concatenate([y_test, y_train[:copied]])
    (finding,) = found("train-test-leak", x_train, y_train, task, test=test)
    assert finding.severity == "warning" and "test rows" in finding.message
    assert finding.evidence["twin_share"] == pytest.approx(copied / (len(x_test) + copied))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(SETS))
def test_an_input_made_from_the_target_is_found_by_its_name(name: str, seed: int) -> None:
    x, y, task = SETS[name](seed)
    if name == "wine":
        x = x[:, :2]  # all thirteen tell the class anyway
    scale = float(np.std(y))
    leaking = 3 * y + scale / 100 * np.random.default_rng(seed).normal(size=len(y))
    names = [*(f"input {i}" for i in range(x.shape[1])), "leaking"]
    findings = found("train-test-leak", np.column_stack([x, leaking]), y, task, names=names)
    if name == "digits":  # the pixels tell the class as well: no input alone is to blame
        assert findings == []
        return
    assert [finding.severity for finding in findings] == ["warning"]
    assert findings[0].evidence["inputs"] == "leaking" and "leaking gives" in findings[0].message


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(SETS))
def test_rows_that_stand_twice_are_found_and_told_as_the_cause_of_a_leak(name: str, seed: int) -> None:
    x, y, task = SETS[name](seed)
    twice = np.concatenate([np.arange(len(x)), np.arange(len(x) // 2)])
    train, test = split(x[twice], y[twice], seed)
    findings = data_findings(*train, task, test=test)
    assert {"duplicate-rows", "train-test-leak"} <= {f.kind for f in findings if f.severity == "warning"}
    leak = next(finding for finding in findings if finding.kind == "train-test-leak")
    assert leak.evidence["caused_by"] == "duplicate-rows"
    alone = found("duplicate-rows", *train, task)[0]
    assert alone.evidence["rows"] == len(train[0]) - len(np.unique(train[0], axis=0))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["classes", "numbers", "digits"])
def test_a_part_that_was_scaled_by_itself_has_drifted(name: str, seed: int) -> None:
    x, y, task = SETS[name](seed)
    (x_train, y_train), (x_test, y_test) = split(x, y, seed)
    moved = x_test.copy()
    worst = int(x_train.std(axis=0).argmax())
    moved[:, worst] += 3 * x_train[:, worst].std()
    (finding,) = found("data-drift", x_train, y_train, task, test=(moved, y_test))
    assert finding.severity == "warning" and str(finding.evidence["worst"]).startswith(f"x{worst} ")
    assert found("data-drift", x_train, y_train, task, test=(moved, y_test), drawn=("test",)) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["classes", "digits", "blobs"])
def test_wrong_labels_are_found_and_their_share_told(name: str, seed: int) -> None:
    blobs: Set = (*made_by.make_blobs(1500, centers=4, n_features=8, random_state=seed), "multiclass")
    x, y, task = blobs if name == "blobs" else SETS[name](seed)
    random, count = np.random.default_rng(seed), int(y.max()) + 1
    flipped = random.random(len(y)) < 0.15
    noisy = np.where(flipped, (y + random.integers(1, count, len(y))) % count, y)
    (finding,) = found("label-noise", x, noisy, task)
    assert finding.severity == "warning"
    assert finding.evidence["measured"] == pytest.approx(flipped.mean(), abs=0.04)
    assert found("label-noise", x, y, task) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_classes_that_overlap_are_not_wrong_labels(seed: int) -> None:
    many = made_by.make_classification(2000, 20, n_informative=8, n_classes=10, random_state=seed, flip_y=0)
    near = made_by.make_moons(1500, noise=0.4, random_state=seed)
    assert found("label-noise", *many, "multiclass") == [] and found("label-noise", *near, "binary") == []


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_far_from_where_they_belong_are_told(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(1500, 4))
    y = x[:, 0] * 3 + x[:, 1]
    moved = np.random.default_rng(seed + 1).random(1500) < 0.08
    assert found("label-noise", x, y, "regression") == []
    (finding,) = found("label-noise", x, np.where(moved, y + 20, y), "regression")
    assert finding.severity == "warning" and finding.evidence["measured"] == pytest.approx(moved.mean(), abs=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_class_that_nobody_would_miss_is_a_warning_and_one_that_is_learned_is_not(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, rare = random.normal(size=(3000, 6)), random.random(3000) < 0.03
    (hopeless,) = found("class-imbalance", x, rare.astype(int), "binary")
    assert hopeless.severity == "warning" and float(hopeless.evidence["missed"]) > 0.9
    (plain,) = found("class-imbalance", x + 4 * rare[:, None], rare.astype(int), "binary")
    assert plain.severity == "info" and float(plain.evidence["missed"]) < 0.2
    assert plain.evidence["measured"] == pytest.approx((~rare).sum() / rare.sum())


def test_one_in_two_hundred_is_a_warning_whatever_is_learned() -> None:
    rare = np.arange(2000) % 200 == 0
    x = np.random.default_rng(0).normal(size=(2000, 3)) + 9 * rare[:, None]
    (finding,) = found("class-imbalance", x, np.where(rare, "ill", "well"), "binary")
    assert finding.severity == "warning" and "Class well is 99.5%" in finding.message
    for remedy in finding.remedies[:2]:
        edited = Plan(task="binary").edited(remedy.change or {}, by="remedy", why=remedy.why)
        assert edited.get("loss.balance") == (remedy.change or {})["loss.balance"]


def test_one_to_ten_is_nothing_and_labels_that_are_rarely_given_are_an_information() -> None:
    x = np.random.default_rng(0).normal(size=(500, 3))
    assert found("class-imbalance", x, (np.arange(500) % 10 == 0).astype(int), "binary") == []
    labels = np.stack([np.arange(500) % 2 == 0, np.arange(500) % 50 == 0], axis=1).astype(int)
    (finding,) = found("class-imbalance", x, labels, "multilabel")
    assert finding.severity == "info" and finding.evidence["measured"] == pytest.approx(49)


def test_constant_inputs_are_told_by_name_and_are_grave_only_where_nothing_else_is_left() -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    x[:, 1] = 7
    y = (x[:, 0] > 0).astype(int)
    (finding,) = found("constant-input", x, y, "binary", names=("a", "b", "c"), constant=("d",))
    assert finding.severity == "info" and finding.evidence["names"] == "d, b" and finding.evidence["inputs"] == 4
    (finding,) = found("constant-input", np.ones((100, 3)), y, "binary")
    assert finding.severity == "warning"
    gaps = np.where(np.arange(100)[:, None] % 2 == 0, np.nan, 1.0)
    assert found("constant-input", gaps, y, "binary") == []  # where a value is missing is something
    assert found("constant-input", np.full((100, 1), np.nan), y, "binary")


def test_findings_are_the_same_again_and_say_their_threshold() -> None:
    x, y, task = classes(3, weights=[0.97], flip_y=0.05)
    x = np.column_stack([x, np.ones(len(x))])
    train, test = split(x, y, 0)
    given: dict[str, Any] = {
        "test": (np.concatenate([test[0], train[0][:90]]), np.concatenate([test[1], train[1][:90]]))
    }
    first, again = (data_findings(*train, task, **given) for _ in range(2))
    assert first == again and len(first) >= 3
    severities = [finding.severity for finding in first]
    assert severities == sorted(severities, key=["warning", "info"].index)
    for finding in first:
        assert finding.kind in DATA_RULES and finding.message.endswith(".") and finding.remedies
        assert {"figure", "measured", "threshold", "healthy"} <= set(finding.evidence)


def test_images_of_integers_words_as_classes_and_gaps_are_taken() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    assert grave(data_findings(images, np.repeat(["cat", "dog"], 30), "binary")) == []
    x, y, task = bundled("breast_cancer")
    x = np.where(np.random.default_rng(0).random(x.shape) < 0.1, np.nan, x)
    x[0, 0] = np.inf
    train, test = split(x, y, 0)
    assert grave(data_findings(*train, task, test=test)) == []


@pytest.mark.parametrize(
    ("x", "y", "task", "more", "told"),
    [
        (np.ones((3, 2)), np.ones(3), "clasification", {}, "Unknown task 'clasification'"),
        (np.array([["a"], ["b"]]), np.ones(2), "regression", {}, "x of train must be numbers, but is <U1"),
        (np.ones((3, 2)), np.ones(2), "regression", {}, "train has 3 rows of x and 2 of y"),
        (np.ones((3, 2)), np.ones(3), "regression", {"test": (np.ones((3, 4)), np.ones(3))}, "train has 2 and test 4"),
    ],
)
def test_wrong_input_is_refused_in_one_line(
    x: np.ndarray, y: np.ndarray, task: str, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told) as fault:
        data_findings(x, y, task, **more)
    assert "\n" not in str(fault.value)


def test_hardly_any_rows_are_no_reason_to_fail() -> None:
    for count in (0, 1, 2, 5):
        x, y = np.arange(2.0 * count).reshape(count, 2), np.arange(count) % 2
        assert grave(data_findings(x, y, "binary", test=(x[:1], y[:1]))) == []
        assert grave(data_findings(x, y.astype(float), "regression")) == []


def test_the_auc_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 9, 200).astype(float), random.random(200) < 0.3
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert auc(np.arange(10.0), np.arange(10) >= 5) == 1.0
    assert auc(np.zeros(10), np.arange(10) >= 5) == 0.5


def test_the_error_of_the_auc_is_that_of_drawn_ones() -> None:
    random = np.random.default_rng(0)
    drawn = [auc(random.normal(size=50), np.arange(50) < 20) for _ in range(2000)]
    assert auc_error(20, 30) == pytest.approx(np.std(drawn), rel=0.05)


def test_one_input_tells_what_functions_of_it_tell() -> None:
    x = np.random.default_rng(0).uniform(-3, 3, 2000)
    assert skill_of_input(x, np.sin(2 * x)) > 0.999
    assert skill_of_input(x, (np.sin(4 * x) > 0).astype(np.int64)) > 0.97
    assert abs(skill_of_input(x, np.random.default_rng(1).normal(size=2000))) < 0.6
    assert skill_of_input(np.ones(9), np.arange(9.0)) == 0.0
    two = np.array([0.0, 0, 0, 0, 1, 1, 1, 1])
    assert skill_of_input(two, np.array([0, 0, 0, 1, 1, 1, 1, 1])) == pytest.approx(
        1 - 1 / 3
    )  # one error, three by guess
    line = np.concatenate([[-1e3], np.arange(50.0), [1e3]])  # neighbours cannot guess the ends, a line can
    assert skill_of_input(line, 2 * line) < 0.5 and skills_of_inputs(line[:, None], 2 * line[:, None])[0] == 1.0


def test_inputs_of_two_parts_are_as_far_apart_as_kolmogorov_says() -> None:
    a, b = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[2.5], [3.5], [4.5], [5.5]])
    assert apart(a, b)[0] == 0.75 and apart(a, a)[0] == 0.0
    assert apart(a, np.full((3, 1), np.nan))[0] == 1.0


def test_equal_rows_have_equal_hashes_and_others_do_not() -> None:
    x = np.random.default_rng(0).integers(0, 3, (500, 4)).astype(np.float32)
    _, by_hash = np.unique(hashes(x), return_inverse=True)
    _, by_rows = np.unique(x, axis=0, return_inverse=True)
    pairs = {(int(a), int(b)) for a, b in zip(by_hash, by_rows.reshape(-1), strict=True)}
    assert len(pairs) == len(np.unique(x, axis=0))
    assert len(set(hashes(np.array([[0.0, np.nan], [-0.0, -np.nan], [0.0, 0.0]])).tolist())) == 2


def test_twins_meet_by_chance_where_inputs_have_few_values() -> None:
    random = np.random.default_rng(0)
    measured, few = random.normal(size=(500, 6)), random.integers(0, 4, (500, 6))
    measured[400:] = measured[:100]
    assert by_chance(measured, np.arange(400, 500), 0) == 0.0
    assert by_chance(few, np.arange(100), 0) > 0.9


def test_out_of_bag_guesses_are_honest() -> None:
    x, y = np.random.default_rng(0).normal(size=(600, 5)), np.arange(600) % 2
    blind, sighted = guess_out_of_bag(x, y, seed=0), guess_out_of_bag(x + 4 * y[:, None], y, seed=0)
    assert blind and abs(blind.skill) < 0.2
    assert sighted and sighted.skill > 0.98
    assert guess_out_of_bag(x, np.zeros(600, np.int64), seed=0) is None


def test_work_is_bounded_by_the_time_given() -> None:
    assert rows_for(10.0, 10) == 5_000 and rows_for(0.001, 10) == 300
    assert rows_for(0.1, 3_000) < rows_for(0.1, 10) < 5_000
    x = np.random.default_rng(0).normal(size=(8000, 4))
    assert len(data_case(x, x[:, 0] > 0, "binary", seconds=0.1).sample) == rows_for(0.1 / 3, 4)
