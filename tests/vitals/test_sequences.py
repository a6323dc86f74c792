"""Which axis layers for sequences run along, and how far a plain recurrent one remembers."""

import pytest
import torch
from torch import Tensor, nn

import trainwell
from trainwell.vitals.program import Program


class Last(nn.Module):
    """A layer over a sequence, and a head on its last step."""

    def __init__(self, layer: nn.Module, *, turned: bool) -> None:
        super().__init__()
        self.layer, self.head, self.turned = layer, nn.Linear(8, 3), turned

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x.transpose(0, 1) if self.turned else x)
        out = out[0] if isinstance(out, tuple) else out
        return self.head(out[-1] if self.turned else out[:, -1])


def seen(module: nn.Module, samples: int = 12, steps: int = 7) -> Program:
    """What is known after some updates on sequences (B, T, 8) with a class each."""
    torch.manual_seed(0)
    optimizer, loss_fn = torch.optim.SGD(module.parameters(), 0.1), nn.CrossEntropyLoss()
    with trainwell.watch(module, optimizer) as w:
        for _ in range(4):
            x, y = torch.randn(samples, steps, 8), torch.randint(3, (samples,))
            loss = loss_fn(out := module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=x, targets=y, outputs=out)
    program = w.case().program
    assert program is not None
    return program


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "attention"])
def test_a_layer_that_was_made_without_batch_first_runs_along_the_batch(kind: str) -> None:
    def layer(*, batch_first: bool) -> nn.Module:
        if kind == "attention":
            return nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
        return {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind](8, 8, batch_first=batch_first)

    name = "layer.self_attn" if kind == "attention" else "layer"
    assert seen(Last(layer(batch_first=False), turned=False)).along == (name,)
    assert seen(Last(layer(batch_first=False), turned=True)).along == ()
    assert seen(Last(layer(batch_first=True), turned=False)).along == ()
    assert seen(Last(layer(batch_first=False), turned=False), samples=7).along == ()  # can't be told


def test_memory_is_the_spectral_radius_of_the_first_recurrent_weights_to_the_power_of_the_steps() -> None:
    rnn = nn.RNN(8, 8, batch_first=True)
    with torch.no_grad():
        rnn.get_parameter("weight_hh_l0").copy_(0.5 * torch.eye(8).roll(1, 0))  # all eigenvalues on a circle
    (memory,) = seen(Last(rnn, turned=False), steps=9).memory
    assert memory.layer == "layer" and memory.steps == 9
    assert abs(memory.radius - 0.5) < 0.05 and abs(memory.reach - memory.radius**9) < 1e-9
    assert seen(Last(nn.GRU(8, 8, batch_first=True), turned=False)).memory == ()
