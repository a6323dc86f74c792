"""A process's part of every batch, where several train together: which samples, and a feed of them."""

from dataclasses import dataclass, replace

from trainwell.data.batches import BatchSource, Samples


@dataclass(frozen=True)
class Part:
    """A process's part of a batch: samples `start` … `stop`−1 of `whole`.

    Attributes:
        samples: how many of them count. 0 where a batch has fewer samples than there are processes: such a process
            computes the first sample, and weighs nothing.
    """

    start: int
    stop: int
    whole: int
    samples: int

    @classmethod
    def of(cls, whole: int, rank: int, world: int) -> "Part":
        """As even as possible, larger parts first.

        >>> [Part.of(7, rank, 3).samples for rank in range(3)], Part.of(1, 1, 2)
        ([3, 2, 2], Part(start=0, stop=1, whole=1, samples=0))
        """
        each, more = divmod(whole, world)
        start = rank * each + min(rank, more)
        samples = each + (rank < more)
        return cls(start, start + samples, whole, samples) if samples else cls(0, 1, whole, 0)

    @property
    def slice(self) -> slice:
        """Where it stands in the batch."""
        return slice(self.start, self.stop)


class PartFeed:
    """A feed of which this process sees its part of every batch. Batch sizes, steps and epochs are those of the whole.

    Args:
        feed: the whole, equal in all processes.
    """

    def __init__(self, feed: BatchSource, rank: int, world: int) -> None:
        self.feed, self.rank, self.world = feed, rank, world
        self.samples, self.train, self.validation = feed.samples, feed.train, feed.validation
        self.orders, self.batch_size, self.steps_per_epoch = feed.orders, feed.batch_size, feed.steps_per_epoch

    def part(self, step: int) -> Part:
        """This process's part of the batch of update `step`."""
        start = step % self.steps_per_epoch * self.batch_size
        return Part.of(min(self.batch_size, self.train.shape[1] - start), self.rank, self.world)

    def batch(self, step: int) -> Samples:
        """The samples of this part, in the order of the whole batch."""
        whole, own = self.feed.batch(step), self.part(step).slice
        x, categories = (t[:, own] if whole.samples_first else t[..., own] for t in (whole.x, whole.categories))
        y = None if whole.y is None else whole.y[..., own].contiguous()
        return replace(whole, x=x.contiguous(), categories=categories.contiguous(), y=y)
