from dataclasses import replace
from math import isnan, nan

import pytest

from benchmarks import diagnosis
from benchmarks.diagnosis import (
    Verdict,
    cure_bars,
    cure_rows,
    diagnosis_bars,
    group_rows,
    healed,
    healthy_row,
    judged,
    kind_rows,
    sample,
)  # fmt: skip
from trainwell.diagnosis import Finding
from trainwell.testing.programs.cures import CureCase, Cured, Training
from trainwell.testing.programs.program import Ended, Program

pytestmark = pytest.mark.covers("D15")


def sick(kinds: tuple[str, ...], planted: str = "dead-units", step: int | None = None, seed: int = 0) -> Verdict:
    told = tuple(f"about {kind}" for kind in kinds)
    return Verdict("a", planted, ("not-learning",), "watch", "dense", seed, kinds, told, step)


def well(kinds: tuple[str, ...] = (), sound: bool = True) -> Verdict:
    return Verdict("h", None, (), "check", "dense", 0, kinds, kinds, sound=sound)


MADE = [
    sick(("dead-units",), step=10),
    sick(("dead-units", "not-learning", "overfitting"), step=30, seed=1),
    sick(("overfitting",), seed=2),
    sick(("not-learning",), "double-softmax"),
    well(),
    well(),
    well(("plateau",)),
    well(("plateau",), sound=False),
]


def test_recall_is_the_share_of_runs_in_which_the_planted_kind_was_named() -> None:
    rows = {row["kind"]: row for row in kind_rows(MADE)}
    dead = rows["dead-units"]
    assert (dead["runs"], dead["recall"], dead["found_or_true"]) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (dead["median_step"], dead["wrong"], dead["missed"]) == (20, 2, ["a, seed 2: overfitting"])
    assert dead["said_wrongly"] == [f"a, seed {s}: overfitting: about overfitting" for s in (1, 2)]
    assert (rows["double-softmax"]["recall"], rows["double-softmax"]["found_or_true"]) == (0, 1)
    assert rows["double-softmax"]["median_step"] is None


def test_healthy_runs_that_are_not_sound_are_left_out_and_counted() -> None:
    row = healthy_row(MADE)
    assert (row["runs"], row["left_out_as_not_sound"], row["false_alarms"]) == (3, 1, 1)
    assert row["false_alarm_share"] == pytest.approx(1 / 3)
    assert row["alarms"] == ["h, seed 0: [plateau] plateau"]


def test_bars_hold_the_figures_against_what_was_asked_for() -> None:
    bars = {bar.name: bar for bar in diagnosis_bars(MADE)}
    assert bars["recall"].value == pytest.approx(2 / 4) and not bars["recall"].met
    assert bars["recall of the worst kind"].value == 0
    assert bars["precision on sick programs"].value == pytest.approx(4 / 6)
    assert bars["false alarms on healthy programs"].target == 0.02
    assert bars["programs that raised"].met
    good = [sick(("dead-units",), seed=s) for s in range(20)] + [well() for _ in range(60)]
    assert all(bar.met for bar in diagnosis_bars(good))


def test_groups_tell_recall_by_door_and_architecture() -> None:
    rows = {row["group"]: row for row in group_rows([*MADE, replace(MADE[2], architecture="recurrent")])}
    assert rows["architecture: recurrent"]["recall"] == 0
    assert rows["door: watch"]["recall"] == pytest.approx(2 / 5)
    assert rows["architecture: dense"]["false_alarms"] == pytest.approx(1 / 3)


def one(monkeypatch: pytest.MonkeyPatch, planted: str | None, findings: list[Finding], error: str = "") -> Verdict:
    def script(_seed: int) -> Ended:
        if error:
            raise ValueError(error)
        return Ended(findings, 0.5)

    monkeypatch.setattr(diagnosis, "programs", lambda: {"p": Program("p", planted, ("plateau",), script)})
    return judged("p", 4)


def test_warnings_and_critical_findings_count_and_infos_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        Finding("dead-units", "warning", "some", step=40),
        Finding("dead-units", "critical", "more", step=20),
        Finding("slow-start", "info", "flat", step=3),
    ]
    verdict = one(monkeypatch, "dead-units", said)
    assert verdict.kinds == ("dead-units", "dead-units") and verdict.step == 20 and verdict.seed == 4
    assert one(monkeypatch, "slow-start", said[2:]).kinds == ()


def test_advice_counts_at_any_severity_where_it_was_planted_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [Finding("bias-before-norm", "info", "a bias")]
    assert one(monkeypatch, "bias-before-norm", said).found
    assert one(monkeypatch, None, said).kinds == ()


def test_a_program_that_raises_is_a_miss_not_the_end_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = one(monkeypatch, "dead-units", [], "no such layer\nand more")
    assert verdict.error == "ValueError: no such layer" and not verdict.found
    assert kind_rows([verdict])[0]["missed"] == ["p, seed 4: ValueError: no such layer"]
    bars = {bar.name: bar for bar in diagnosis_bars([verdict])}
    assert bars["programs that raised"].value == 1 and not bars["programs that raised"].met


def outcome(name: str, before: float, after: float, fixed: float | None, seed: int = 0, **other: object) -> Cured:
    return replace(Cured(name, seed, before, fixed, after, 8.0, ("smaller-rate",)), **other)


CASES = [
    CureCase(name, "digits", training := Training(lambda: nan, nan, nan), training if name != "fine" else None)  # type: ignore[arg-type]
    for name in ("mended", "half", "raised", "fine")
]
OUTCOMES = [
    outcome("mended", 0.1, 0.9, 0.9),
    outcome("mended", 0.3, 0.88, 0.9, 1, cost=12.0),
    outcome("half", 0.1, 0.5, 0.9),
    outcome("raised", nan, nan, None, error="ValueError: x", cost=nan, changes=()),
    outcome("fine", 0.9, 0.85, None),
    outcome("fine", 0.9, 0.85, None, 1, changes=()),
]


def test_what_is_recovered_is_a_share_of_the_known_fixs_gain() -> None:
    rows = {row["case"]: row for row in cure_rows(OUTCOMES)}
    assert rows["mended"]["recovered"] == pytest.approx((0.89 - 0.2) / (0.9 - 0.2)) and rows["mended"]["cost"] == 10
    assert rows["half"]["recovered"] == pytest.approx(0.5)
    assert isnan(rows["raised"]["recovered"]) and rows["raised"]["errors"] == ["ValueError: x"]
    assert isnan(rows["fine"]["recovered"])


def test_a_change_that_costs_on_held_out_rows_is_harm_and_no_change_is_none() -> None:
    rows = {row["case"]: row["harmful"] for row in cure_rows(OUTCOMES)}
    assert rows == {"mended": 0, "half": 0, "raised": 0, "fine": 1}


def test_a_case_that_raised_or_was_half_mended_did_not_recover() -> None:
    bars = {bar.name: bar for bar in cure_bars(cure_rows(OUTCOMES), CASES)}
    assert bars["cases that recover 95 % of the fix's gain"].value == pytest.approx(1 / 3)
    assert bars["mean cost of a cure, in trainings"].value == pytest.approx((10 + 8 + 8) / 3)
    assert bars["harmful acceptances on held-out rows and seeds"].value == 1
    assert bars["cures that raised"].value == 1


def test_a_cure_that_raises_is_part_of_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def cured(case: CureCase, seed: int) -> Cured:
        raise RuntimeError("no cure")

    monkeypatch.setattr(diagnosis, "cured", cured)
    assert healed("rate 20", 1).error == "RuntimeError: no cure"


def test_a_row_has_none_where_there_is_no_figure() -> None:
    assert diagnosis.without_nan({"a": nan, "b": 1.0, "c": "x"}) == {"a": None, "b": 1.0, "c": "x"}


def test_the_reduced_version_takes_every_so_many() -> None:
    assert sample(["a", "b", "c", "d", "e"], 2) == ["a", "c", "e"]
