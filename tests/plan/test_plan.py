"""The plan: reads back equal, keeps who chose what and why, and answers a wrong file in one line."""

import string
from math import isinf
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from trainwell.base import Hyper, PlanError
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, LOSSES, NORMS, OPTIMIZERS, REGULARISERS, SCHEDULES
from trainwell.plan import NAMED, Plan, hypers, paths, resolve
from trainwell.plan.plan import STANDARD

positive = st.floats(1e-300, 1e300)
fraction = st.floats(0, 1, exclude_max=True)
count = st.integers(1, 10**9)
columns = st.dictionaries(st.text(max_size=6), st.sampled_from(["number", "category", "text"]), max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "task": st.sampled_from(["auto", "binary", "multiclass", "multilabel", "regression"]),
    "seed": st.integers(0, 2**63 - 1),
    "data.columns": columns,
    "data.encoding": st.sampled_from(["plain", "piecewise-linear"]),
    "data.bins": st.integers(2, 256),
    "data.one_hot_limit": st.integers(2, 10**6),
    "data.validation_size": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "data.folds": st.integers(0, 50),
    "network.depth": st.integers(0, 64),
    "network.width": count,
    "network.activation": st.sampled_from(list(ACTIVATIONS)),
    "network.norm": st.sampled_from(list(NORMS)),
    "network.norm_place": st.sampled_from(["before", "after"]),
    "network.weight_norm": st.sampled_from(["none", "weight", "centred"]),
    "network.residual": st.booleans(),
    "initialiser.name": st.sampled_from(["auto", *INITIALISERS]),
    "initialiser.gain": positive,
    "initialiser.activation_gain": st.booleans(),
    "initialiser.fan": st.sampled_from(["auto", "in", "out", "avg"]),
    "initialiser.bias": st.floats(allow_nan=False, allow_infinity=False),
    "loss.name": st.sampled_from(["auto", *LOSSES]),
    "loss.class_weights": st.dictionaries(st.text(max_size=6), positive, max_size=3),
    "optimizer.name": st.sampled_from(list(OPTIMIZERS)),
    "optimizer.learning_rate": positive,
    "optimizer.weight_decay": st.floats(0, 1e300),
    "optimizer.epsilon_place": st.sampled_from(["auto", "outside", "inside"]),
    "schedule.name": st.sampled_from(list(SCHEDULES)),
    "schedule.warmup": fraction,
    "regularisation.dropout": fraction,
    "training.batch_size": count,
    "training.epochs": count,
    "training.patience": count,
    "training.evaluations_per_epoch": st.integers(1, 100),
    "training.precision": st.sampled_from(["auto", "float32", "bfloat16"]),
    "training.drop_last": st.booleans(),
    "search.trials": st.integers(0, 10**6),
    "search.reduction": st.integers(2, 100),
    "search.rungs": count,
    "ensemble.members": count,
}


def within(hyper: Hyper) -> st.SearchStrategy[Any]:
    """None, or numbers in the range of a hyperparameter."""
    if hyper.whole:
        return st.none() | st.integers(int(hyper.least or 0), int(hyper.most or 10**6))
    low, high = (
        (hyper.least if hyper.above is None else hyper.above),
        (hyper.most if hyper.below is None else hyper.below),
    )
    given: Any = {"exclude_min": hyper.above is not None, "exclude_max": hyper.below is not None}
    return st.none() | st.floats(low, high, allow_nan=False, allow_infinity=False, **given)


def is_number(value: object) -> bool:
    return value is not None


for path, name in hypers().items():
    VALUES[path] = within(NAMED[name].hypers[path.partition(".")[2]])
for name, regulariser in REGULARISERS.items():
    strength = within(regulariser.hyper)
    VALUES.setdefault(f"regularisation.{name}", strength if isinf(regulariser.off) else strength.filter(is_number))
one_edit = st.sampled_from(list(VALUES)).flatmap(lambda path: st.tuples(st.just(path), VALUES[path]))
edits = st.lists(
    st.tuples(one_edit, st.sampled_from(["user", "data", "search", "remedy"]), st.text(max_size=9)), max_size=8
)
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def test_every_value_of_the_plan_is_tried_here() -> None:
    assert set(VALUES) == set(paths())


def edited(changes: list[tuple[tuple[str, Any], Any, str]]) -> Plan:
    plan = Plan()
    for (path, value), by, why in changes:
        plan = plan.edited({path: value}, by=by, why=why)
    return plan


@pytest.mark.covers("H1")
@quick
@given(edits)
def test_a_plan_reads_back_equal_from_its_text_with_who_chose_what_and_why(changes: list) -> None:
    plan = edited(changes)
    again = Plan.from_yaml(plan.to_yaml())
    assert again == plan and again.origins == plan.origins
    assert again.to_yaml() == plan.to_yaml()


def test_a_plan_reads_back_equal_from_its_file(tmp_path: Path) -> None:
    plan = Plan(seed=7).edited({"data.columns": {"größe": "number"}}, by="user", why="weil es so ist")
    text = plan.to_yaml(tmp_path / "plan.yaml")
    assert Plan.from_yaml(tmp_path / "plan.yaml") == Plan.from_yaml(str(tmp_path / "plan.yaml")) == plan
    assert (tmp_path / "plan.yaml").read_text(encoding="utf-8") == text and "größe" in text


@pytest.mark.covers("H1")
def test_the_file_names_every_value_and_who_chose_it() -> None:
    tree = yaml.safe_load(Plan().edited({"epochs": 3}, by="data", why="few rows").to_yaml())
    assert list(tree["origins"]) == list(paths())
    assert tree["origins"]["training.epochs"] == {"by": "data", "why": "few rows"}
    assert tree["origins"]["seed"]["by"] == "default" and tree["version"] == 1


@quick
@given(edits)
def test_an_edit_changes_its_values_alone_and_leaves_the_old_plan_as_it_was(changes: list) -> None:
    before, last = edited(changes), {path: (by, why) for (path, _), by, why in changes}
    values = {path: value for (path, value), _, _ in changes}
    for path in paths():
        assert before.get(path) == values.get(path, Plan().get(path))
        origin = before.origin(path)
        assert (origin.by, origin.why) == last.get(path, (STANDARD.by, STANDARD.why))
        assert before.chosen_by_user(path) == (origin.by == "user")
    copy = before.model_copy(deep=True)
    before.edited({"seed": 1, "network.width": 3, "data.columns": {"a": "text"}}, by="remedy", why="other")
    assert before == copy


def test_a_plan_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Plan().seed = 3
    with pytest.raises(ValueError, match="frozen"):
        Plan().optimizer.learning_rate = 3


def test_values_a_file_names_are_the_users_and_the_others_stay_open() -> None:
    plan = Plan.from_yaml("network:\n  width: 128\nseed: 0\n")  # both as they are by default
    assert plan.chosen_by_user("network.width") and plan.chosen_by_user("seed")
    assert plan.origin("network.depth").by == "default" and "network.depth" not in plan.origins


def test_an_origin_given_in_the_file_is_kept() -> None:
    text = "seed: 3\norigins:\n  seed: {by: search, why: luck}\n"
    assert Plan.from_yaml(text).origin("seed").by == "search"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("optimizer: {learning_rate: 1e-3}\n", "optimizer.learning_rate", 1e-3),
        ("optimizer: {learning_rate: 0.25}", "optimizer.learning_rate", 0.25),
        ("seed: 4", "seed", 4),
        ("training:\n  batch_size: '64'\n", "training.batch_size", 64),
        ("\ufeffseed: 4\n", "seed", 4),
        ("regularisation: {clip_norm: null}\n", "regularisation.clip_norm", None),
    ],
)
def test_yaml_as_people_write_it_is_understood(text: str, path: str, value: object) -> None:
    assert Plan.from_yaml(text).get(path) == value


@pytest.mark.parametrize("text", ["{}", "{}\n"])
def test_an_empty_mapping_is_the_standard_plan(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    assert Plan.from_yaml(tmp_path / "plan.yaml") == Plan()


SENTENCES = [
    ("optimiser: {learning_rate: 3}", "unknown key 'optimiser'. Did you mean 'optimizer'?"),
    ("optimizer: {learnin_rate: 3}", "unknown key 'optimizer.learnin_rate'. Did you mean 'optimizer.learning_rate'?"),
    ("learning_rate: 3", "unknown key 'learning_rate'. Did you mean 'optimizer.learning_rate'?"),
    ("optimizer.learning_rate: 3", "write 'optimizer.learning_rate' in a file as 'optimizer: {learning_rate: ...}'."),
    ("colour: 3", "unknown key 'colour'."),
    ("1: 2", "1 = 1: keys should be strings."),
    ("network: {depth: deep}", "network.depth = 'deep': input should be a valid integer"),
    ("network: {depth: 2.5}", "network.depth = 2.5: input should be a valid integer"),
    ("network: {depth: true}", "network.depth = True: "),
    ("optimizer: {learning_rate: yes}", "optimizer.learning_rate = True: "),
    ("network: {depth: [1, 2]}", "network.depth = [1, 2]: input should be a valid integer."),
    ("network: {residual: maybe}", "network.residual = 'maybe': input should be a valid boolean"),
    ("network: {activation: 3}", "network.activation = 3: input should be a valid string."),
    ("network: {activation: rleu}", "network: Unknown activation 'rleu'. Did you mean 'relu'? Known: identity, relu,"),
    ("optimizer: {name: adma}", "optimizer: Unknown optimizer 'adma'. Did you mean 'adam'?"),
    ("loss: {name: mes}", "loss: Unknown loss 'mes'. Did you mean 'mse'?"),
    ("schedule: {name: cosin}", "schedule: Unknown schedule 'cosin'. Did you mean 'cosine'?"),
    ("initialiser: {name: he}", "initialiser: Unknown initialiser 'he'."),
    ("network: {norm: bach}", "network: Unknown norm 'bach'. Did you mean 'batch'? Known: none, batch, layer,"),
    ("network: {norm_place: behind}", "network.norm_place = 'behind': input should be 'before' or 'after'."),
    ("optimizer: {momentum: 1.0}", "optimizer.momentum = 1.0: input should be less than 1 (≥ 0 and < 1)."),
    ("optimizer: {epsilon: 0}", "optimizer.epsilon = 0: input should be greater than 0."),
    ("optimizer: {epsilon_place: within}", "optimizer.epsilon_place = 'within': input should be 'auto', 'outside' or"),
    ("optimizer: {bta2: 0.9}", "unknown key 'optimizer.bta2'. Did you mean 'optimizer.beta2'?"),
    ("loss: {quantile: 1}", "loss.quantile = 1: input should be less than 1 (> 0 and < 1)."),
    ("loss: {class_weights: {sick: -1}}", "loss.class_weights.sick = -1: input should be greater than 0."),
    ("loss: {class_weights: {yes: 2}}", "YAML reads yes, no, on and off as truth values; write the class in quotes."),
    ("schedule: {every: 0}", "schedule.every = 0: input should be greater than 0."),
    (
        "network: {pieces: 1}",
        "network.pieces = 1: input should be greater than or equal to 2 (a whole number and ≥ 2).",
    ),
    ("network: {slope: .nan}", "network.slope = nan: input should be a finite number (≥ 0 and < 1)."),
    (
        "regularisation: {swa_start: 2}",
        "regularisation.swa_start = 2: input should be less than or equal to 1 (≥ 0 and ≤ 1).",
    ),
    ("regularisation: {ema: 0.9}", "unknown key 'regularisation.ema'. Did you mean 'regularisation.ema_decay'?"),
    ("task: regresion", "task = 'regresion': input should be 'auto', 'binary', 'multiclass', 'multilabel' or"),
    ("data: {columns: {age: numbr}}", "data.columns.age = 'numbr': input should be 'number', 'category',"),
    ("seed: -1", "seed = -1: input should be greater than or equal to 0."),
    ("seed: 9223372036854775808", "seed = 9223372036854775808: input should be less than 9223372036854775808."),
    ("regularisation: {dropout: 1}", "regularisation.dropout = 1: input should be less than 1 (≥ 0 and < 1)."),
    ("regularisation: {dropout: .nan}", "regularisation.dropout = nan: input should be"),
    ("regularisation: {clip_norm: 0}", "regularisation.clip_norm = 0: input should be greater than 0."),
    ("optimizer: {learning_rate: .inf}", "optimizer.learning_rate = inf: input should be a finite number."),
    ("optimizer: {learning_rate: 0}", "optimizer.learning_rate = 0: input should be greater than 0."),
    ("training: {batch_size: 0}", "training.batch_size = 0: input should be greater than or equal to 1."),
    ("optimizer: 3", "optimizer = 3: must be a mapping of its values"),
    ("optimizer:", "optimizer = None: must be a mapping of its values; leave it out for standard ones."),
    ("version: 2", "version 2 is not known; this trainwell writes and reads version 1."),
    ("version: newest", "version 'newest' is not known; this trainwell writes and reads version 1."),
    ("seed: 1: 2", "is not YAML at line 1; write lines such as 'seed: 1'."),
    ("seed: 1\nnetwork: [1, }", "is not YAML at line 2; write lines such as 'seed: 1'."),
    ("seed: 2020-13-45", "is not YAML; write lines such as 'seed: 1'."),
    ("- 1\n- 2", "must be a mapping of sections, such as 'optimizer: {learning_rate: 0.01}'."),
    ("", "must be a mapping of sections, such as 'optimizer: {learning_rate: 0.01}'."),
    ("[" * 600, "is not YAML; write lines such as 'seed: 1'."),
    ("origins: 3", "'origins' must be a mapping of paths to {by, why}."),
    (
        "origins: {seed: {by: me, why: x}}",
        "origins.seed.by = 'me': input should be 'user', 'default', 'data', 'search' or",
    ),
    ("origins: {sed: {by: user, why: x}}", "unknown key 'origins.sed'. Did you mean 'seed'?"),
]


@pytest.mark.parametrize(("text", "sentence"), SENTENCES, ids=[text[:40] or "empty" for text, _ in SENTENCES])
def test_a_wrong_file_is_answered_in_one_line(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text + "\n", encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        Plan.from_yaml(tmp_path / "plan.yaml")
    message = str(caught.value)
    assert sentence in message and message.startswith("Plan: ") and "\n" not in message
    assert "Section" not in message


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"^Plan: cannot read '.*nosuch\.yaml': no such file or directory\.$"):
        Plan.from_yaml(tmp_path / "nosuch.yaml")
    with pytest.raises(PlanError, match=r"^Plan: cannot read '.*': is a directory\.$"):
        Plan.from_yaml(tmp_path)
    (tmp_path / "junk.yaml").write_bytes(b"\xff\xfe\x00junk")
    with pytest.raises(PlanError, match=r"^Plan: cannot read '.*junk\.yaml': not UTF-8 text\.$"):
        Plan.from_yaml(str(tmp_path / "junk.yaml"))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.text(alphabet=string.printable, max_size=40))
def test_whatever_stands_in_a_file_it_gives_a_plan_or_one_line(text: str) -> None:
    try:
        assert isinstance(Plan.from_yaml(text + "\n"), Plan)
    except PlanError as error:
        assert "\n" not in str(error)


def test_yaml_runs_no_code() -> None:
    with pytest.raises(PlanError, match="is not YAML"):
        Plan.from_yaml("seed: !!python/object/apply:os.getpid []\n")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("network.activation", list(ACTIVATIONS)),
        ("initialiser.name", ["auto", *INITIALISERS]),
        ("loss.name", ["auto", *LOSSES]),
        ("optimizer.name", list(OPTIMIZERS)),
        ("schedule.name", list(SCHEDULES)),
    ],
)
def test_every_name_of_a_registry_is_accepted(path: str, names: list[str]) -> None:
    for name in names:
        assert Plan.from_yaml(Plan().edited({path: name}, by="user", why="").to_yaml()).get(path) == name


def test_a_value_is_found_by_its_last_name_where_that_is_unique() -> None:
    last = [path.rpartition(".")[2] for path in paths()]
    for path, leaf in zip(paths(), last, strict=True):
        assert resolve(path) == path
        if last.count(leaf) == 1:
            assert resolve(leaf) == path


def test_an_ambiguous_last_name_is_answered_with_all_it_may_mean() -> None:
    expected = (
        "Plan: 'name' may mean initialiser.name or loss.name or optimizer.name or schedule.name; write it in full."
    )
    with pytest.raises(PlanError) as caught:
        Plan().get("name")
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "path", ["version", "origins", "optimizer", "optimizer.", ".seed", "", "__class__", "model_fields"]
)
def test_only_values_have_paths(path: str) -> None:
    with pytest.raises(PlanError, match="Plan: unknown key"):
        resolve(path)
    with pytest.raises(PlanError, match="Plan: unknown key"):
        Plan().edited({path: 1}, by="user", why="")
