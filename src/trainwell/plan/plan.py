"""The plan: the whole configuration of one training, as frozen plain values, each with who chose it and why.

A value is addressed by its dotted path (`optimizer.learning_rate`). Search draws plans, remedies edit plans, folds and
seeds vary plans: all through `Plan.edited`, which keeps the origin of every value.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from math import isinf
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator

from trainwell.base import Hyper, PlanError, Registry, Search, did_you_mean
from trainwell.data.kinds import Task
from trainwell.ingredients import (
    ACTIVATIONS,
    INITIALISERS,
    LOSSES,
    NORMS,
    OPTIMIZERS,
    REGULARISERS,
    SCHEDULES,
    initialiser_for,
)
from trainwell.plan.sections import (
    DataSection,
    EnsembleSection,
    InitialiserSection,
    LossSection,
    NetworkSection,
    Number,
    OptimizerSection,
    RegularisationSection,
    ScheduleSection,
    SearchSection,
    Section,
    TrainingSection,
)

Author = Literal["user", "default", "data", "search", "remedy"]


class Origin(Section):
    """Who chose a value, and why."""

    by: Author
    why: str


NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)  # 2020-13-45 is a ValueError, 1000 brackets are the last
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the quick one; its loader falls over deep brackets
STANDARD = Origin(by="default", why="trainwell's standard value")


class Plan(Section):
    """The description of one training.

    >>> plan = Plan().edited({"optimizer.learning_rate": 0.01}, by="user", why="--set")
    >>> plan.optimizer.learning_rate, plan.origin("optimizer.learning_rate").by
    (0.01, 'user')
    >>> Plan.from_yaml(plan.to_yaml()) == plan
    True
    """

    version: Literal[1] = Field(default=1, description="version of this file's format")
    task: Literal["auto", Task] = Field(default="auto", description="what is predicted; auto: inferred from the target")
    seed: Annotated[int, Field(ge=0, lt=2**63), Number] = Field(
        default=0, description="every random stream starts here"
    )
    data: DataSection = DataSection()
    network: NetworkSection = NetworkSection()
    initialiser: InitialiserSection = InitialiserSection()
    loss: LossSection = LossSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    regularisation: RegularisationSection = RegularisationSection()
    training: TrainingSection = TrainingSection()
    search: SearchSection = SearchSection()
    ensemble: EnsembleSection = EnsembleSection()
    origins: dict[str, Origin] = Field(
        default={}, description="by path: who chose a value and why; absent: trainwell's default"
    )

    @field_validator("network", "initialiser", "loss", "optimizer", "schedule")
    @classmethod
    def _names_are_known(cls, section: Section, info: ValidationInfo) -> Section:
        for path, registry in NAMED.items():
            place, _, field = path.partition(".")
            if place == info.field_name and getattr(section, field) != "auto":
                registry[getattr(section, field)]
        return section

    def get(self, path: str) -> Any:
        """The value at a dotted path."""
        value: Any = self
        for part in resolve(path).split("."):
            value = getattr(value, part)
        return value

    def chosen(self, path: str) -> str:
        """The name of the ingredient at this path ("optimizer.name"), with auto resolved where the plan alone tells."""
        name = self.get(path)
        if path == "initialiser.name" and name == "auto":
            return initialiser_for(self.network.activation)
        return name

    def standard(self, path: str) -> float | None:
        """The standard value of a hyperparameter of the chosen ingredient; None: it has none of this name."""
        name = hypers().get(path)
        if name is None or self.chosen(name) not in NAMED[name]:
            return None
        return NAMED[name].standard(self.chosen(name)).get(path.partition(".")[2])

    def uses(self, path: str) -> bool:
        """Whether a value means something here: False for a hyperparameter of an ingredient that is not chosen.

        >>> Plan().uses("optimizer.beta2"), Plan().uses("optimizer.rho")
        (True, False)
        """
        return path not in hypers() or self.standard(path) is not None

    def effective(self, path: str) -> Any:
        """The value at a dotted path; where it is left open, the standard value of the chosen ingredient.

        >>> Plan().get("optimizer.beta2"), Plan().effective("optimizer.beta2")
        (None, 0.999)
        """
        value, path = self.get(path), resolve(path)
        return self.standard(path) if value is None else value

    def origin(self, path: str) -> Origin:
        """Who chose the value at this path."""
        return self.origins.get(path, STANDARD)

    def chosen_by_user(self, path: str) -> bool:
        """Whether the user fixed this value, so that nothing else may change it."""
        return self.origin(path).by == "user"

    def edited(self, values: Mapping[str, Any], *, by: Author, why: str) -> "Plan":
        """A copy with these values (by dotted path), validated, and their origin noted.

        Raises:
            PlanError: an unknown path, or a value of the wrong type or range.
        """
        tree = self.model_dump()
        for path, value in values.items():
            full = resolve(path)
            *parents, leaf = full.split(".")
            place = tree
            for parent in parents:
                place = place[parent]
            place[leaf] = value
            tree["origins"][full] = {"by": by, "why": why}
        return validated(tree)

    @classmethod
    def from_yaml(cls, source: str | Path) -> "Plan":
        """Read a plan from a file's path or from YAML text.

        Values the file names without an origin are the user's; those it does not name stay open for data and search.

        Raises:
            PlanError: no such file, not YAML, an unknown key, a wrong type or range.
        """
        tree = _parse(source)
        origins = tree.get("origins") or {}
        if not isinstance(origins, dict):
            raise PlanError("Plan: 'origins' must be a mapping of paths to {by, why}.")
        named = {path: {"by": "user", "why": "given in the plan"} for path in _leaves(tree) if path not in origins}
        for path in origins:
            if path not in paths():
                raise PlanError(f"Plan: unknown key 'origins.{path}'.{did_you_mean(path, paths())}")
        kept = {path: origin for path, origin in origins.items() if origin != STANDARD.model_dump()}
        return validated({**tree, "origins": {**named, **kept}})

    def to_yaml(self, path: Path | None = None) -> str:
        """The plan as YAML text, also written to `path` if given; reads back equal."""
        tree = self.model_dump(mode="json")
        tree["origins"] = {p: self.origin(p).model_dump() for p in paths()}
        text = yaml.dump(tree, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=120)
        if path is not None:
            path.write_text(text, encoding="utf-8")
        return text


NAMED: dict[str, Registry[Any]] = {
    "network.activation": ACTIVATIONS,
    "network.norm": NORMS,
    "initialiser.name": INITIALISERS,
    "loss.name": LOSSES,
    "optimizer.name": OPTIMIZERS,
    "schedule.name": SCHEDULES,
}
"""Values that are the name of an ingredient, by path."""


@cache
def hypers() -> dict[str, str]:
    """The paths of all hyperparameters of ingredients, each with the path of the name it belongs to."""
    return {f"{name.partition('.')[0]}.{hyper}": name for name, r in NAMED.items() for hyper in r.hypers}


def described(path: str) -> Hyper | None:
    """What the registries say of a value: of an ingredient's hyperparameter, or a regulariser's strength."""
    section, _, name = path.partition(".")
    if section == "regularisation":
        return REGULARISERS[name].hyper
    return NAMED[hypers()[path]].hypers[name] if path in hypers() else None


def searched(path: str) -> Search | None:
    """What the search draws a value from, as its field says, or its ingredient; None: it is not searched."""
    section, _, name = path.rpartition(".")
    model = Plan.model_fields[section].annotation if section else Plan
    assert isinstance(model, type) and issubclass(model, Section)
    said = [part for part in model.model_fields[name].metadata if isinstance(part, Search)]
    hyper = described(path)
    return said[0] if said else hyper.search if hyper else None


def unregularised() -> dict[str, Any]:
    """The values, by path, under which nothing regularises a training: for sanity checks (rows B2, B3)."""
    off = {f"regularisation.{name}": None if isinf(r.off) else r.off for name, r in REGULARISERS.items()}
    return {**off, "optimizer.weight_decay": 0.0, "loss.label_smoothing": 0.0}


@cache
def paths() -> tuple[str, ...]:
    """All dotted paths of a plan, in its order."""
    return tuple(_paths(Plan, ""))


def _paths(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _paths(kind, f"{prefix}{name}.")
        elif name not in ("origins", "version"):
            yield prefix + name


@cache
def resolve(path: str) -> str:
    """The full path of a value, from its path or from its last name where that is unique.

    >>> resolve("learning_rate")
    'optimizer.learning_rate'
    """
    known = paths()
    if path in known:
        return path
    ends = [full for full in known if full.rpartition(".")[2] == path]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise PlanError(f"Plan: '{path}' may mean {' or '.join(ends)}; write it in full.")
    raise PlanError(f"Plan: unknown key '{path}'.{_nearest(path, [p.rpartition('.')[2] for p in known])}")


def _nearest(path: str, more: Sequence[str]) -> str:
    """What was meant by an unknown path: a name within its section if one is near, else any path or one of `more`."""
    section, dot, _ = path.partition(".")
    within = [p for p in paths() if dot and p.startswith(f"{section}.")]
    begun = [p for p in (*NAMED, *within) if p == f"{path}.name" or (dot and p.startswith(path))]
    near = f" Did you mean '{begun[0]}'?" if begun else did_you_mean(path, within)
    return near or did_you_mean(path, [*paths(), *more])


def apply_settings(plan: Plan, settings: Mapping[str, str]) -> Plan:
    """A plan with `--set key=value` applied; the values are read as YAML.

    >>> apply_settings(Plan(), {"batch_size": "64"}).training.batch_size
    64
    """
    values = {key: _scalar(key, text) for key, text in settings.items()}
    return plan.edited(values, by="user", why="--set")


def _scalar(key: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except NOT_YAML as error:
        raise PlanError(f"--set {key}: '{text}' is not a value.") from error
    return _number(value)


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-3` as text; a person means the number."""
    for kind in (int, float) if isinstance(value, str) else ():
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _parse(source: str | Path) -> dict[str, Any]:
    is_text = isinstance(source, str) and ("\n" in source or ": " in source)
    name = "the text" if is_text else str(source)
    if is_text:
        text = str(source)
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise PlanError(f"Plan: cannot read '{source}': {_reason(error)}.") from error
    try:
        tree = yaml.safe_load(text)
    except NOT_YAML as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise PlanError(f"Plan: {name} is not YAML{line}; write lines such as 'seed: 1'.") from error
    if not isinstance(tree, dict):
        raise PlanError(f"Plan: {name} must be a mapping of sections, such as 'optimizer: {{learning_rate: 0.01}}'.")
    return tree


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or "unreadable").lower() if isinstance(error, OSError) else "not UTF-8 text"


def _leaves(tree: Mapping[str, Any]) -> Iterator[str]:
    """The paths of the values a mapping names; unknown ones are left for the validation to report."""
    for path in paths():
        section, _, leaf = path.rpartition(".")
        place = tree.get(section) if section else tree
        if isinstance(place, Mapping) and leaf in place:
            yield path


def validated(tree: Mapping[str, Any]) -> Plan:
    """A plan from nested plain values; the first fault as one line."""
    sections = {
        key: {k: _number(v) for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in tree.items()
    }
    try:
        return Plan.model_validate(sections)
    except ValidationError as error:
        raise PlanError(_line(error.errors()[0])) from error


def _line(fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if path in paths() and fault["type"] == "extra_forbidden":
        section, _, leaf = path.rpartition(".")
        return f"Plan: write '{path}' in a file as '{section}: {{{leaf}: ...}}'."
    if fault["type"] == "model_type":
        return f"Plan: {path} = {fault['input']!r}: must be a mapping of its values; leave it out for standard ones."
    if fault["type"] == "extra_forbidden":
        return f"Plan: unknown key '{path}'.{_nearest(path, [full.partition('.')[0] for full in paths()])}"
    if fault["type"] == "value_error" and isinstance(fault["ctx"]["error"], PlanError):
        return f"Plan: {path}: {fault['ctx']['error']}"
    if path == "version":
        return f"Plan: version {fault['input']!r} is not known; this trainwell writes and reads version 1."
    return f"Plan: {path} = {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}{_range(path)}."


def _range(path: str) -> str:
    """The whole range of an ingredient's hyperparameter or a regulariser's strength, where it has two ends."""
    hyper = described(path)
    return f" ({hyper.range})" if hyper is not None and " and " in hyper.range else ""
