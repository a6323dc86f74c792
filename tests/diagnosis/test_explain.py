"""The vocabulary, and the page on each word."""

import re
from collections.abc import Mapping

import pytest

from trainwell.base import InputError
from trainwell.diagnosis import CAUSES, KINDS, RULES, explain, explain_text
from trainwell.diagnosis.explain import SEARCHED, WIDTH, searched_kinds
from trainwell.diagnosis.rules_data import DATA_RULES

CONTRACT = """
vanishing-gradient exploding-gradient non-finite dead-units saturated-units symmetric-units shrinking-activations
growing-activations learning-rate-too-small learning-rate-too-large oscillating-loss not-learning plateau slow-start
overfitting underfitting layers-out-of-step unscaled-inputs constant-input loss-output-mismatch double-softmax
target-shape-mismatch gradients-accumulate parameters-not-updated wrong-mode batch-leak initial-loss-off
cannot-overfit-batch gradient-check-failed batch-too-small batch-too-large weights-collapse weights-grow
class-imbalance label-noise train-test-leak duplicate-rows data-drift missing-regularisation too-much-regularisation
bias-before-norm
"""
BEYOND = {"missing-activation", "loss-spike", "loss-not-the-metric"}


def words(text: str) -> str:
    """The text without its lines."""
    return " ".join(text.split())


def test_every_word_of_the_contract_is_explained() -> None:
    assert set(CONTRACT.split()) | BEYOND <= set(KINDS)


@pytest.mark.covers("D15")
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_page_tells_meaning_measure_remedies_and_sources(kind: str) -> None:
    page, told = explain_text(kind), KINDS[kind]
    assert page.startswith(f"# {kind}\n")
    for text in (told.meaning, told.measured, *told.causes, *told.remedies, *told.sources):
        assert text in words(page)
    assert told.remedies and told.sources and told.causes
    assert len(page.splitlines()) < 60 and max(map(len, page.splitlines())) <= WIDTH


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_page_has_a_picture_that_stands_straight(kind: str) -> None:
    picture = [line for line in KINDS[kind].sketch.split("\n") if line.strip()]
    assert 2 <= len(picture) <= 9 and all(line.startswith("    ") and line == line.rstrip() for line in picture)
    assert all(line.strip() in explain_text(kind) for line in picture)


@pytest.mark.parametrize("kind", [*RULES, *DATA_RULES])
def test_what_has_a_rule_says_what_the_rule_asks(kind: str) -> None:
    assert kind in searched_kinds() and "none yet" not in explain_text(kind)
    for rules in (RULES, DATA_RULES):
        if kind in rules:
            assert rules.summary(kind) in words(explain_text(kind))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - searched_kinds()))
def test_what_has_no_rule_yet_says_so(kind: str) -> None:
    assert "No report rules this kind out" in explain_text(kind)


def test_a_registry_of_rules_is_added_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_for() -> None:
        """Outputs that move with other rows."""

    more: Mapping[str, Mapping[str, object]] = {**SEARCHED, "before a training": {"batch-leak": looked_for}}
    monkeypatch.setattr(explain, "SEARCHED", more)
    assert explain.searched_kinds() >= {"batch-leak"} | set(RULES)
    assert "**Rule** (before a training): Outputs that move with other rows." in explain_text("batch-leak")


def test_only_words_of_the_vocabulary_are_searched_for() -> None:
    assert searched_kinds() <= set(KINDS)


def test_figures_in_pictures_are_right() -> None:
    from_logits = [2.718281828**p for p in (0.99933, 0.00034, 0.00034)]
    twice = from_logits[0] / sum(from_logits)
    told = re.search(r"twice +(\S+)", KINDS["double-softmax"].sketch)
    assert told and float(told[1]) == pytest.approx(twice, abs=0.005)


def test_a_misspelt_word_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'dead-units'"):
        explain_text("dead-unit")


def test_causes_are_words_of_the_vocabulary() -> None:
    assert set(CAUSES) | {cause for causes in CAUSES.values() for cause in causes} <= set(KINDS)
