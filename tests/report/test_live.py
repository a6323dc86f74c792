import io
from typing import Any

import pytest

from trainwell.recipe.request import Progress
from trainwell.report import LiveView
from trainwell.report.live import line

STAGE = {"stage": "search", "index": 6, "of": 9, "text": "24 trials, round 2 of 3", "best": "accuracy 0.8571"}


def progress(fraction: float, seconds: float, **changes: Any) -> Progress:
    return Progress(**{**STAGE, "fraction": fraction, "seconds": seconds, "seconds_left": 60 - seconds, **changes})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, steps: list[Progress], *, quiet: bool = False, every: float = 1.0) -> str:
    times = iter([every * i for i in range(1000)])
    with LiveView(quiet=quiet, stream=stream, clock=lambda: next(times)) as show:
        for step in steps:
            show(step)
    return stream.getvalue()


def test_nothing_is_shown_when_quiet() -> None:
    assert shown(io.StringIO(), [progress(0.5, 3.0)], quiet=True) == ""
    assert shown(Terminal(), [progress(0.5, 3.0)], quiet=True) == ""


def test_a_file_gets_one_plain_line_for_each_finished_stage() -> None:
    steps = [progress(0.0, 1.0, stage="data", index=0, text="14 columns"), progress(0.5, 3.0), progress(1.0, 8.0)]
    text = shown(io.StringIO(), steps)
    lines = text.splitlines()
    assert [part[:4].strip() for part in lines] == ["1/9", "7/9"]
    assert "Data profile" in lines[0] and "14 columns" in lines[0]
    assert "Search" in lines[1] and "5.0 s" in lines[1] and "24 trials, round 2 of 3" in lines[1]
    assert "\x1b" not in text


def test_a_long_stage_gives_a_sign_of_life_but_not_a_flood() -> None:
    lines = shown(io.StringIO(), [progress(i / 100, float(i)) for i in range(100)], every=0.5).splitlines()
    assert 3 <= len(lines) <= 12
    assert "7/9 Search" in lines[0] and "best accuracy 0.8571" in lines[0] and "left" in lines[0]


def test_a_terminal_shows_stage_bar_best_and_time_left() -> None:
    text = shown(Terminal(), [progress(0.25, 75.0, seconds_left=45.0)])
    for part in (
        "7/9",
        "Search",
        "25%",
        "24 trials",
        "best so far: accuracy 0.8571",
        "1:15 spent",
        "at most 0:45 left",
    ):
        assert part in text
    assert "✓" in text


def test_an_error_leaves_no_claim_of_a_finished_stage() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyError), LiveView(stream=stream) as show:
        show(progress(0.5, 3.0))
        raise KeyError
    assert stream.getvalue() == ""


def test_what_is_unknown_is_left_out_of_a_line() -> None:
    assert line(progress(0.0, 0.0, best=None, text="", seconds_left=None)) == "7/9 Search 0% · 0:00 spent"
