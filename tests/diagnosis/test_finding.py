"""Findings as plain values and as lines of a file."""

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from trainwell.base import InputError, RunError
from trainwell.diagnosis import Finding, Remedy, read_findings, write_findings

REMEDY = Remedy("smaller-rate-3", "smaller steps", {"optimizer.learning_rate": 1e-3}, {"before": 1.0, "after": 0.5})
FINDING = Finding(
    "dead-units", "warning", "60 % dead — tot", "hidden.0", 2, 40, {"measured": 0.6, "at": "ReLU"}, (REMEDY,)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "findings.jsonl"


def test_findings_read_back_equal(path: Path) -> None:
    findings = [FINDING, Finding("non-finite", "critical", "NaN")]
    write_findings(path, findings)
    assert read_findings(path) == findings
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_no_findings_are_an_empty_file(path: Path) -> None:
    write_findings(path, [])
    assert path.read_text() == "" and read_findings(path) == []


@given(st.text(), st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_any_text_and_any_figures_survive_json(message: str, evidence: dict[str, float | str]) -> None:
    finding = Finding("plateau", "info", message, evidence=evidence)
    assert Finding.from_dict(json.loads(json.dumps(finding.as_dict()))) == finding


def test_figures_that_json_cannot_hold_are_written_by_name(path: Path) -> None:
    write_findings(path, [Finding("non-finite", "critical", "", evidence={"a": float("nan"), "b": float("inf")})])
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()
    assert read_findings(path)[0].evidence == {"a": "nan", "b": "inf"}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        '{"kind": "plateau"}',
        '{"kind": "plateau", "severity": "severe", "message": ""}',
        '{"kind": "plateau", "severity": "info", "message": "", "remedies": [{"name": "x"}]}',
        '{"kind": "plateau", "severity": "info", "message": "", "remedies": 3}',
        '{"kind": "plateau", "severity": "info", "message": "", "evidence": [1]}',
    ],
)
def test_a_damaged_line_is_named_in_one_line(path: Path, line: str) -> None:
    write_findings(path, [FINDING])
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"findings.jsonl:2 is damaged") as error:
        read_findings(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_the_users_affair(path: Path) -> None:
    with pytest.raises(InputError, match="Cannot read the findings"):
        read_findings(path)


def test_binary_junk_is_damage_too(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00junk")
    with pytest.raises(RunError, match="Cannot read the findings"):
        read_findings(path)


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert Finding.from_dict({**FINDING.as_dict(), "certainty": 0.9}) == FINDING
