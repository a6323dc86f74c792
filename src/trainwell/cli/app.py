"""The commands: their options, their help, and who does the work. Bodies import late, so that help is fast."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from trainwell.cli.options import Options
from trainwell.cli.waiting import settle_waiting
from trainwell.version import VERSION

app = App(
    name="trainwell",
    version=VERSION,
    help="Train neural networks well, and learn why when one can't be trained.",
    help_format="plaintext",
    help_epilogue="Start with: trainwell fit adult --target income --budget 60s",
    default_parameter=Parameter(negative="", show_default=False),
    suppress_keyboard_interrupt=False,
)


@app.command(sort_key=0)
def fit(data: str, /, options: Options) -> None:
    """Train on a table: look at the data, check, search, train, test, report.

    Parameters
    ----------
    data
        A file (.csv .tsv .parquet .feather .npz), or a bundled name such as adult, iris or digits. A file that does
        not fit into memory is streamed from disk; the environment variable TRAINWELL_MEMORY (such as 4GiB) says how
        much memory may be taken, in the place of what is free.
    """
    started = time.monotonic()
    settle_waiting()
    from trainwell.cli.training import fit_table

    fit_table(data, options, started=started)


@app.command(sort_key=1)
def check(data: str, /, options: Options) -> None:
    """Pre-flight only: data profile, initial loss, gradient check, tiny overfit, rate range.

    Parameters
    ----------
    data
        A file (.csv .tsv .parquet .feather .npz), or a bundled name such as adult, iris or digits.
    """
    started = time.monotonic()
    settle_waiting()
    from trainwell.cli.training import check_table

    check_table(data, options, started=started)


@app.command(sort_key=2)
def predict(run: Path, data: str, /, *, proba: bool = False, out: Path | None = None) -> None:
    """Predict the rows of a table with a trained run.

    Parameters
    ----------
    run
        Run directory, as printed by fit.
    data
        A table with the columns that the run was trained on.
    proba
        Probabilities, a column for each class, instead of the class.
    out
        File to write, by its ending .csv, .parquet or .npz; standard: CSV on standard output.
    """
    settle_waiting()
    from trainwell.cli.prediction import predict_table

    predict_table(run, data, proba=proba, out=out)


@app.command(sort_key=3)
def resume(run: Path, /) -> None:
    """Go on with a run that was stopped; it ends as if it had never been.

    Parameters
    ----------
    run
        Run directory.
    """
    settle_waiting()
    from trainwell.cli.training import go_on

    go_on(run)


@app.command(sort_key=4)
def report(run: Path, /) -> None:
    """Write a run's report.html anew, and print its path.

    Parameters
    ----------
    run
        Run directory.
    """
    from trainwell.cli.training import report_again

    report_again(run)


@app.command(sort_key=5)
def explain(kind: str | None = None, /) -> None:
    """What a kind of finding means, how it is measured, and what helps.

    Parameters
    ----------
    kind
        As in dead-units; without it, all kinds are listed.
    """
    from trainwell.cli.catalog import explain_kind

    explain_kind(kind)


@app.command(name="list", sort_key=6)
def list_names(family: str | None = None, /) -> None:
    """Names to choose from: activations, losses, optimizers, schedules, ...

    Parameters
    ----------
    family
        As in optimizers; without it, all families.
    """
    from trainwell.cli.catalog import list_family

    list_family(family)


@app.command(sort_key=7)
def lab(
    name: str | None = None,
    /,
    *,
    out: Path = Path("lab"),
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Experiments on what goes on in training, each with its numbers and a page of drawings.

    Parameters
    ----------
    name
        As in ravine; all: each of them; coverage: which test shows which requirement; without it, they are listed.
    out
        Folder for the pages; standard: lab.
    as_json
        Print one JSON object on standard output, and nothing else there.
    """
    settle_waiting()
    from trainwell.cli.lab import run_lab

    run_lab(name, out, as_json=as_json)
