"""The work of `fit`, `check`, `resume` and `report`: from options to a request, and from a run to what is printed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trainwell.base import InputError, PlanError
from trainwell.cli.options import Options
from trainwell.cli.summary import summary
from trainwell.engine import joined
from trainwell.estimators import write_pages
from trainwell.plan import Plan
from trainwell.recipe import Request, Run, parse_budget, resume_run, run_recipe
from trainwell.report import LiveView


def fit_table(data: str, options: Options, *, started: float) -> None:
    """Train, write the report, print the outcome. `started`: see `Request.started`."""
    _train(data, options, started=started, only_check=False)


def check_table(data: str, options: Options, *, started: float) -> None:
    """Run the checks that come before a training, and print what they found."""
    _train(data, options, started=started, only_check=True)


def _train(data: str, options: Options, *, started: float, only_check: bool) -> None:
    """Alone, or with the other processes that torchrun started; one of them speaks."""
    with joined(options.device) as processes:
        request = processes.attempt(lambda: request_of(data, options, started=started, only_check=only_check))
        with LiveView(quiet=options.quiet or not processes.writes) as show:
            run = run_recipe(request, show, processes)
        if processes.writes:
            _show(run, as_json=options.as_json, quiet=options.quiet)


def go_on(path: Path) -> None:
    """Go on with a stopped run, and print its outcome as `fit` does."""
    with joined() as processes:
        with LiveView(quiet=not processes.writes) as show:
            run = resume_run(path, show, processes=processes)
        if processes.writes:
            _show(run, as_json=False, quiet=False)


def report_again(path: Path) -> None:
    """Write the report of a run that is there, and print its path."""
    print(write_pages(path))


def request_of(data: str, options: Options, *, started: float, only_check: bool = False) -> Request:
    """What the options ask for.

    Raises:
        InputError: a budget, setting or plan that cannot be read, or options that exclude each other.
    """
    if options.test is not None and options.test_size is not None:
        raise InputError(
            "--test and --test-size exclude each other: give the data to judge by, or a share of the rows."
        )
    return Request(
        data=data,
        targets=options.target,
        task=options.task,
        plan=None if options.plan is None else Plan.from_yaml(options.plan),
        settings=settings_of(options.settings),
        budget=None if options.budget is None else parse_budget(options.budget),
        trials=options.trials,
        seed=options.seed,
        test=options.test,
        test_size=0.2 if options.test_size is None else options.test_size,
        out=options.out,
        device=options.device,
        only_check=only_check,
        started=started,
    )


def settings_of(texts: Sequence[str]) -> dict[str, str]:
    """The values of `--set key=value`; the last of one key counts.

    >>> settings_of(["batch_size=64", "network.activation=relu"])
    {'batch_size': '64', 'network.activation': 'relu'}
    """
    for text in texts:
        if not text.partition("=")[0].strip() or "=" not in text:
            raise PlanError(f"--set '{text}' must be key=value, as in --set batch_size=64.")
    return {key.strip(): value.strip() for key, _, value in (text.partition("=") for text in texts)}


def _show(run: Run, *, as_json: bool, quiet: bool) -> None:
    """With JSON, one object on standard output, and the tables on standard error; else the report's path comes last."""
    report = write_pages(run.path)
    console = Console(stderr=as_json, highlight=False, quiet=as_json and quiet)
    console.print(summary(run))
    if as_json:
        outcome = {**run.result, "run": str(run.path), "report": str(report)}
        print(json.dumps(outcome, allow_nan=False))
    else:
        sys.stdout.flush()
        print(report)
