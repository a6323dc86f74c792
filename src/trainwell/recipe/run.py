"""Running the recipe: stage after stage, each recorded; and going on with a run that was stopped."""

import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import sklearn
import torch

from trainwell.base import RunError
from trainwell.base.files import sync
from trainwell.data.facts import plain
from trainwell.diagnosis import write_findings
from trainwell.engine import Alone, Processes, Record
from trainwell.engine.precision import precision_for
from trainwell.plan import Plan
from trainwell.recipe.agreement import agreed_setting
from trainwell.recipe.clock import Clock
from trainwell.recipe.folder import locked, new_folder, require_run, write_json
from trainwell.recipe.intake import STANDARD_BUDGET
from trainwell.recipe.journal import Journal
from trainwell.recipe.judging import findings_of
from trainwell.recipe.kept import Make, check_same_module, remembered_request
from trainwell.recipe.loaded import Run, load_run
from trainwell.recipe.metrics import HIGHER_IS_BETTER, MAIN
from trainwell.recipe.request import Request, Show, silent
from trainwell.recipe.setup import Setting, requested_plan
from trainwell.recipe.stages import STAGES
from trainwell.recipe.streamed_rows import ARRAYS
from trainwell.recipe.workshop import Workshop
from trainwell.version import VERSION

NEEDS = {
    "search": "rate-range",
    "final": "search",
    "healing": "final",
    "test": "final",
}  # a stage is skipped when Ctrl-C cut off what it builds on

TRAINING = ("final", "healing")  # stages that leave a plan and a model


def run_recipe(request: Request, show: Show = silent, processes: Processes | None = None) -> Run:
    """Run all stages on a request and write the run directory.

    Args:
        processes: those that train together; all read the data, process 0 writes, and all read the outcome.

    Raises:
        InputError: the input is at fault; nothing has been written. ProcessError: another process is lost.
    """
    processes = Alone() if processes is None else processes
    began = time.monotonic() if request.started is None else request.started
    setting = agreed_setting(request, processes)
    folder = processes.agree(processes.attempt(lambda: new_folder(request.out) if processes.writes else Path()))
    with _held(folder, processes):
        journal = Journal(folder / "checkpoints" / "journal.json", processes)
        if processes.writes:
            _remember_request(request, setting, folder, journal)
        clock = Clock(request.budget or STANDARD_BUDGET, time.monotonic() - began, processes)
        return _run(request, setting, folder, journal, clock, show)


def resume_run(path: Path, show: Show = silent, *, make: Make | None = None, processes: Processes | None = None) -> Run:
    """Go on with a run that was killed or interrupted; a finished one is left as it is.

    Args:
        make: the factory of the run's module, where it trains one of the user's own.
        processes: as of `run_recipe`; as many as there are now, however many there were.

    Raises:
        RunError: no run, damaged, in use, or its module is not given. ProcessError: another process is lost.
    """
    processes = Alone() if processes is None else processes
    processes.attempt(lambda: require_run(path))
    journal = Journal(path / "checkpoints" / "journal.json", processes)
    if journal.entries.get("finished"):
        if processes.writes:
            _tidy(path)
        return load_run(path, make=make)
    if "request" not in journal:
        processes.attempt(lambda: _never_began(path))
    asked = journal.entries["request"]
    request = processes.attempt(lambda: remembered_request(path, asked, make))
    with _held(path, processes):
        setting = agreed_setting(request, processes)
        check_same_module(setting, path, asked)
        clock = Clock(request.budget or STANDARD_BUDGET, float(journal.entries.get("elapsed", 0.0)), processes)
        return _run(request, setting, path, journal, clock, show)


def _never_began(path: Path) -> None:
    raise RunError(f"The run '{path}' was stopped before it began; start it anew with 'trainwell fit'.")


@contextmanager
def _held(path: Path, processes: Processes) -> Iterator[None]:
    """The run directory locked, by the process that writes."""
    with ExitStack() as stack:
        processes.attempt(lambda: stack.enter_context(locked(path)) if processes.writes else None)
        yield


def _remember_request(request: Request, setting: Setting, folder: Path, journal: Journal) -> None:
    """Keep the request and the data as they came until the run is finished: a resumed run finds the same in them."""
    asked = {
        "kind": setting.material.kind,
        "plan": requested_plan(request).to_yaml(),
        "targets": list(request.targets),
        "task": request.task,
        "budget": request.budget,
        "test_size": request.test_size,
        "device": request.device,
        "only_check": request.only_check,
        **setting.material.keep(folder / "checkpoints"),
    }
    sync(folder)
    journal.note("request", asked)


def _run(request: Request, setting: Setting, folder: Path, journal: Journal, clock: Clock, show: Show) -> Run:
    names = tuple(name for name, stage in STAGES.items() if stage.preflight or not request.only_check)
    processes = clock.processes
    ws = setting.workshop(folder, clock, journal, show if processes.writes else silent, names)
    _settle_precision(ws)
    if processes.writes:
        ws.plan.to_yaml(folder / "plan.yaml")
    done: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    with clock.listening():
        for name in names:
            processes.tick()
            if clock.interrupted and f"stage.{name}" not in journal and NEEDS.get(name) not in ws.carry:
                done.append({"name": name, "passed": None, "evidence": {"why": "interrupted before this stage"}})
                continue
            done.append(_stage(ws, name, seconds))
            done = _with_retrained(ws, done)
            if processes.writes:
                _write_result(ws, done, seconds)
        processes.tick()
        if processes.writes:
            _finish(ws, done, seconds)
        processes.tick()  # the others read what is written now
    return load_run(folder, make=request.make)


def _settle_precision(ws: Workshop) -> None:
    """Choose between float32 and bfloat16 where the user did not; a resumed run stays with it, wherever it goes on."""
    if ws.plan.training.precision != "auto":
        return
    structure = ws.material.structure(ws.plan)
    chosen, why = ws.journal.remember("precision", lambda: precision_for(structure, ws.device))
    ws.plan = ws.plan.edited({"training.precision": chosen}, by="data", why=why)


def _stage(ws: Workshop, name: str, seconds: dict[str, float]) -> dict[str, Any]:
    """Run a stage, or take what the journal remembers of it."""
    ws.stage, key = name, f"stage.{name}"
    remembered = ws.journal.entries.get(key)
    if remembered is None:
        alone = STAGES[name].alone and not ws.processes.writes
        remembered = ws.processes.agree({} if alone else _outcome(ws, name))
        if not ws.clock.interrupted:
            ws.journal.note(key, remembered, elapsed=ws.clock.spent)
    elif "plan" in remembered:
        ws.plan = Plan.from_yaml(remembered["plan"])
    ws.carry[name] = remembered["carry"]
    seconds[name] = remembered["seconds"]
    return {"name": name, "passed": remembered["passed"], "evidence": remembered["evidence"]}


def _with_retrained(ws: Workshop, done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages, where healing trained the final networks anew with these as the final ones."""
    anew = ws.carry.get("healing", {}).get("final")
    if anew is None:
        return done
    ws.carry["final"] = anew["carry"]
    final = {"name": "final", "passed": anew["passed"], "evidence": anew["evidence"]}
    return [final if stage["name"] == "final" else stage for stage in done]


def _outcome(ws: Workshop, name: str) -> dict[str, Any]:
    """Run a stage: what is remembered of it."""
    began = time.monotonic()
    ws.progress(0.0, "")
    result = STAGES[name].run(ws)
    found = {"passed": result.passed, "evidence": result.evidence, "carry": result.carry}
    if name in TRAINING:
        found["plan"] = ws.plan.to_yaml()
        sync(ws.folder)  # the model must not be lost where the journal says that there is one
    return plain({**found, "seconds": time.monotonic() - began})


def _write_result(ws: Workshop, stages: list[dict[str, Any]], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Write `result.json` with what is known so far."""
    evidence = {stage["name"]: stage["evidence"] for stage in stages}
    test, validation = evidence.get("test", {}).get("metrics", {}), evidence.get("final", {}).get("validation", {})
    main = MAIN[ws.facts.task]
    result = {
        "task": ws.facts.task,
        "kind": ws.material.kind,
        "targets": list(ws.facts.targets),
        "metric": {
            "name": main,
            "value": test.get(main, validation.get(main)),
            "higher_is_better": HIGHER_IS_BETTER[main],
        },
        "validation": validation,
        "test": test,
        "baselines": evidence.get("baselines", {}).get("scores", {}),
        "members": evidence.get("final", {}).get("members", 0),
        "trials": evidence.get("search", {}).get("trials", 0),
        "seconds": {**seconds, "total": ws.clock.spent},
        "seed": ws.plan.seed,
        "version": VERSION,
        "format": 1,
        "source": ws.facts.source,
        "budget": ws.clock.budget,
        "interrupted": ws.clock.interrupted,
        "stages": stages,
        "environment": _environment(ws),
    }
    write_json(ws.folder / "result.json", plain(result))
    return result


def _environment(ws: Workshop) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "polars": pl.__version__,
        "device": str(ws.device),
        "threads": str(torch.get_num_threads()),
        "processes": str(ws.processes.world),
    }


def _finish(ws: Workshop, stages: list[dict[str, Any]], seconds: Mapping[str, float]) -> None:
    """Write what stands beside `result.json`, and drop what only a resume needed."""
    folder, vitals = ws.folder, ws.folder / "vitals.parquet"
    ws.plan.to_yaml(folder / "plan.yaml")
    if not vitals.exists():
        Record().write(vitals)
    trials = ws.carry.get("search", {}).get("trial_rows", [])
    pl.DataFrame(trials, infer_schema_length=None).write_parquet(folder / "trials.parquet")
    write_findings(folder / "findings.jsonl", findings_of(ws, Record.from_frame(pl.read_parquet(vitals))))
    (folder / "model").mkdir(exist_ok=True)
    ws.material.save(folder / "model", ws.plan)
    _write_result(ws, stages, seconds)
    _log(ws, stages, seconds)
    if not ws.clock.interrupted:
        sync(folder)
        ws.journal.note("finished", True)  # before anything goes: a run killed between could not be resumed
        _tidy(folder)


def _tidy(folder: Path) -> None:
    """Drop what only a resume needs."""
    for path in (folder / "checkpoints").iterdir():
        if path.name == ARRAYS:
            shutil.rmtree(path)
        elif path.suffix in (".parquet", ".safetensors"):
            path.unlink()


def _log(ws: Workshop, stages: list[dict[str, Any]], seconds: Mapping[str, float]) -> None:
    """`log.txt`: one line a stage."""
    words = {True: "passed", False: "FAILED", None: "done"}
    lines = [f"{s['name']:15} {words[s['passed']]:7} {seconds.get(s['name'], 0.0):8.2f} s" for s in stages]
    text = "\n".join(
        [
            f"trainwell {VERSION}, {ws.facts.source}",
            *lines,
            *ws.facts.notes,
            *ws.journal.entries.get("log", []),
            f"total {ws.clock.spent:.2f} s of {ws.clock.budget:g} s",
            "",
        ]
    )
    (ws.folder / "log.txt").write_text(text, encoding="utf-8")
