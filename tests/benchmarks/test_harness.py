import doctest
import json
from types import ModuleType

import pytest

from benchmarks import harness, quality, sets
from benchmarks.harness import at_least, at_most, machine, options, publish, table, versions


@pytest.mark.parametrize("module", [harness, sets, quality], ids=lambda module: module.__name__)
def test_examples_in_the_documentation_are_true(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0 and outcome.failed == 0


def test_the_outcome_is_one_object_on_standard_output_and_tables_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    given = publish([{"set": "iris", "ours": 0.5}], [at_least("share", 0.9, 0.8)], as_json=True)
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed == given
    assert list(printed) == ["machine", "versions", "rows", "bars"]
    assert printed["bars"] == [{"name": "share", "value": 0.9, "target": 0.8, "met": True}]
    assert "iris" in err and "share" in err and "yes" in err


def test_without_json_standard_output_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    publish([{"set": "iris"}], [], as_json=False)
    assert capsys.readouterr().out == ""


def test_a_bar_is_met_at_its_target_from_the_right_side() -> None:
    assert [at_least("x", v, 0.8).met for v in (0.79, 0.8, 0.9)] == [False, True, True]
    assert [at_most("x", v, 1.1).met for v in (1.0, 1.1, 1.2)] == [True, True, False]


def test_columns_line_up_and_parts_of_their_own_are_left_to_the_json() -> None:
    lines = table([{"name": "a", "value": 0.5, "inside": {"x": 1}}, {"name": "bbb", "value": 12345.6}]).splitlines()
    assert lines[0].split() == ["name", "value"]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_the_machine_and_versions_are_told_without_a_name_of_it() -> None:
    assert {"processor", "cores", "memory_gib", "system"} == set(machine())
    assert {"python", "trainwell", "torch", "scikit-learn"} <= set(versions())


def test_every_benchmark_takes_json_and_quick() -> None:
    arguments = options("x").parse_args(["--json", "--quick"])
    assert arguments.json and arguments.quick
