"""Small trainings of a user's own, watched."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell import Watch, watch


def data(rows: int = 128, inputs: int = 6) -> tuple[Tensor, Tensor]:
    """(N, D) standard normal, and three classes that the inputs tell."""
    x = torch.randn(rows, inputs)
    return x, x[:, :3].argmax(1)


def network(depth: int = 2, width: int = 16, inputs: int = 6, classes: int = 3) -> nn.Sequential:
    """A dense classifier."""
    widths = [inputs, *[width] * depth]
    hidden = [m for a, b in zip(widths, widths[1:], strict=False) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, classes))


def trained(
    steps: int = 60, *, rate: float = 1e-2, depth: int = 2, scale: float = 1.0, judged: int = 10, **arguments: Any
) -> Watch:
    """A training that ends after so many updates; `judged`: updates between judgements, 0 for none."""
    model, (x, y) = network(depth), data()
    x, loss_fn = x * scale, nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with watch(model, optimizer, **arguments) as w:
        for step in range(1, steps + 1):
            batch = torch.randint(0, len(x), (32,))
            optimizer.zero_grad()
            outputs = model(x[batch])
            loss = loss_fn(outputs, y[batch])
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=x[batch], targets=y[batch], outputs=outputs)
            if judged and step % judged == 0:
                judge(w, model, x, y)
    return w


def judge(w: Watch, model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Tell loss and accuracy."""
    model.eval()
    with torch.no_grad():
        outputs = model(x)
    model.train()
    w.validate(loss=nn.functional.cross_entropy(outputs, y), accuracy=(outputs.argmax(1) == y).float().mean())
