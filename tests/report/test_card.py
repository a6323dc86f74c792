import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.report.synthetic import complete_run, healthy, overfitting, result, stopped_after, write_run
from trainwell.base import RunError
from trainwell.report import model_card
from trainwell.report.card import markdown


def test_a_card_says_what_it_is_how_good_and_how_to_load_it(tmp_path: Path) -> None:
    card = model_card(complete_run(tmp_path / "demo"))
    front = yaml.safe_load(card.split("---")[1])
    assert front["pipeline_tag"] == "tabular-classification" and front["library_name"] == "trainwell"
    titles = ["The model", "Data", "Figures", "What it is for, and what not", "How to load it"]
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == titles
    assert 'trainwell.load("demo")' in card and "trainwell predict demo" in card
    assert "| this model | 0.9200 | 0.8700 | 0.8200 | 0.2100 | 0.9600 |" in card
    assert "| `age` | number | 0 |" in card and "`id`" not in card


def test_a_regression_is_tagged_as_one(tmp_path: Path) -> None:
    assert "tabular-regression" in model_card(complete_run(tmp_path / "demo", "regression"))


def test_names_of_strangers_have_no_meaning_in_a_card(tmp_path: Path) -> None:
    evil = "a|b`c\n# <script>"
    content: dict[str, Any] = result() | {"targets": [evil]}
    content["stages"][0]["evidence"]["columns"][0]["name"] = evil
    content["stages"][0]["evidence"]["notes"] = ["<img src=x> [link](y)"]
    card = model_card(write_run(tmp_path / "demo", content))
    assert "# <script>" not in [line.strip() for line in card.splitlines()]
    assert "| `a¦bʹc # <script>` | number | 0 |" in card
    assert r"\<img src=x\> \[link\](y)" in card


def test_markdown_leaves_names_alone_and_disarms_the_rest() -> None:
    assert markdown("`x_y` is *bold* <b>") == r"`x_y` is \*bold\* \<b\>"


def test_findings_and_an_early_stop_are_among_the_caveats(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "demo", result() | {"interrupted": True}, findings=[overfitting()], vitals=healthy())
    card = model_card(folder)
    assert "Its training was stopped early." in card
    assert "Found while it was trained: From step 40 on" in card


def test_a_run_without_a_test_says_that_its_figures_are_optimistic(tmp_path: Path) -> None:
    assert "its figures are optimistic" in model_card(complete_run(tmp_path / "demo", test={}))


def test_a_run_without_a_network_still_has_a_card(tmp_path: Path) -> None:
    card = model_card(write_run(tmp_path / "demo", stopped_after(result(), "data")))
    assert "There is no trained network in this run." in card and "None were measured." in card


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no result.json"):
        model_card(tmp_path)
