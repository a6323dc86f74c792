"""When a NaN is traced: before the update that spreads it to all weights, or later with weights that were kept."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.vitals.origin import Origin, locate, not_finite, of_backward


class Tracer:
    """Finds where the first NaN of a training was made.

    Args:
        root: the module as the user calls it. model: the one inside of wrappers.

    Attributes:
        origin: what made it, or None. found: whether there was one. kept: weights of before it, by name, or None.
    """

    def __init__(self, root: nn.Module, model: nn.Module) -> None:
        self.origin: Origin | None = None
        self.found = False
        self.kept: dict[str, Tensor] | None = None
        self._root, self._model = root, model
        self._own, self._copies = list[nn.Parameter](), list[Tensor]()

    def now(self, given: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """A gradient is not finite, and the weights before its update are still there.

        Args:
            given: what went into the pass, if it is known; else it is looked for again when the step tells the inputs.
        """
        self.found = True
        if given is None:
            self.origin = of_backward(self._model)
            self.keep()
        else:
            self.origin = _of_pass(*locate(self._root, *given))

    @torch.no_grad()
    def keep(self) -> None:
        """A copy of the weights as they are, in the place of the one before."""
        if self.kept is None:
            named = dict(self._model.named_parameters())
            self.kept, self._own = {name: p.detach().clone() for name, p in named.items()}, list(named.values())
            self._copies = list(self.kept.values())
        elif not self.found:
            own: list[Any] = self._own
            torch._foreach_copy_(self._copies, own)  # pyright: ignore[reportPrivateImportUsage]

    def later(self, inputs: object) -> None:
        """The same with the weights that were kept, when only the step tells what went in."""
        kept, self.kept, self._copies, self.found = self.kept, None, [], True
        if isinstance(inputs, Tensor):
            self.origin = _of_pass(*locate(self._model, (inputs,), {}, kept)) or self.origin


def _of_pass(origin: Origin | None, outputs: object) -> Origin | None:
    """Where the pass made nothing that is not finite, the loss did."""
    if origin is None and isinstance(outputs, Tensor) and not not_finite(outputs):
        return Origin("loss", low=float(outputs.min()), high=float(outputs.max()))
    return origin
