"""A family of interchangeable things by name. The table stands at the foot of the family's file."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from trainwell.base.errors import PlanError, did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """An ordered, closed mapping from standard names to the members of one family.

    >>> shapes = Registry("shape", {"round": 1, "square": 2})
    >>> shapes["round"]
    1
    >>> shapes["rond"]
    Traceback (most recent call last):
    trainwell.base.errors.PlanError: Unknown shape 'rond'. Did you mean 'round'? Known: round, square.
    """

    def __init__(self, family: str, entries: Mapping[str, T]) -> None:
        self.family = family
        self._entries = dict(entries)

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

    def summary(self, name: str) -> str:
        """The first line of an entry's docstring: its meaning in one sentence."""
        entry = self[name]
        return (getattr(entry, "doc", "") or entry.__doc__ or "").strip().split("\n")[0]
