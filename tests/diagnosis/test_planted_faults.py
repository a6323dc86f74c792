"""Planted faults are found and healthy trainings are not blamed; a reduced form of `trainwell.testing.verdicts`."""

from functools import cache

import pytest

from trainwell.diagnosis import KINDS, RULES, Case, Finding, diagnose
from trainwell.testing.faults import FAULTS, healthy, planted
from trainwell.testing.plain import train_plainly
from trainwell.testing.settings import Setting
from trainwell.testing.verdicts import sound

DATA = ("wine", "diabetes")  # classes and numbers
EACH = 4  # settings of a fault, on one data set each
HEALTHY = 25


def sick(kind: str) -> list[Setting]:
    """Every architecture of a fault once, the data sets in turn."""
    settings = [planted_of(kind, data) for data in DATA]
    return [pair[i % len(DATA)] for i, pair in enumerate(zip(*settings, strict=True))][:EACH]


def planted_of(kind: str, data: str) -> list[Setting]:
    return [setting for setting in planted([data]) if setting.planted == kind]


@cache
def judged(kind: str) -> list[tuple[Setting, Case, list[Finding]]]:
    cases = [(setting, train_plainly(setting, seed)) for seed, setting in enumerate(sick(kind), start=900)]
    return [(setting, case, diagnose(case)) for setting, case in cases]


def grave(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings if finding.severity != "info"]


def test_a_fault_is_planted_for_every_rule() -> None:
    assert set(FAULTS) <= set(RULES)


SHOWN = {
    "vanishing-gradient": ("D1",),
    "exploding-gradient": ("D2",),
    "non-finite": ("D2",),
    "saturated-units": ("D3",),
    "unscaled-inputs": ("D10",),
}


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.covers(*SHOWN.get(k, ()))) for k in FAULTS])
def test_a_planted_fault_is_found_in_every_architecture(kind: str) -> None:
    missed = {setting.name: grave(findings) for setting, _, findings in judged(kind) if kind not in grave(findings)}
    assert missed == {}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_little_else_is_said_of_a_planted_fault(kind: str) -> None:
    said = [(name, setting) for setting, _, findings in judged(kind) for name in grave(findings)]
    beside = [name for name, setting in said if name != kind and name not in setting.also]
    assert len(beside) <= 0.15 * len(said)


@pytest.mark.parametrize("kind", list(FAULTS))
def test_findings_carry_their_evidence_and_remedies_that_the_plan_accepts(kind: str) -> None:
    for setting, _, findings in judged(kind):
        for finding in findings:
            assert {"figure", "measured", "threshold", "healthy"} <= set(finding.evidence)
            assert finding.kind in KINDS and finding.member == 0 and finding.step is not None
            assert finding.remedies and "\n" not in finding.message and finding.message.endswith((".", ")."))
            for remedy in finding.remedies:
                assert remedy.why
                if remedy.change is not None:
                    edited = setting.plan.edited(remedy.change, by="remedy", why=remedy.why)
                    assert [path for path, value in remedy.change.items() if edited.get(path) != value] == []
                    assert edited != setting.plan


def test_healthy_trainings_are_not_blamed() -> None:
    blamed, silent = [], 0
    for seed, setting in enumerate(healthy(HEALTHY, 3, ("wine", "diabetes", "moons", "breast_cancer")), start=800):
        case = train_plainly(setting, seed)
        if not sound(case, setting, seed):
            continue  # a recipe that did worse than simple models is not healthy, whatever the rules say
        silent += not grave(diagnose(case))
        blamed += [f"{setting.name}, {setting.data}: {f.message}" for f in diagnose(case) if f.severity != "info"]
    assert blamed == []
    assert silent >= 0.7 * HEALTHY


def test_no_two_healthy_recipes_are_alike() -> None:
    settings = healthy(100, 0, ("iris",))
    assert len({str(sorted(setting.edits.items())) for setting in settings}) == 100
