"""How a training ended is a value that reads as a sentence."""

from typing import get_args

import pytest

from trainwell.base import Outcome
from trainwell.base.outcomes import SENTENCES, OutcomeKind


def test_every_kind_has_a_sentence_of_its_own() -> None:
    assert set(SENTENCES) == set(get_args(OutcomeKind))
    assert len(set(SENTENCES.values())) == len(SENTENCES)


@pytest.mark.parametrize("kind", get_args(OutcomeKind))
def test_an_outcome_says_what_happened_when_and_where_the_best_weights_are_from(kind: OutcomeKind) -> None:
    assert str(Outcome(kind, step=40, best_step=20)) == f"{SENTENCES[kind]} (at step 40; best weights from step 20)"
