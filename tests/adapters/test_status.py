import io
import os

import pytest
import torch

from tests.adapters.loops import trained
from trainwell.adapters import status
from trainwell.adapters.status import Status, told
from trainwell.diagnosis import Finding

FOUND = [
    Finding("dead-units", "critical", "Most units are dead.", layer="0", step=3),
    Finding("learning-rate-too-large", "warning", "The rate is too large."),
    Finding("plateau", "info", "It rests."),
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that goes only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(status.time, "monotonic", clock.monotonic)
    monkeypatch.setenv("TERM", "xterm")
    return clock


def last_line(terminal: io.StringIO) -> str:
    return terminal.getvalue().rpartition("\r\033[K")[2]


def test_nothing_is_written_where_the_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    line = Status(stream)
    line.show(1, 0.5, FOUND)
    line.end(10, FOUND)
    assert stream.getvalue() == "" and not line.live and not line.due()


def test_nothing_is_written_without_a_stream_or_to_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    none = Status(None)
    none.end(1, FOUND)
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    dumb = Status(stream)
    dumb.end(1, FOUND)
    assert not none.live and not dumb.live and stream.getvalue() == ""


def test_a_line_is_due_after_two_seconds_and_writes_over_the_one_before(clock: Clock) -> None:
    terminal = Terminal()
    line = Status(terminal)
    assert not line.due()
    clock.now += status.EVERY
    assert line.due()
    line.show(1200, torch.tensor([0.25, 0.75]), [])
    assert not line.due()
    clock.now += status.EVERY
    assert line.due()
    line.show(1300, 0.4, FOUND)
    written = terminal.getvalue()
    assert "\n" not in written and written.count("\r\033[K") == 2
    assert "step 1,200, loss 0.5, nothing wrong so far" in written
    assert last_line(terminal) == "trainwell: step 1,300, loss 0.4, dead-units, learning-rate-too-large"


def test_where_judging_takes_long_lines_are_rare(clock: Clock) -> None:
    line = Status(Terminal())
    clock.now += status.EVERY
    assert line.due()
    clock.now += 0.05  # what the rules took
    line.show(1, 0.5, [])
    clock.now += 0.05 / status.SHARE - 0.1
    assert not line.due()
    clock.now += 0.1
    assert line.due()


@pytest.mark.parametrize("width", [20, 40, 200])
def test_a_line_is_narrower_than_the_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(status.shutil, "get_terminal_size", lambda: os.terminal_size((width, 24)))
    terminal = Terminal()
    Status(terminal).show(123_456, 0.123456, FOUND * 3)
    assert len(last_line(terminal)) <= width - 1
    assert last_line(terminal).endswith("…") == (width < 200)


def test_the_end_tells_each_finding_of_weight_in_a_line_of_its_own(clock: Clock) -> None:
    terminal = Terminal()
    Status(terminal).end(5000, FOUND)
    assert last_line(terminal).splitlines() == [
        "trainwell: 5,000 steps, dead-units, learning-rate-too-large",
        "  critical: Most units are dead.",
        "  warning: The rate is too large.",
    ]


@pytest.mark.parametrize(("steps", "said"), [(40, "all is well"), (0, "nothing was seen")])
def test_the_end_says_that_all_is_well_only_if_something_was_seen(clock: Clock, steps: int, said: str) -> None:
    terminal = Terminal()
    Status(terminal).end(steps, FOUND[2:])
    assert last_line(terminal) == f"trainwell: {steps} steps, {said}\n"


def test_a_terminal_that_is_gone_does_not_stop_the_training(clock: Clock) -> None:
    terminal = Terminal()
    line = Status(terminal)
    terminal.close()
    line.show(1, 0.5, [])
    line.end(1, [])
    assert not line.live


def test_a_watched_loop_shows_its_line_and_its_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(status, "EVERY", 0.0)
    trained(8)
    assert "trainwell: step 8, loss " in terminal.getvalue()
    assert terminal.getvalue().endswith("trainwell: 8 steps, all is well\n")


def test_information_is_not_told_in_the_line() -> None:
    assert told(FOUND) == "dead-units, learning-rate-too-large" and told(FOUND[2:]) == ""
