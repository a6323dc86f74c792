"""The live view of a run on standard error: bars on a terminal, plain lines elsewhere, nothing when quiet."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from trainwell.report.words import STAGES, stage_name

QUIET_SECONDS = 10.0  # between plain lines within one stage
NAME_WIDTH = max(len(name) for name in STAGES.values())


class Progress(Protocol):
    """Where a run stands (`recipe.Progress`): stage `index` of `of`, its fraction done, the best so far, seconds."""

    @property
    def stage(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def of(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def fraction(self) -> float: ...
    @property
    def best(self) -> str | None: ...
    @property
    def seconds(self) -> float: ...
    @property
    def seconds_left(self) -> float | None: ...


class LiveView:
    """Shows each `Progress` it is called with; to be used in a `with` statement.

    with LiveView(quiet=False) as show:
        run_recipe(request, show)

    Args:
        quiet: show nothing. stream: where to, standard error unless given. clock: seconds, for tests.
    """

    def __init__(
        self, *, quiet: bool = False, stream: IO[str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = Console(file=stream or sys.stderr, quiet=quiet, highlight=False, soft_wrap=True)
        self._quiet, self._clock = quiet, clock
        self._live: Live | None = None
        self._last: Progress | None = None
        self._began = 0.0
        self._said_at = -QUIET_SECONDS

    def __enter__(self) -> "LiveView":
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last is not None and not self._quiet and kind is None:
            self._finished(self._last)
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show this; a finished stage leaves one line behind."""
        if self._quiet:
            return
        if self._last is None or progress.stage != self._last.stage:
            if self._last is not None:
                self._finished(self._last)
            self._began, self._said_at = progress.seconds, self._clock()
        self._last = progress
        if self._live is not None:
            self._live.update(frame(progress))
        elif self._clock() - self._said_at >= QUIET_SECONDS:
            self._said_at = self._clock()
            self._console.print(Text(line(progress)))

    def _finished(self, last: Progress) -> None:
        spent = max(0.0, last.seconds - self._began)
        name = f"{last.index + 1}/{last.of} {stage_name(last.stage):<{NAME_WIDTH}} {spent:6.1f} s  "
        mark = [(" ✓ ", "green")] if self._live else []
        self._console.print(Text.assemble(*mark, name, (last.text, "dim")))


def frame(p: Progress) -> Group:
    """The moving part of the terminal: the stage, its bar and what it does; the best so far, time spent and left."""
    bar = Table.grid(padding=(0, 1))
    head = Text(f" {p.index + 1}/{p.of} ", style="dim") + Text(f"{stage_name(p.stage):<{NAME_WIDTH}}", style="bold")
    bar.add_row(
        head,
        ProgressBar(total=1.0, completed=p.fraction, width=28),
        Text(f"{p.fraction:4.0%}"),
        Text(p.text, overflow="ellipsis", no_wrap=True),
    )
    told = [f"best so far: {p.best}"] if p.best else []
    told.append(f"{span(p.seconds)} spent")
    told += [f"at most {span(p.seconds_left)} left"] if p.seconds_left is not None else []
    return Group(bar, Text("     " + " · ".join(told), style="dim"))


def line(p: Progress) -> str:
    """The same as one plain line."""
    parts = [f"{p.index + 1}/{p.of} {stage_name(p.stage)} {p.fraction:.0%}", p.text, f"best {p.best}" if p.best else ""]
    parts += [f"{span(p.seconds)} spent", f"{span(p.seconds_left)} left" if p.seconds_left is not None else ""]
    return " · ".join(part for part in parts if part)


def span(seconds: float) -> str:
    """Minutes and seconds.

    >>> span(75.2), span(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
