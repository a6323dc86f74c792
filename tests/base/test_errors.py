"""Every fault of the user's is an InputError; near names are offered."""

import pytest

from trainwell.base import BudgetError, DataError, InputError, PlanError, RunError, TrainwellError, did_you_mean


@pytest.mark.parametrize("kind", [DataError, PlanError, BudgetError, RunError])
def test_every_fault_of_the_users_is_an_input_error_and_a_value_error(kind: type[Exception]) -> None:
    assert issubclass(kind, InputError) and issubclass(kind, ValueError) and issubclass(kind, TrainwellError)


def test_the_nearest_choice_is_offered_whatever_its_case() -> None:
    assert did_you_mean("INCME", ["age", "Income"]) == " Did you mean 'Income'?"


def test_nothing_is_offered_when_nothing_is_near_or_there_is_no_choice() -> None:
    assert did_you_mean("zzz", ["age", "income"]) == ""
    assert did_you_mean("age", []) == ""
