"""Random streams that belong to (seed, member, purpose), and to nothing else.

Streams are stateless: the draw for step t is seeded by (…, t). Hence a member's life cannot depend on its
company, and a resumed run needs no generator state.
"""

import hashlib
from dataclasses import dataclass

import numpy as np


def stream_seed(*key: int | str) -> int:
    """A 63-bit seed that depends on every part of the key, equal on every machine.

    >>> stream_seed(0, 3, "init") == stream_seed(0, 3, "init")
    True
    >>> stream_seed(0, 3, "init") == stream_seed(0, 3, "order")
    False
    """
    plain = tuple(str(part) if isinstance(part, str) else int(part) for part in key)  # numpy's own print otherwise
    digest = hashlib.blake2b(repr(plain).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(*key: int | str) -> np.random.Generator:
    """A numpy generator on the stream of this key."""
    return np.random.default_rng(stream_seed(*key))


@dataclass(frozen=True)
class Seeds:
    """The three random streams of one member.

    Members with equal `order` and `noise` see the same batches and the same dropout noise (common random
    numbers: they differ by their hyperparameters alone); members of an ensemble differ in all three.
    """

    init: int
    order: int
    noise: int

    @classmethod
    def of(cls, seed: int, member: int, *, shared_data: bool = False) -> "Seeds":
        """The streams of member `member` under `seed`; with `shared_data` all members see the same batches."""
        data = "all" if shared_data else member
        return cls(
            stream_seed(seed, member, "init"), stream_seed(seed, data, "order"), stream_seed(seed, data, "noise")
        )
