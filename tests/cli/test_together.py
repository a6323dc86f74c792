"""`fit` and `resume` by two processes, as torchrun starts them: one result, one voice, and what the others say.

The file is also the program of one pair: `python test_together.py FOLDER PORT`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.parallel import free_port
from tests.processes import Pair
from tests.recipe.tables import moons
from trainwell.base import InputError
from trainwell.cli.main import main
from trainwell.engine import Ensemble, joined
from trainwell.engine.watchdog import LOST
from trainwell.recipe import Request, Run, load_run, run_recipe

SMALL = ["--trials", "4", "--budget", "900s", "--set", "data.folds=0", "--set", "ensemble.members=2"]
FIT = ["fit", "iris", "--target", "target", *SMALL, "--set", "training.epochs=20", "--set", "training.batch_size=16"]
LONG = ["fit", "iris", "--target", "target", "--trials", "0", "--budget", "600s", "--quiet", "--set", "data.folds=0"]
LONG += ["--set", "training.epochs=40000", "--set", "training.patience=40000"]
FILES = {"different": ("a.csv", "b.csv"), "missing": ("a.csv", "c.csv")}


def program(folder: Path, port: str) -> int:
    """One process of a pair: runs that can't begin, then one from the command line."""
    found = {}
    with joined() as processes:
        for name, files in FILES.items():
            try:
                run_recipe(Request(str(folder / files[processes.rank]), ("label",)), processes=processes)
            except InputError as error:
                found[name] = str(error), error.tell
    (folder / f"found {processes.rank}").write_text(json.dumps(found), encoding="utf-8")
    os.environ["MASTER_PORT"] = port
    return main([*FIT, "--out", "whole"])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory):
    """Two pairs, running side by side: one to its end, one of which a process is killed."""
    folder = tmp_path_factory.mktemp("together")
    moons(80).write_csv(folder / "a.csv")
    moons(79).write_csv(folder / "b.csv")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRAINWELL_SAVE_EVERY", "0.2")
        running = {
            "killed": Pair(folder, ["-m", "trainwell", *LONG, "--out", "killed"]),
            "whole": Pair(folder, [__file__, str(folder), str(free_port())]),
        }
    yield running
    for pair in running.values():
        pair.stop()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 100
    while not path.exists() and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert path.exists()


def test_when_a_process_is_killed_the_other_says_so_and_one_alone_goes_on(pairs: dict[str, Pair]) -> None:
    pair, path = pairs["killed"], pairs["killed"].folder / "killed"
    wait_for(path / "checkpoints" / "final.previous.safetensors", pair.started[0])
    pair.started[1].send_signal(signal.SIGKILL)
    assert pair.end(0) == (1, "", f"trainwell: error: {LOST}\n")
    assert pair.end(1)[0] == -signal.SIGKILL
    journal = path / "checkpoints" / "journal.json"
    content = json.loads(journal.read_text(encoding="utf-8"))
    content["entries"]["elapsed"] = 590.0  # little is left: it ends soon
    journal.write_text(json.dumps(content), encoding="utf-8")
    assert main(["resume", str(path)]) == 0
    resumed = load_run(path)
    assert resumed.result["test"]["accuracy"] > 0.6 and resumed.result["environment"]["processes"] == "1"


@pytest.fixture(scope="module")
def run(pairs: dict[str, Pair]) -> Run:
    """What two processes made together; the second one said nothing."""
    code, out, err = pairs["whole"].end(0)
    assert code == 0 and out.splitlines()[-1] == str(Path("whole", "report.html")) and "10/10" in err
    assert pairs["whole"].end(1) == (0, "", "")
    return load_run(pairs["whole"].folder / "whole")


def test_two_processes_write_one_run(run: Run) -> None:
    names = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()}
    assert {"plan.yaml", "result.json", "findings.jsonl", "vitals.parquet", "trials.parquet", "log.txt"} <= names
    assert {"model/weights.safetensors", "model/README.md", "report.html"} <= names
    assert run.result["environment"]["processes"] == "2" and run.result["test"]["accuracy"] > 0.6


def test_two_processes_find_what_one_finds(run: Run, tmp_path: Path) -> None:
    assert main([*FIT, "--out", str(tmp_path / "alone"), "--quiet"]) == 0
    alone = load_run(tmp_path / "alone")
    assert run.plan == alone.plan
    assert isinstance(run.ensemble, Ensemble) and isinstance(alone.ensemble, Ensemble)
    np.testing.assert_allclose(run.ensemble.theta.numpy(), alone.ensemble.theta.numpy(), atol=1e-3)
    assert run.trials.select("trial", "rung", "outcome").equals(alone.trials.select("trial", "rung", "outcome"))


def test_what_is_wrong_in_one_process_is_told_by_one_and_ends_all(run: Run) -> None:
    one, other = (json.loads((run.path.parent / f"found {rank}").read_text(encoding="utf-8")) for rank in range(2))
    (different, tells), (same, tells_too) = one["different"], other["different"]
    assert different == same and (tells, tells_too) == (True, False)
    assert different.startswith(
        "Process 1 has another data set than process 0: 79 rows of 4 columns, checksum "
    ) and different.endswith("; start all with the same command, files and versions.")
    (missing, tells), (same, tells_too) = one["missing"], other["missing"]
    assert missing == same and (tells, tells_too) == (False, True)
    assert missing.startswith("Process 1: ") and "c.csv" in missing
    assert not (run.path.parent / "runs").exists()


if __name__ == "__main__":
    sys.exit(program(Path(sys.argv[1]), sys.argv[2]))
