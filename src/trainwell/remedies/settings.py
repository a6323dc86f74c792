"""A training's settings as plain values in the vocabulary of changes, and two of them side by side."""

from typing import Any, NamedTuple

from torch import nn

from trainwell.remedies.look import Look
from trainwell.remedies.surgery_modules import ANY_ACTIVATION
from trainwell.remedies.training import Training

Values = dict[str, Any]
NOTHING = "—"


class Settings(NamedTuple):
    """Settings by path, before and after; printed as what differs."""

    before: Values
    after: Values

    def __str__(self) -> str:
        paths = list(dict.fromkeys([*self.before, *self.after]))
        changed = [p for p in paths if self.before.get(p) != self.after.get(p)]
        if not changed:
            return "nothing changed"
        width = max(map(len, changed))
        return "\n".join(f"{path:<{width}}  {_told(self.before, path)} → {_told(self.after, path)}" for path in changed)


def _told(values: Values, path: str) -> str:
    value = values.get(path)
    return NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def settings_of(look: Look) -> Values:
    """What can be told of a training, by the paths of the vocabulary."""
    training, group = look.training, look.group
    values: Values = {
        "optimizer.name": look.optimizer,
        "optimizer.learning_rate": look.rate,
        "optimizer.momentum": group.get("momentum"),
        "optimizer.weight_decay": group.get("weight_decay"),
        "regularisation.clip_norm": training.clip_norm,
        "regularisation.dropout": max(look.dropouts, default=None),
        "training.batch_size": training.batch_size,
        "training.epochs": training.epochs,
        "schedule.name": training.schedule,
        "data.scale_inputs": "standardise" if training.scale_inputs else None,
        "data.scale_targets": "standardise" if training.scale_targets else None,
        "loss.name": _loss(training, look.loss),
        "module.output": look.end,
        "module.outputs": look.outputs,
        "module.activation": _activation(look),
        "module.trainable": "all" if all(p.requires_grad for p in look.module.parameters()) else "some",
    }
    kinds = {nn.RNN: "rnn", nn.GRU: "gru", nn.LSTM: "lstm"}
    values["module.recurrent"] = next((kinds[type(m)] for m in look.module.modules() if type(m) in kinds), None)
    return {path: value for path, value in values.items() if value is not None}


def _loss(training: Training, name: str) -> str:
    own = getattr(training.loss_fn, "__name__", type(training.loss_fn).__name__)
    return name if name not in ("own", "fails") else own


def _activation(look: Look) -> str | None:
    hidden = look.activations[:-1] if look.end in ("sigmoid", "tanh", "relu") else look.activations
    modules = [type(m).__name__.lower() for m in look.module.modules() if isinstance(m, ANY_ACTIVATION)]
    return hidden[0] if hidden else (modules[0] if modules and look.end == "identity" else None)
