from typing import Any

import pytest

from tests.report.synthetic import overfitting, result, stopped_after
from trainwell.diagnosis import Finding, Remedy
from trainwell.report.advice import advice
from trainwell.report.fit import Fit
from trainwell.report.records import Records
from trainwell.report.verdict import headline, how_good, standing, what_was_trained

FINE = Fit("fit", "A good fit.")


def run(task: str = "binary", **changes: Any) -> Records:
    return Records("demo", {**result(task), **changes}, findings=())


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


def said(records: Records) -> tuple[str, str]:
    words, tone = headline(records, standing(records))
    return plain(words), tone


def judged(records: Records) -> str:
    s = standing(records)
    assert s is not None
    return plain(" ".join(how_good(records, s)))


def with_test(accuracy: float, rows: int = 200) -> Records:
    content = result()
    content["test"]["accuracy"] = accuracy
    content["stages"][-1]["evidence"]["rows"] = rows
    return Records("demo", content, findings=())


def test_a_network_ahead_of_every_baseline_is_told_to_be() -> None:
    words, tone = said(run())
    assert words == "The network predicts `income` right in 92.0 % of unseen rows, ahead of every baseline."
    assert tone == "good"
    assert "gradient boosting, gives 85.0 %: the network is ahead by 7 points." in judged(run())


def test_a_network_that_loses_to_a_baseline_is_told_plainly() -> None:
    words, tone = said(with_test(0.80, rows=5000))
    assert words == "The network loses to gradient boosting on `income`: accuracy 80.0 % against 85.0 %."
    assert tone == "warn"
    assert "For this table gradient boosting is the better model" in judged(with_test(0.79, rows=5000))


def test_a_loss_that_chance_may_explain_is_still_a_loss_and_said_to_be_small() -> None:
    words, tone = said(with_test(0.84, rows=100))
    assert words.startswith(
        "The network loses to gradient boosting on `income`, though by less than so few rows can tell"
    )
    assert tone == "warn"
    assert "within what chance alone gives on so many rows" in judged(with_test(0.84, rows=100))


def test_a_lead_that_chance_may_explain_is_not_boasted_of() -> None:
    assert "so few rows cannot confirm" in said(with_test(0.86, rows=100))[0]


def test_a_network_that_only_guesses_has_learnt_nothing() -> None:
    for accuracy in (0.75, 0.6):
        words, tone = said(with_test(accuracy))
        assert "learnt nothing of use" in words and tone == "bad"


def test_a_network_level_with_the_best_baseline_is_neither_ahead_nor_behind() -> None:
    words, tone = said(with_test(0.85))
    assert words.endswith("as well as the best baseline, gradient boosting.") and tone == "plain"


def test_a_regression_is_told_by_what_it_explains() -> None:
    words, tone = said(run("regression"))
    assert words == "The network explains 84.1 % of what varies in `income`, ahead of every baseline."
    assert "Always guessing the mean gives 0.0000." in judged(run("regression"))
    assert tone == "good"


def test_a_metric_where_less_is_better_is_compared_that_way() -> None:
    records = run("regression", metric={"name": "rmse", "value": 3.985, "higher_is_better": False})
    s = standing(records)
    assert s is not None and s.best_rival == "linear" and s.against("linear") == "ahead"


def test_without_a_test_part_the_validation_rows_are_named_as_optimistic() -> None:
    records = run(test={})
    s = standing(records)
    assert s is not None and s.part == "validation"
    assert s.others == {}, "baselines were judged on other rows"
    assert "optimistic" in judged(records)
    assert said(records)[0] == "The network predicts `income` right in 91.0 % of the validation rows."


def test_folds_make_every_row_a_validation_row_and_leave_no_claim_of_a_test() -> None:
    content: dict[str, Any] = result() | {"test": {}}
    content["stages"][0]["evidence"]["folds"] = 5
    content["stages"][1]["evidence"]["judged_on"] = "validation"
    records = Records("demo", content, findings=())
    s = standing(records)
    assert s is not None and s.rows == 800 and s.best_rival == "gradient-boosting"
    words, tone = said(records)
    assert "of the validation rows, ahead of every baseline" in words and tone == "plain"


def test_what_was_trained_counts_networks_columns_and_rows() -> None:
    text = "Three dense networks were trained to predict `income` from 2 columns of 640 rows; "
    assert what_was_trained(run()) == text + "the prediction is their average."


def test_a_check_without_training_is_told_as_ready_or_not() -> None:
    content: dict[str, Any] = stopped_after(result(), "rate-range") | {"interrupted": False}
    content["stages"] = [s for s in content["stages"][:6] if s["name"] != "baselines"]
    assert said(Records("demo", content))[0] == "Ready to train on `income`: every check before the training passed."
    content["stages"][2] = {**content["stages"][2], "passed": False}
    words, tone = said(Records("demo", content))
    assert words == "Not ready to train on `income`: one check failed." and tone == "bad"


def test_a_run_without_a_network_is_told_to_have_none() -> None:
    assert said(run(test={}, validation={}, members=0)) == ("No network could be trained for `income`.", "bad")
    words, _ = said(Records("demo", stopped_after(result(), "data")))
    assert words == "The run was stopped before there was a network for `income`."


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        (0.92, "and the test agrees"),
        (0.80, "the test is no worse"),
        (0.99, "a little worse"),
        (1.2, "falls well short"),
    ],
)
def test_the_test_is_held_against_what_the_validation_promised(validation: float, words: str) -> None:
    assert words in judged(run(validation={"accuracy": validation}))


def test_the_last_advice_is_how_to_go_on() -> None:
    assert "trainwell predict demo NEW.csv" in advice(run(), standing(run()), FINE)[-1]


def test_a_losing_network_is_advised_against_with_the_budget_that_might_help() -> None:
    steps = advice(with_test(0.80), standing(with_test(0.80)), FINE)
    assert steps[0].startswith("Use gradient boosting for this table") and "--budget 5m" in steps[0]


def test_a_critical_finding_comes_with_its_first_remedy_as_a_setting() -> None:
    remedy = Remedy("smaller-rate", "smaller steps do not diverge", {"optimizer.learning_rate": 0.001})
    finding = Finding("non-finite", "critical", "NaN.", remedies=(remedy,))
    records = Records("demo", result(), findings=(finding, overfitting()))
    (step, _) = advice(records, standing(records), FINE)
    assert step == "Mend `non-finite`: smaller steps do not diverge (`--set optimizer.learning_rate=0.001`)."


def test_failed_checks_underfitting_and_a_short_search_are_advised_on() -> None:
    content = result()
    content["stages"][3]["passed"] = False
    content["stages"][6]["evidence"]["trials"] = 2
    records = Records("demo", content, findings=())
    steps = " ".join(advice(records, standing(records), Fit("underfit", "")))
    assert "“Gradient check” failed" in steps and "underfit" in steps and "Only 2 plans could be tried" in plain(steps)


def test_advice_is_short_enough_to_be_read() -> None:
    content: dict[str, Any] = result() | {"interrupted": True}
    for stage in content["stages"]:
        stage["passed"] = False
    records = Records("demo", content, findings=(overfitting(),) * 5)
    assert len(advice(records, standing(records), Fit("underfit", ""))) == 4
