"""Every row that is due has a test, and every marker names a row."""

import json
import textwrap
from pathlib import Path

import pytest

from trainwell.base import InputError
from trainwell.lab import ROWS, Coverage, find_coverage
from trainwell.lab.collecting import rows_of
from trainwell.lab.coverage import TESTS, by_row
from trainwell.lab.rows import FAMILIES, TEXTS

COUNTS = {"H": 7, "A": 11, "I": 13, "L": 7, "O": 12, "S": 7, "R": 9, "P": 5, "B": 10, "D": 15, "V": 7}
WHOLE = {"H": 7, "A": 11, "I": 13, "L": 7, "O": 12, "S": 7, "R": 9}  # families that are done
OTHERS = "P1 P3 B1 B2 B3 B4 B5 B6 B7 B9 B10 D1 D2 D3 D10 V3 V4 V7".split()
DUE = [f"{letter}{i}" for letter, count in WHOLE.items() for i in range(1, count + 1)] + OTHERS


@pytest.fixture(scope="session")
def found(request: pytest.FixtureRequest) -> Coverage:
    """What the tests at hand say where these are all, else what a collection of all says, which takes long."""
    session, chosen = request.session, request.config.getoption
    files = {item.path for item in session.items}
    if set(TESTS.rglob("test_*.py")) <= files and not (chosen("keyword") or chosen("markexpr")):
        return by_row({item.nodeid: rows_of(item) for item in session.items})
    return find_coverage()


def test_the_rows_are_those_of_the_requirements() -> None:
    assert list(ROWS) == [f"{letter}{i}" for letter, count in COUNTS.items() for i in range(1, count + 1)]
    assert set(TEXTS) == set(FAMILIES)
    assert all(row.text and "\n" not in row.text for row in ROWS.values())


def test_all_test_files_can_be_collected(found: Coverage) -> None:
    assert list(found.broken) == []


@pytest.mark.parametrize("row", DUE)
def test_a_row_that_is_due_has_a_test(row: str, found: Coverage) -> None:
    assert found.tests[row], f"no test shows row {row}: {ROWS[row].text}"


def test_every_marker_names_a_row_that_exists(found: Coverage) -> None:
    assert dict(found.unknown) == {}


def test_what_is_found_is_told_as_plain_values() -> None:
    told = by_row({"a": ["O1"], "b": ["O1", "X1"]}, ["c.py"]).as_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["rows"][0] == {"id": "H1", "text": ROWS["H1"].text, "family": FAMILIES["H"], "tests": []}
    assert next(row["tests"] for row in told["rows"] if row["id"] == "O1") == ["a", "b"]
    assert told["uncovered"] == [row for row in ROWS if row != "O1"]
    assert (told["unknown"], told["broken"]) == ({"X1": ["b"]}, ["c.py"])


def test_markers_are_found_on_files_classes_functions_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "def pytest_configure(config):\n    config.addinivalue_line('markers', 'covers')"
    )
    (tmp_path / "test_all.py").write_text(
        textwrap.dedent("""
            import pytest

            ROWS = {"adam": ("O7", "O10"), "sgd": ("O1",)}
            pytestmark = pytest.mark.covers("H1")

            CASES = [pytest.param(name, marks=pytest.mark.covers(*rows)) for name, rows in ROWS.items()]

            @pytest.mark.parametrize("n", CASES)
            def test_optimizers(n): ...

            @pytest.mark.covers("V1")
            class TestClass:
                @pytest.mark.covers("V2", "Z9")
                def test_one(self): ...
        """)
    )
    (tmp_path / "test_broken.py").write_text("import nothing_of_this_name\n")
    found = find_coverage(tmp_path)
    covered = {row: [test.split("::", 1)[1] for test in tests] for row, tests in found.tests.items() if tests}
    assert covered == {
        "H1": ["test_optimizers[adam]", "test_optimizers[sgd]", "TestClass::test_one"],
        "O1": ["test_optimizers[sgd]"],
        "O7": ["test_optimizers[adam]"],
        "O10": ["test_optimizers[adam]"],
        "V1": ["TestClass::test_one"],
        "V2": ["TestClass::test_one"],
    }
    assert [test.split("::", 1)[1] for test in found.unknown["Z9"]] == ["TestClass::test_one"]
    assert [Path(name).name for name in found.broken] == ["test_broken.py"]


def test_without_the_tests_the_repository_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^There are no tests in '.*': coverage needs the repository, not an installed"
    ):
        find_coverage(tmp_path)


def test_tests_that_cannot_be_read_at_all_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(InputError, match=r"can't be collected: .*nothing_of_this_name"):
        find_coverage(tmp_path)
