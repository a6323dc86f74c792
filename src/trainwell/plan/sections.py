"""The sections of a plan: frozen models of plain values with their ranges, standard values and meaning.

A new value is one line here; the file format, `--set`, the reference page and the search space read these fields: a
value is searched where its field says what to draw, or where its ingredient does.

The ranges of the search are those of RealMLP and TabM (practice.md 4.1, 4.2), narrowed to what a small CPU trains in
minutes.
"""

from collections.abc import Callable
from math import isinf
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from trainwell.base import Between, Hyper, OneOf, Registry
from trainwell.data.kinds import ColumnKind
from trainwell.ingredients import (
    ACTIVATIONS,
    INITIALISERS,
    LOSSES,
    NORMS,
    OPTIMIZERS,
    REGULARISERS,
    SCHEDULES,
)


def _number(value: object) -> object:
    """What it is, unless it is a truth value: those are no numbers, though Python counts them as 0 and 1."""
    if isinstance(value, bool):
        raise ValueError("input should not be true or false")
    return value


Number = BeforeValidator(_number)
Count = Annotated[int, Field(ge=1), Number]
Fraction = Annotated[float, Field(ge=0, lt=1), Number]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Number]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), Number]


class Section(BaseModel):
    """A part of the plan: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _class_name(name: object) -> object:
    """A class by its name; numbers are names too."""
    if isinstance(name, bool):
        raise ValueError("YAML reads yes, no, on and off as truth values; write the class in quotes")
    return str(name) if isinstance(name, int | float) else name


ClassName = Annotated[str, BeforeValidator(_class_name)]
S = TypeVar("S", bound=Section)


def choosing(registry: Registry[Any]) -> Callable[[type[S]], type[S]]:
    """Give a section a value for each hyperparameter of a family; null: the standard value of the member chosen."""

    def extend(section: type[S]) -> type[S]:
        return _with(section, {name: _field(hyper, registry.users(name)) for name, hyper in registry.hypers.items()})

    return extend


def regularising(section: type[S]) -> type[S]:
    """Give a section a value for each regulariser that it does not have yet: its strength, or the value for none."""
    missing = {name: r for name, r in REGULARISERS.items() if name not in section.model_fields}
    fields = {}
    for name, r in missing.items():
        off = None if isinf(r.off) else r.off
        says = f"{r.hyper.doc}; null: off" if off is None else r.hyper.doc
        fields[name] = (_type(r.hyper, optional=off is None), Field(default=off, description=says))
    return _with(section, fields)


def _with(section: type[S], fields: dict[str, Any]) -> type[S]:
    more: Any = fields
    return create_model(
        section.__name__, __base__=section, __module__=section.__module__, __doc__=section.__doc__, **more
    )


def _field(hyper: Hyper, users: dict[str, float]) -> Any:
    standards = ", ".join(f"{name} ({value:g})" for name, value in users.items())
    return _type(hyper), Field(default=None, description=f"{hyper.doc}; of {standards}")


def _type(hyper: Hyper, *, optional: bool = True) -> Any:
    bounds = {"ge": hyper.least, "gt": hyper.above, "le": hyper.most, "lt": hyper.below}
    given: Any = {sign: value for sign, value in bounds.items() if value is not None}
    if hyper.whole:
        number: Any = Annotated[int, Field(**given), Number]
    else:
        number = Annotated[float, Field(allow_inf_nan=False, **given), Number]
    return number | None if optional else number


class DataSection(Section):
    """How the table becomes tensors."""

    columns: dict[str, ColumnKind] = Field(default={}, description="kinds of columns, where the inferred one is wrong")
    encoding: Annotated[Literal["plain", "piecewise-linear"], OneOf("piecewise-linear", "plain")] = Field(
        default="piecewise-linear",
        description="numbers as one standardised input, or as one input a bin (Gorishniy 2022)",
    )
    bins: Annotated[int, Field(ge=2, le=256), Number] = Field(default=32, description="at most this many bins a number")
    one_hot_limit: Annotated[int, Field(ge=2), Number] = Field(
        default=64, description="more categories than this get an embedding"
    )
    validation_size: Annotated[float, Field(gt=0, lt=1), Number] = Field(
        default=0.2, description="share of rows held out to choose by"
    )
    folds: Annotated[int, Field(ge=0, le=50), Number] = Field(
        default=0, description="cross-validation folds; 0: one held-out part"
    )


@choosing(NORMS)
@choosing(ACTIVATIONS)
class NetworkSection(Section):
    """The structure of the network; members of one population share it."""

    depth: Annotated[int, Field(ge=0, le=64), Number, OneOf(0, 1, 1, 2, 2, 3, 4)] = Field(
        default=2, description="hidden layers"
    )
    width: Count = Field(default=128, description="units of a hidden layer")
    activation: Annotated[str, OneOf("relu", "silu", "selu", "gelu")] = Field(
        default="relu", description="non-linearity after each hidden layer"
    )
    norm: Annotated[str, OneOf("none", "none", "layer", "batch")] = Field(
        default="none", description="normalisation of each hidden layer"
    )
    norm_place: Literal["before", "after"] = Field(
        default="before", description="where the norm stands: before or after the non-linearity"
    )
    weight_norm: Literal["none", "weight", "centred"] = Field(
        default="none",
        description="each unit's weights as direction and length (Salimans & Kingma 2016), also centred (Huang 2017)",
    )
    residual: Annotated[bool, OneOf(False, True)] = Field(
        default=False, description="add each hidden layer's input to its output where the widths agree"
    )


@choosing(INITIALISERS)
class InitialiserSection(Section):
    """The first weights."""

    name: str = Field(default="auto", description="scheme; auto follows the activation (Glorot, He or LeCun)")
    gain: Annotated[Positive, Between(0.5, 1.5, log=True, share=0.3, otherwise=1.0)] = Field(
        default=1.0, description="factor on the scheme's standard deviation"
    )
    activation_gain: bool = Field(
        default=False, description="also multiply by the activation's gain: sigmoid 4, tanh 1, ReLU √2 (for Glorot)"
    )
    fan: Literal["auto", "in", "out", "avg"] = Field(
        default="auto", description="the fan that scales the variance; auto: the scheme's own"
    )
    bias: Annotated[float, Field(allow_inf_nan=False), Number] = Field(
        default=0.0, description="first value of the hidden biases; a little above 0 fires ReLU units up"
    )


@choosing(LOSSES)
class LossSection(Section):
    """What is minimised."""

    name: str = Field(default="auto", description="auto follows the task: cross-entropy for classes, mse for numbers")
    class_weights: dict[ClassName, Positive] = Field(
        default={}, description="weight of a class by its name, 1 for those not named; for losses of classes"
    )


@choosing(OPTIMIZERS)
class OptimizerSection(Section):
    """How weights follow gradients."""

    name: str = Field(default="adamw", description="update rule")
    learning_rate: Positive = Field(default=1e-3, description="η, the peak of the schedule")
    weight_decay: Annotated[NonNegative, Between(1e-4, 0.3, log=True, share=0.7)] = Field(
        default=0.01, description="λ; added to the gradient as L2, or decoupled from it, as the update rule says"
    )
    epsilon_place: Literal["auto", "outside", "inside"] = Field(
        default="auto", description="ε outside or inside the root of the denominator; auto: as the update rule's paper"
    )


@choosing(SCHEDULES)
class ScheduleSection(Section):
    """The learning rate over time."""

    name: str = Field(default="cosine", description="shape of the rate over the run")
    warmup: Fraction = Field(default=0.0, description="share of the run over which the rate rises linearly from 0")


@regularising
class RegularisationSection(Section):
    """What keeps the network from learning by heart, and steps from growing too large."""

    dropout: Fraction = Field(default=0.1, description="share of hidden units silenced in each step")


class TrainingSection(Section):
    """How long, in what portions."""

    batch_size: Count = Field(default=256, description="samples a step")
    epochs: Count = Field(default=50, description="passes over the training part at the most")
    patience: Count = Field(default=10, description="evaluations without improvement before a member stops")
    evaluations_per_epoch: Annotated[int, Field(ge=1, le=100), Number] = Field(
        default=1, description="how often validation is measured"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="of the products in training, weights stay float32; auto: bfloat16 where the processor has it and "
        "the network is wide",
    )
    drop_last: bool = Field(default=False, description="leave out the last, short batch of an epoch")


class SearchSection(Section):
    """How many plans are tried, and how they are thinned out."""

    trials: Annotated[int, Field(ge=0), Number] = Field(default=32, description="plans drawn; 0: no search")
    reduction: Annotated[int, Field(ge=2), Number] = Field(
        default=3, description="η of successive halving: one in η survives a rung"
    )
    rungs: Count = Field(default=3, description="rounds of successive halving")


class EnsembleSection(Section):
    """The final networks, averaged."""

    members: Count = Field(default=8, description="networks trained at the end; their predictions are averaged")
