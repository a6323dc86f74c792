"""Units that are dropped in evaluation mode: dropout that is called without a look at the mode, or left on inside."""

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode

RATE_AT = {"scaled_dot_product_attention": (4, "dropout_p")}
"""Where a function that always drops has its rate; functions of dropout have theirs next, and a switch behind it."""


class Dropping(TorchFunctionMode):
    """Notes functions that drop units while it is on.

    Attributes:
        found: their names, in the order of their calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, named = getattr(func, "__name__", ""), kwargs or {}
        rate = _argument(args, named, *RATE_AT[name], 0.0) if name in RATE_AT else rate_of(name, args, named)
        if rate > 0:
            self.found.append(name)
        return func(*args, **named)


def rate_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """The share of units that a call of a function of this name drops; 0 of one that is none of dropout.

    >>> rate_of("dropout", ("x", 0.2, True), {}), rate_of("dropout", ("x",), {"training": False})
    (0.2, 0.0)
    """
    drops = name.rstrip("123d_").endswith("dropout") and bool(_argument(args, kwargs, 2, "training", True))
    rate = _argument(args, kwargs, 1, "p", 0.5)
    return float(rate) if drops and isinstance(rate, int | float) else 0.0


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str, standard: Any) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, standard)
