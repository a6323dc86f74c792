"""What is counted before a training begins: batches and updates, parameters, targets as rows of ones and zeros."""

import torch

from trainwell.data.batches import Feed, Samples
from trainwell.ingredients import one_hot
from trainwell.lab.experiment import Experiment, Result
from trainwell.networks import Blueprint
from trainwell.report.blocks import Figure
from trainwell.report.figures import bars, heat_table


def iterations() -> Result:
    """Batches an epoch: n = 200, B = 5 → 40 iterations, 40,000 updates in 1,000 epochs."""
    small, single = _feed(200, 5), _feed(1000, 1)
    seen = sum(small.batch(step).x.shape[2] for step in range(small.steps_per_epoch))
    sizes = (200, 32, 14, 5, 1)
    drawn = bars(
        [f"B = {size}" for size in sizes],
        [_feed(200, size).steps_per_epoch for size in sizes],
        label="Updates in an epoch of 200 samples, by batch size",
    )
    return Result(
        {
            "iterations an epoch, n = 200, B = 5": small.steps_per_epoch,
            "samples seen in these": seen,
            "updates in 1,000 epochs": 1000 * small.steps_per_epoch,
            "iterations an epoch, n = 1,000, B = 1": single.steps_per_epoch,
        },
        (
            Figure(
                drawn, "**Updates an epoch** of 200 samples. B = 14 is √n; 200 = 6·32 + 8, so B = 32 makes 7 batches."
            ),
        ),
        "An epoch shows each sample once; the smaller the batch, the more often it updates the weights.",
        printed={
            "iterations an epoch, n = 200, B = 5": "40",
            "updates in 1,000 epochs": "40000",
            "iterations an epoch, n = 1,000, B = 1": "1000",
        },
    )


def _feed(rows: int, batch_size: int) -> Feed:
    samples = Samples(torch.zeros(rows, 1), torch.zeros(rows, 0, dtype=torch.long), torch.zeros(rows, 1))
    train = torch.arange(rows).unsqueeze(0)
    return Feed(samples, train, train, [0], batch_size)


def parameters() -> Result:
    """Parameters of the 784-300-100-10 network: 266,610."""
    units = (784, 300, 100, 10)
    layers = {f"{i}-{o}": Blueprint(i, o, depth=0).layout for i, o in zip(units, units[1:], strict=False)}
    weights = [float(layout.span("output.weight")[1]) for layout in layers.values()]
    sizes = [float(layout.size) for layout in layers.values()]
    drawn = bars(list(layers), sizes, label="Parameters of each layer")
    return Result(
        {
            "parameters": int(sum(sizes)),
            "weights": weights,
            "biases": [size - weight for size, weight in zip(sizes, weights, strict=True)],
            "together": sizes,
        },
        (Figure(drawn, "**Parameters of each layer**: units in × units out, and a bias for each unit out."),),
        "Nearly nine of ten parameters are weights of the first layer: its inputs are the most.",
        ("The “2M parameters” printed beside it are not of this network: its layers give 266,610.",),
        printed={"parameters": "266610"},
        heads=tuple(layers),
    )


ANIMALS = ("Tiger", "Cat", "Aeroplane")


def one_hot_table() -> Result:
    """One-hot targets of Tiger, Cat, Aeroplane, Cat."""
    samples = ("Tiger", "Cat", "Aeroplane", "Cat")
    classes = torch.tensor([[ANIMALS.index(name) for name in samples]])
    table = [[float(v) for v in row] for row in one_hot(classes, len(ANIMALS))[0].T]
    names = [f"{i}. {name}" for i, name in enumerate(samples, start=1)]
    drawn = heat_table(names, ANIMALS, table, [[f"{v:.0f}" for v in row] for row in table], label="One-hot table")
    return Result(
        dict(zip(names, table, strict=True)),
        (Figure(drawn, "**One row a sample**, one column a class."),),
        "Each class has a column of its own, so that no class is nearer to one than to another.",
        printed={
            name: tuple("1" if c == sample else "0" for c in ANIMALS)
            for name, sample in zip(names, samples, strict=True)
        },
        heads=ANIMALS,
    )


BOOKKEEPING: dict[str, Experiment] = {
    "iterations": Experiment(iterations, ("V7", "H2", "H4")),
    "parameters": Experiment(parameters, ("V7",)),
    "one-hot": Experiment(one_hot_table, ("V7", "L6")),
}
