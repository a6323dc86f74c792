"""The worked examples of the documents: our numbers, digit by digit, beside the printed ones."""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache

import pytest

from trainwell.ingredients import ACTIVATIONS, SCHEDULES
from trainwell.lab import EXPERIMENTS, ROWS, Result


@cache
def found(name: str) -> Result:
    return EXPERIMENTS[name].run()


def row(name: str, number: str) -> list[float]:
    value = found(name).numbers[number]
    assert isinstance(value, list)
    return value


def single(name: str, number: str) -> float:
    value = found(name).numbers[number]
    assert isinstance(value, float | int)
    return value


def column(name: str, head: str) -> dict[str, float]:
    place = found(name).heads.index(head)
    return {key: value[place] for key, value in found(name).numbers.items() if isinstance(value, list)}


def printed(name: str) -> Iterator[tuple[float, str]]:
    """Each of our numbers with the digits that the document prints for it."""
    result = found(name)
    for number, told in result.printed.items():
        ours = result.numbers[number]
        values, texts = (ours, told) if isinstance(ours, list) else ([ours], (told,))
        assert len(values) == len(texts)
        for value, text in zip(values, texts, strict=True):
            if text:
                assert isinstance(value, float | int) and isinstance(text, str)
                yield value, text


EXAMPLES = [name for name, entry in EXPERIMENTS.items() if {"V7", "L7"} & set(entry.rows)]


@pytest.mark.covers("V7")
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "momentum"])  # printed in letters
def test_what_a_document_prints_is_our_number_rounded(name: str) -> None:
    pairs = list(printed(name))
    assert pairs
    for value, text in pairs:
        digits = len(text.partition(".")[2])
        assert abs(value - float(text)) <= 0.5 * 10**-digits + 1e-12


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_what_it_shows_and_names_rows_that_exist(name: str) -> None:
    assert EXPERIMENTS.summary(name).endswith(".") and "\n" not in EXPERIMENTS[name].doc
    assert EXPERIMENTS[name].rows and set(EXPERIMENTS[name].rows) <= set(ROWS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_result_has_a_number_for_each_head_drawings_and_one_sentence(name: str) -> None:
    result = found(name)
    assert result.numbers and result.figures and result.sentence.endswith(".")
    assert {len(value) for value in result.numbers.values() if isinstance(value, list)} <= {len(result.heads)}
    assert set(result.printed) <= set(result.numbers)
    for figure in result.figures:
        assert ET.fromstring(figure.svg).get("aria-label")
    json.dumps(result.as_dict(), allow_nan=False)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_finds_the_same_each_time(name: str) -> None:
    again = EXPERIMENTS[name].run()
    assert again.as_dict() == found(name).as_dict()
    assert [figure.svg for figure in again.figures] == [figure.svg for figure in found(name).figures]


@pytest.mark.covers("H4", "V7")
def test_two_hundred_samples_in_batches_of_five_are_forty_iterations() -> None:
    assert list(found("iterations").numbers.values()) == [40, 200, 40_000, 1000]


@pytest.mark.covers("V7")
def test_the_network_of_the_exercise_has_266610_parameters() -> None:
    assert found("parameters").numbers == {
        "parameters": 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10,
        "weights": [235_200, 30_000, 1_000],
        "biases": [300, 100, 10],
        "together": [235_500, 30_100, 1_010],
    }
    assert found("parameters").numbers["parameters"] == 266_610


@pytest.mark.covers("V7", "L6")
def test_the_one_hot_table_is_that_of_the_document() -> None:
    rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    assert list(found("one-hot").numbers.values()) == rows
    assert found("one-hot").heads == ("Tiger", "Cat", "Aeroplane")


@pytest.mark.covers("V7", "S3")
def test_the_inverse_time_table_is_that_of_the_document_and_compounding_is_another() -> None:
    inverse, compounding = (value for value in found("inverse-time").numbers.values() if isinstance(value, list))
    assert inverse == pytest.approx([0.2 / 2, 0.2 / 3, 0.2 / 4, 0.2 / 5], rel=1e-14)
    assert compounding == pytest.approx([0.2 / 2, 0.2 / 6, 0.2 / 24, 0.2 / 120], rel=1e-12)


@pytest.mark.covers("V7", "O11")
def test_temperatures_are_averaged_as_in_the_document() -> None:
    v1, v2, v3 = 0.1 * 3, 0.1 * 3 * 0.9 + 0.1 * 5, (0.1 * 3 * 0.9 + 0.1 * 5) * 0.9 + 0.1 * 7
    v4 = 0.9 * v3 + 0.1 * 2
    assert row("temperatures", "average v") == pytest.approx([v1, v2, v3, v4], rel=1e-14)
    corrected = [v1 / 0.1, v2 / 0.19, v3 / 0.271, v4 / 0.3439]
    assert row("temperatures", "average v, corrected") == pytest.approx(corrected, rel=1e-12)
    assert row("temperatures", "V, if all days had 10")[:2] == pytest.approx([0.1 * 10, 0.9 + 0.1 * 10], rel=1e-14)
    assert row("temperatures", "V, if all days had 10, corrected") == pytest.approx([10.0] * 4, rel=1e-12)
    assert single("temperatures", "days averaged over, 1/(1 − β)") == 10
    assert single("temperatures", "weight of the newest 10 days") == pytest.approx(0.6513215599, abs=1e-10)


@pytest.mark.covers("O11")
def test_a_larger_beta_makes_the_average_smoother() -> None:
    changes = [single("temperatures", f"mean change a day, β = {β}") for β in (0.5, 0.9, 0.98)]
    assert changes[0] > 3 * changes[1] > 6 * changes[2]


@pytest.mark.covers("V7", "O2")
def test_the_third_change_of_momentum_is_the_expansion_of_the_document() -> None:
    γ, η, first, second, third = 0.9, 0.1, 1.0, 2.0, 3.0
    assert row("momentum", "change 1") == pytest.approx([η * first, 0, 0, η * first], abs=1e-15)
    assert row("momentum", "change 2") == pytest.approx(
        [γ * η * first, η * second, 0, γ * η * first + η * second], abs=1e-15
    )
    terms = [γ**2 * η * first, γ * η * second, η * third]
    assert row("momentum", "change 3") == pytest.approx([*terms, sum(terms)], abs=1e-15)
    assert row("momentum", "change 3") == pytest.approx([0.081, 0.18, 0.3, 0.561], abs=1e-15)


@pytest.mark.covers("V7", "A1", "D1", "D2")
def test_a_saturated_neuron_hands_on_the_gradient_that_the_document_rounds_to_0() -> None:
    σ = [1 / (1 + math.exp(-10)), 1 / (1 + math.exp(10)), 0.5]
    assert row("saturated-neuron", "σ(z)") == pytest.approx(σ, rel=1e-12)
    assert row("saturated-neuron", "σ′(z)") == pytest.approx([σ[0] * σ[1], σ[0] * σ[1], 0.25], rel=1e-9)
    assert row("saturated-neuron", "σ(z)")[1] == pytest.approx(4.54e-5, abs=5e-8)
    assert single("saturated-neuron", "small factors, 0.1·0.2·0.3") == pytest.approx(0.006, rel=1e-14)
    assert single("saturated-neuron", "large factors, 10·20·30") == 6000


@pytest.mark.covers("V7", "L6")
def test_the_cross_entropy_of_the_sample_is_minus_ln_of_seven_tenths() -> None:
    assert single("cross-entropy", "loss, from logits") == pytest.approx(-math.log(0.7), rel=1e-14)
    assert single("cross-entropy", "loss, from logits") == pytest.approx(0.3567, abs=5e-5)
    assert row("cross-entropy", "∂loss/∂z") == pytest.approx([0.2, -0.3, 0.1], abs=1e-14)


@pytest.mark.covers("L7")
def test_by_squared_error_the_worse_start_is_slower_and_by_cross_entropy_it_is_faster() -> None:
    names = ("MSE 0.6, 0.9", "MSE 2, 2", "BCE 0.6, 0.9", "BCE 2, 2")
    mse, mse_worse, bce, bce_worse = (column("quadratic-cost", name) for name in names)
    assert mse_worse["slope of b at first"] < mse["slope of b at first"] / 5
    assert bce_worse["slope of b at first"] > bce["slope of b at first"]
    assert bce_worse["fall in the first 10 epochs"] > 100 * mse_worse["fall in the first 10 epochs"]
    assert mse["output after 300 epochs"] == pytest.approx(0.09, abs=0.005)  # the book's, as is 0.20
    assert mse_worse["output after 300 epochs"] == pytest.approx(0.20, abs=0.005)


@pytest.mark.covers("L7")
def test_the_neurons_learn_as_in_a_plain_loop() -> None:
    def learn(w: float, b: float, squared: bool) -> Iterator[float]:
        for _ in range(301):
            a = 1 / (1 + math.exp(-(w + b)))
            yield a
            slope = a * a * (1 - a) if squared else a  # target 0, input 1
            w, b = w - 0.15 * slope, b - 0.15 * slope

    runs = [list(learn(w, b, squared)) for squared in (True, False) for w, b in ((0.6, 0.9), (2.0, 2.0))]
    assert row("quadratic-cost", "output at first") == pytest.approx([run[0] for run in runs], rel=1e-12)
    assert row("quadratic-cost", "output after 300 epochs") == pytest.approx([run[300] for run in runs], rel=1e-10)
    halved = [next(epoch for epoch, a in enumerate(run) if a < 0.5) for run in runs]
    assert row("quadratic-cost", "epochs until the output is below 0.5") == halved


@pytest.mark.covers("V3")
def test_every_activation_is_drawn_with_its_derivative() -> None:
    result = found("activations")
    assert list(result.numbers) == list(ACTIVATIONS)
    assert len(result.figures) == len(ACTIVATIONS)
    assert all(figure.svg.count('class="curve') == 2 for figure in result.figures)
    slopes = column("activations", "φ′(0)")
    assert (slopes["sigmoid"], slopes["tanh"], slopes["relu"]) == (0.25, 1.0, 0.0)
    assert found("activations").as_dict()["numbers"]["relu"][3] is None  # unbounded


@pytest.mark.covers("V4")
def test_every_schedule_is_drawn_before_training_with_its_warm_up() -> None:
    result = found("schedules")
    assert list(result.numbers) == list(SCHEDULES)
    assert len(result.figures) == len(SCHEDULES) + 1
    first = column("schedules", "first")
    assert first["constant"] == pytest.approx(1 / 20)  # the first of 20 updates of warm-up
    assert all(0 <= value <= 1 for value in column("schedules", "highest").values())
    assert column("schedules", "last")["wsd"] == pytest.approx(1 / 400 / 0.2)


@pytest.mark.covers("I13")
def test_glorots_scheme_keeps_activations_and_gradients_where_the_standard_one_lets_them_fade() -> None:
    for what in ("activations", "gradients"):
        assert single("initialisation", f"largest ÷ smallest variance of {what}, ±1/√n") > 200
        assert single("initialisation", f"largest ÷ smallest variance of {what}, Glorot") < 10
        for scheme in ("±1/√n", "Glorot"):
            means, variances = (row("initialisation", f"{part} of {what}, {scheme}") for part in ("mean", "variance"))
            assert all(abs(m) < 0.02 * math.sqrt(v) for m, v in zip(means, variances, strict=True))
    fading = row("initialisation", "variance of activations, ±1/√n")
    assert fading == sorted(fading, reverse=True)
    gradients = row("initialisation", "variance of gradients, ±1/√n")
    assert gradients == sorted(gradients)


@pytest.mark.covers("O12")
def test_sgd_zigzags_through_the_ravine_and_arrives_last() -> None:
    zigzags = row("ravine", "zig-zags: w1 changes sign by a step > 0.1")
    arrived = row("ravine", "steps until below 1 % of the first height")
    assert found("ravine").heads == ("sgd", "momentum", "rmsprop", "adam")
    # across the ravine each step of SGD multiplies w1 by 1 − 0.045·40 = −0.8: 1.8·0.8ⁿ > 0.1 for n = 0 … 12
    assert zigzags[0] == 13
    assert zigzags[0] > 2 * max(zigzags[2:])
    assert arrived[0] == max(arrived)
    # along it, by 1 − 0.045: ½(40·0.64ⁿ + 100·0.955²ⁿ) < 0.7 from n = 47 on
    heights = [0.5 * (40 * 0.64**n + 100 * 0.955 ** (2 * n)) for n in range(61)]
    assert arrived[0] == next(n for n, height in enumerate(heights) if height < 0.7)
    assert row("ravine", "height after 60 steps")[0] == pytest.approx(heights[60], rel=1e-10)
