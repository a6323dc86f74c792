"""What enters a user's module: the inputs of a training pass, and passes without gradients, in which mode; and what is
told of updates. Where steps are short both are listened to only when there is something to be seen."""

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.vitals.dropping import Dropping
from trainwell.vitals.gathered import NEVER, SHORT, Pace
from trainwell.vitals.inside import Hook, transformed
from trainwell.vitals.program import modal_layers

LEAN_FROM, TIMED, SMALL = 32, 16, 2**22
"""From this step on, where steps are short, hooks at each of them cost too much; so many are timed. Without hooks a NaN
is traced with a copy of the weights, if they are no more numbers than so many."""


FIRST_PASSES = 2
"""In evaluation mode, in which it is seen whether units are dropped."""


class Door:
    """A hook at the module's door. Where steps are short it is there only when a judgement is expected.

    Args:
        model: the module. judge: is given the rows of each pass without gradients.

    Attributes:
        given: what went in at the last training pass, until its update is over.
        lean: whether steps are so short.
        passes: without gradients since the last step: in training mode, in evaluation mode.
        dropped: the function that dropped units in one of the first passes in evaluation mode, or "".
    """

    def __init__(self, model: nn.Module, judge: Callable[[Tensor], None]) -> None:
        self.given: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.passes = [0, 0]
        self._model, self._judge, self._hook = model, judge, None
        self._times: list[float] = []
        self.lean, self._last, self._expected = False, 0, -1
        self.dropped, self._unseen = "", FIRST_PASSES

    def open(self) -> None:
        """See what enters; of a module that is compiled in place nothing is seen."""
        if self._hook is None and getattr(self._model, "_compiled_call_impl", None) is None:
            self._hook = self._model.register_forward_pre_hook(Hook(self._entered), with_kwargs=True)

    def shut(self) -> None:
        """See it no more."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def watched(self, step: int) -> bool:
        """Whether there is anything to do after this step."""
        return self._hook is not None or step in (LEAN_FROM, self._expected)

    def next(self, step: int) -> int:
        """The first step after this one for which `watched` may hold, or one before it."""
        return step if self._hook is not None else self._expected if self._expected > step else NEVER

    def keep(self, step: int, pace: Pace) -> None:
        """After a step: open or shut, as its time asks."""
        if LEAN_FROM - TIMED <= step <= LEAN_FROM:
            self._times.append(pace.clock())
        if step == LEAN_FROM:
            steps = [end - begin for begin, end in zip(self._times, self._times[1:], strict=False)]
            small = sum(p.numel() for p in self._model.parameters()) <= SMALL
            self.lean = small and median(steps) < SHORT  # of neither a look nor another program that came between
        if self.lean:
            (self.open if step == self._expected else self.shut)()

    def forget(self) -> bool:
        """A step is over; gives whether there were passes that belong to no judgement."""
        self.given = None
        seen = bool(self.passes[0] or self.passes[1])
        if seen:
            self.passes = [0, 0]
        return seen

    def judged(self, step: int) -> None:
        """A judgement came; the next is expected after as many steps."""
        self.passes = [0, 0]
        self._last, self._expected = step, 2 * step - self._last

    def _entered(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.compiler.is_compiling() or transformed():  # the pass is traced, and its numbers are not there
            return
        if torch.is_grad_enabled():
            self.given = args, kwargs
            return
        layers = modal_layers(module) or [module]  # a part may be set apart, as one that stays as it is
        self.passes[0 if any(layer.training for layer in layers) else 1] += 1
        if not module.training and self._unseen:
            self._unseen -= 1
            self._see_dropping(module)
        if args and isinstance(args[0], Tensor):
            self._judge(args[0])

    def _see_dropping(self, module: nn.Module) -> None:
        """Until the pass is over."""
        mode = Dropping()

        def over(*ignored: object) -> None:
            handle.remove()
            mode.__exit__(None, None, None)
            self.dropped = self.dropped or next(iter(mode.found), "")

        handle = module.register_forward_hook(Hook(over), always_call=True)
        mode.__enter__()


class Ears:
    """Hooks of optimizers.

    Args:
        told: is called just before each update, as `register_step_pre_hook` calls.

    Attributes:
        optimizers: that are listened to. hooks: at present.
    """

    def __init__(self, told: Callable[..., Any]) -> None:
        self.optimizers: list[Any] = []
        self.hooks: list[Any] = []
        self._told = told

    def open(self) -> None:
        """Be told of updates from now on."""
        if not self.hooks:
            self.hooks = [optimizer.register_step_pre_hook(self._told) for optimizer in self.optimizers]

    def shut(self) -> None:
        """Be told no more."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
