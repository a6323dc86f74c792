"""The page of an experiment stands alone, and can be written."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trainwell.base import InputError
from trainwell.lab import EXPERIMENTS, Experiment, Result, write_page
from trainwell.lab.page import render
from trainwell.report.blocks import Figure


def made_up() -> Result:
    """A made-up one with `<b>` in it."""
    return Result(
        {"<i>": 1.5, "list": [1.0, float("inf")]},
        (Figure("<svg></svg>", "**A** figure"),),
        "See & `be` seen.",
        ("It prints < 2.",),
        printed={"<i>": "-1.5"},
        heads=("a", "b"),
    )


class Pages(HTMLParser):
    """What a page asks for, and its ids."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.asked += [str(values[key]) for key in ("src", "href") if key in values]
        self.ids += [str(values["id"])] if "id" in values else []
        assert tag != "script"


@pytest.mark.parametrize("name", ["ravine", "parameters"])
def test_a_page_asks_for_nothing_from_outside(name: str) -> None:
    page = Pages()
    text = render(name, EXPERIMENTS[name], EXPERIMENTS[name].run())
    page.feed(text)
    assert page.asked and all(link.startswith("#") and link[1:] in page.ids for link in page.asked)
    assert text.count("<svg") >= 1 and f"trainwell lab {name}" in text


def test_a_page_holds_numbers_misprints_and_escapes_what_it_is_told() -> None:
    text = render("made-up", Experiment(made_up, ("V7",)), made_up())
    assert "<i>&" not in text and "&lt;i&gt;" in text and "&lt;b&gt;" in text
    assert "See &amp; <code>be</code> seen." in text and "It prints &lt; 2." in text
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text)
    assert cells == ["&lt;i&gt;", "1.5", "as printed", "−1.5", "list", "1", "∞"]


def test_a_page_is_written_into_a_new_folder(tmp_path: Path) -> None:
    path = write_page(tmp_path / "a" / "b", "made-up", Experiment(made_up, ("V7",)), made_up())
    assert path == tmp_path / "a" / "b" / "made-up.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [each.name for each in path.parent.iterdir()] == ["made-up.html"]


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("")
    with pytest.raises(InputError, match=r"^--out '.*lab' can't be written in: .* Name another folder\.$"):
        write_page(tmp_path / "lab", "made-up", Experiment(made_up, ("V7",)), made_up())
