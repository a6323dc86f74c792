"""The sections of a plan: frozen models of plain values with their ranges, standard values and meaning.

A new value is one line here; the file format, `--set`, the reference page and the search space read these fields.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from trainwell.data.kinds import ColumnKind


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


class DataSection(Section):
    """How the table becomes tensors."""

    columns: dict[str, ColumnKind] = Field(default={}, description="kinds of columns, where the inferred one is wrong")
    encoding: Literal["plain", "piecewise-linear"] = Field(
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


class NetworkSection(Section):
    """The structure of the network; members of one population share it."""

    depth: Annotated[int, Field(ge=0, le=64), Number] = Field(default=2, description="hidden layers")
    width: Count = Field(default=128, description="units of a hidden layer")
    activation: str = Field(default="relu", description="non-linearity after each hidden layer")
    norm: Literal["none", "batch", "layer"] = Field(
        default="none", description="normalisation before the non-linearity"
    )
    residual: bool = Field(
        default=False, description="add each hidden layer's input to its output where the widths agree"
    )


class InitialiserSection(Section):
    """The first weights."""

    name: str = Field(default="auto", description="scheme; auto follows the activation (Glorot, He or LeCun)")
    gain: Positive = Field(default=1.0, description="factor on the scheme's standard deviation")


class LossSection(Section):
    """What is minimised."""

    name: str = Field(default="auto", description="auto follows the task: cross-entropy for classes, mse for numbers")
    label_smoothing: Fraction = Field(default=0.0, description="share of each target spread over all classes")


class OptimizerSection(Section):
    """How weights follow gradients."""

    name: str = Field(default="adamw", description="update rule")
    learning_rate: Positive = Field(default=1e-3, description="η, the peak of the schedule")
    weight_decay: NonNegative = Field(
        default=0.01, description="λ; coupled as L2 in sgd, momentum, adam; decoupled in adamw"
    )
    momentum: Fraction = Field(default=0.9, description="γ of momentum, β1 of Adam")
    beta2: Fraction = Field(default=0.999, description="β2 of Adam")
    epsilon: Positive = Field(default=1e-8, description="ε of Adam, outside the root")


class ScheduleSection(Section):
    """The learning rate over time."""

    name: str = Field(default="cosine", description="shape of the rate over the run")
    warmup: Fraction = Field(default=0.0, description="share of the run over which the rate rises linearly from 0")


class RegularisationSection(Section):
    """What keeps the network from learning by heart."""

    dropout: Fraction = Field(default=0.1, description="share of hidden units silenced in each step")
    clip_norm: Positive | None = Field(
        default=None, description="largest global gradient norm of a member; null: no clipping"
    )


class TrainingSection(Section):
    """How long, in what portions."""

    batch_size: Count = Field(default=256, description="samples a step")
    epochs: Count = Field(default=50, description="passes over the training part at the most")
    patience: Count = Field(default=10, description="evaluations without improvement before a member stops")
    evaluations_per_epoch: Annotated[int, Field(ge=1, le=100), Number] = Field(
        default=1, description="how often validation is measured"
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
