"""How a population's gradients are computed: as written or compiled, in which numbers, how many members at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from trainwell.base.layout import Views
from trainwell.engine.compiling import say_not_compiled
from trainwell.engine.kernel import Kernel, kernel_for
from trainwell.engine.memory import Portions, is_out_of_memory
from trainwell.engine.objective import Given, objective, slopes_of
from trainwell.engine.size import free_bytes, portion_that_fits
from trainwell.ingredients import LOSSES
from trainwell.networks import Noise, Tap
from trainwell.networks.members import halves_weights
from trainwell.networks.structure import Structure
from trainwell.plan import Plan

NoiseOf = Callable[[slice | None], Noise | None]


class Passes:
    """There and back through a population.

    Args:
        structure, plan: of all members. members: K at the beginning. batch: samples of a full one.
        updates: planned; tells whether compiling pays.

    Attributes:
        portions: members computed at once: as many as fit, by an estimate; halved when memory runs out.
    """

    def __init__(
        self,
        structure: Structure,
        plan: Plan,
        *,
        members: int,
        batch: int,
        updates: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._structure, self._loss = structure, LOSSES[plan.loss.name]
        halves = plan.training.precision == "bfloat16" and dtype == torch.float32
        self._halved = halves and halves_weights(structure)
        self.autocast = halves and not self._halved
        self._batch, self._began_alone = batch, members == 1
        self.portions = Portions(portion_that_fits(structure, plan, members=members, free=free_bytes(device)))
        self._kernel = kernel_for(structure, self._loss, members=members, batch=self._batch, steps=updates)

    @property
    def compiled(self) -> bool:
        """Whether full batches go through one compiled function."""
        return self._kernel is not None

    def bind(self, theta: Tensor, gradient: Tensor, statistics: Tensor) -> None:
        """Work on these matrices from now on: leaves of autograd are views into θ, or into a copy of half its bits."""
        self._theta, self._statistics = theta, statistics
        self._weights = self._structure.layout.views(theta)
        if self._halved:  # each for itself: products of views that lie apart would copy them
            self._weights_halved = {n: v.to(torch.bfloat16, copy=True) for n, v in self._weights.items()}
        self._copied = theta._version
        self._leaves = leaves(self._weights_halved if self._halved else self._weights)
        self._slopes = self._structure.layout.views(gradient)
        self._running = self._structure.statistics.views(statistics)

    def fill(self, given: Given, noise_of: NoiseOf, *, tap: Tap | None = None) -> Tensor:
        """Fill G with each member's gradient of its objective; give the losses (K,).

        Args:
            given: of all members, without noise. noise_of: the noise of some rows, or of all.

        Raises:
            RunError: memory is too small even for one member.
        """
        if self._halved and self._copied != self._theta._version:
            for name, copy in self._weights_halved.items():
                copy.copy_(self._weights[name])
            self._copied = self._theta._version
        members, before = len(self._theta), self._statistics.clone() if self._statistics.numel() else None

        def part(rows: slice) -> Tensor:
            whole = rows == slice(0, members)
            all_views = self._leaves, self._running, self._slopes
            weights, running, slopes = (v if whole else {n: t[rows] for n, t in v.items()} for v in all_views)
            if before is not None:  # a part may be tried again
                self._statistics[rows] = before[rows]

            def own() -> Given:  # draws the noise, from its beginning
                return replace(given, noise=noise_of(None)) if whole else given.of_rows(rows, noise_of(rows))

            signals: dict[str, Tensor] = {}
            losses = self._fill(own, weights, running, slopes, None if tap is None else signals.__setitem__)
            shown.append(signals)
            return losses

        shown: list[dict[str, Tensor]] = []
        losses = self.portions.each(members, part)
        if tap is not None:
            for name in shown[0]:
                tap(name, torch.cat([signals[name] for signals in shown]))
        return losses[0] if len(losses) == 1 else torch.cat(losses)

    def _fill(self, own: Callable[[], Given], weights: Views, running: Views, into: Views, tap: Tap | None) -> Tensor:
        given = own()
        kernel = self._kernel_for(given, len(next(iter(weights.values()))))
        if kernel is None:
            losses, slopes = slopes_of(self._structure, self._loss, given, weights, running, tap=tap)
        else:
            if tap is not None:  # the compiled passes show nothing, and what is looked at must not change
                aside = {name: view.clone() for name, view in running.items()}
                with torch.no_grad():
                    objective(self._structure, self._loss, own(), weights, aside, tap=tap)
            losses, slopes = self._compiled(kernel, own, given, weights, running)
        torch._foreach_copy_(list(into.values()), list(slopes))  # pyright: ignore[reportPrivateImportUsage]
        return losses

    def _compiled(
        self, kernel: Kernel, own: Callable[[], Given], given: Given, weights: Views, running: Views
    ) -> tuple[Tensor, Sequence[Tensor]]:
        try:
            return kernel(given, weights, running)
        except Exception as error:  # whatever the compiler's tool chain may raise
            if is_out_of_memory(error):
                raise
            self._kernel = None
            say_not_compiled("The training step", error)
            return slopes_of(self._structure, self._loss, own(), weights, running)

    def _kernel_for(self, given: Given, members: int) -> Kernel | None:
        """The compiled passes, where they are for such a batch and so many members; a single one is compiled apart."""
        usual = given.batch.x.shape[-1] == self._batch and (members > 1 or self._began_alone)
        return self._kernel if usual else None


def leaves(views: Views) -> dict[str, Tensor]:
    """The same tensors, as those that autograd differentiates by."""
    return {name: view.detach().requires_grad_() for name, view in views.items()}
