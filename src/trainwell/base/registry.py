"""A family of interchangeable things by name. The table stands at the foot of the family's file."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from trainwell.base.errors import PlanError, did_you_mean
from trainwell.base.hyper import Hyper

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """An ordered, closed mapping from standard names to the members of one family.

    An entry may have hyperparameters: its attribute `standard` maps their names to standard values, and `hypers`, given
    once for the family, says what each name means and its range.

    >>> shapes = Registry("shape", {"round": 1, "square": 2})
    >>> shapes["round"]
    1
    >>> shapes["rond"]
    Traceback (most recent call last):
    trainwell.base.errors.PlanError: Unknown shape 'rond'. Did you mean 'round'? Known: round, square.
    """

    def __init__(self, family: str, entries: Mapping[str, T], *, hypers: Mapping[str, Hyper] | None = None) -> None:
        self.family = family
        self.hypers = dict(hypers or {})
        self._entries = dict(entries)
        for name in self._entries:
            for hyper, value in self.standard(name).items():
                assert hyper in self.hypers, f"{family} {name}: {hyper} is not described"
                assert self.hypers[hyper].allows(value), f"{family} {name}: {hyper} = {value} is out of its range"

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise PlanError(f"Unknown {self.family} '{name}'.{did_you_mean(name, self._entries)} Known: {known}.")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def standard(self, name: str) -> Mapping[str, float]:
        """An entry's hyperparameters with their standard values."""
        return getattr(self[name], "standard", {})

    def users(self, hyper: str) -> dict[str, float]:
        """The entries that have this hyperparameter, with their standard values."""
        return {name: self.standard(name)[hyper] for name in self if hyper in self.standard(name)}

    def summary(self, name: str) -> str:
        """The first line of an entry's docstring: its meaning in one sentence."""
        entry = self[name]
        return (getattr(entry, "doc", "") or entry.__doc__ or "").strip().split("\n")[0]
