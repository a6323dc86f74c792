"""The vocabulary, and the page on each word."""

import pytest

from trainwell.base import InputError
from trainwell.diagnosis import CAUSES, KINDS, RULES, explain_text, has_rule

CONTRACT = """
vanishing-gradient exploding-gradient non-finite dead-units saturated-units symmetric-units shrinking-activations
growing-activations learning-rate-too-small learning-rate-too-large oscillating-loss not-learning plateau slow-start
overfitting underfitting layers-out-of-step unscaled-inputs constant-input loss-output-mismatch double-softmax
target-shape-mismatch gradients-accumulate parameters-not-updated wrong-mode batch-leak initial-loss-off
cannot-overfit-batch gradient-check-failed batch-too-small batch-too-large weights-collapse weights-grow
class-imbalance label-noise train-test-leak duplicate-rows data-drift missing-regularisation too-much-regularisation
bias-before-norm
"""


def test_every_word_of_the_contract_is_explained() -> None:
    assert set(CONTRACT.split()) <= set(KINDS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_page_tells_meaning_measure_remedies_and_sources(kind: str) -> None:
    page, told = explain_text(kind), KINDS[kind]
    assert page.startswith(f"# {kind}\n")
    for text in (told.meaning, told.measured, *told.causes, *told.remedies, *told.sources):
        assert text in page
    assert told.remedies and told.sources and told.causes
    assert len(page.splitlines()) < 50 and max(map(len, page.splitlines())) < 200


@pytest.mark.parametrize("kind", list(RULES))
def test_what_has_a_rule_has_a_picture_and_says_what_the_rule_asks(kind: str) -> None:
    assert has_rule(kind) and KINDS[kind].sketch.strip()
    assert RULES.summary(kind) in explain_text(kind)
    assert "not searched for yet" not in explain_text(kind)


def test_what_has_no_rule_yet_says_so() -> None:
    assert not has_rule("label-noise")
    assert "not searched for yet" in explain_text("label-noise")


def test_a_misspelt_word_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'dead-units'"):
        explain_text("dead-unit")


def test_causes_are_words_of_the_vocabulary() -> None:
    assert set(CAUSES) | {cause for causes in CAUSES.values() for cause in causes} <= set(KINDS)
