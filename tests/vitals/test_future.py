"""A module that sees what it is to predict is found out, by a copy that nobody hears of."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import trainwell
from trainwell.vitals.future import holds_the_answer

TEXT = torch.randint(12, (400,), generator=torch.Generator().manual_seed(0))


class Attending(nn.Module):
    """A transformer for the next letter."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal, self.into, self.out = causal, nn.Embedding(12, 16), nn.Linear(16, 12)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return self.out(self.layer(self.into(x), src_mask=mask, is_causal=self.causal))


class Recurrent(nn.Module):
    """An LSTM for the next letter."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.into, self.lstm = nn.Embedding(12, 16), nn.LSTM(16, 16, batch_first=True, bidirectional=both)
        self.out = nn.Linear(32 if both else 16, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(self.into(x))[0])


def watched(model: nn.Module, shift: int = 1) -> Any:
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    draw = torch.Generator().manual_seed(1)
    with trainwell.watch(model, optimizer) as w:
        for _ in range(20):
            places = torch.randint(380, (16,), generator=draw)
            x, y = (torch.stack([TEXT[i + by : i + by + 12] for i in places]) for by in (0, shift))
            optimizer.zero_grad()
            out = model(x)
            loss = F.cross_entropy(out.flatten(0, 1), y.flatten())
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=x, targets=y, outputs=out)
    return w


@pytest.mark.covers("P4")
@pytest.mark.parametrize(
    ("model", "shift", "told"),
    [
        (Attending(causal=False), 1, True),
        (Attending(causal=True), 1, False),
        (Recurrent(both=True), 1, True),
        (Recurrent(both=False), 1, False),
        (Recurrent(both=True), 0, False),  # names for the letters themselves, from both sides
    ],
)
def test_a_module_that_sees_its_targets_in_later_inputs_is_named(model: nn.Module, shift: int, told: bool) -> None:
    found = [finding for finding in watched(model, shift).findings if finding.kind == "train-test-leak"]
    assert bool(found) == told and all("future" in finding.message for finding in found)


def masked(told: float, kept: float) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of letters, the same with some of them hidden, and these as targets."""
    draw = torch.Generator().manual_seed(2)
    rows = torch.randint(12, (16, 32), generator=draw)
    picked = torch.rand(rows.shape, generator=draw) < told
    hidden = picked & (torch.rand(rows.shape, generator=draw) >= kept)
    return rows, torch.where(hidden, 12, rows), torch.where(picked, rows, -100)


def test_rows_that_were_not_masked_hold_what_is_to_be_told() -> None:
    rows, hidden, targets = masked(0.15, kept=0.1)
    assert holds_the_answer(rows, targets)
    assert not holds_the_answer(hidden, targets)  # of some the letter stays, as BERT has it
    assert not holds_the_answer(rows, targets.to("meta"))  # they lie elsewhere, as on a GPU
    assert not holds_the_answer(rows, rows) and not holds_the_answer(rows.float(), targets.float())
    filled = torch.where(torch.arange(32) < 12, rows, 12)  # rows of twelve letters, filled up, told as they are
    assert not holds_the_answer(filled, torch.where(torch.arange(32) < 12, rows, -100))


@pytest.mark.covers("P4")
@pytest.mark.parametrize("fault", [True, False])
def test_a_loop_that_forgets_the_mask_is_named(fault: bool) -> None:
    model = nn.Sequential(nn.Embedding(13, 16), nn.Linear(16, 12))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    rows, hidden, targets = masked(0.15, kept=0.1)
    with trainwell.watch(model, optimizer) as w:
        for _ in range(20):
            optimizer.zero_grad()
            out = model(rows if fault else hidden)
            loss = F.cross_entropy(out.flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=rows if fault else hidden, targets=targets, outputs=out)
    assert ("train-test-leak" in {f.kind for f in w.findings}) == fault


def test_nobody_hears_of_it_and_it_is_asked_once() -> None:
    model, heard = Attending(causal=False), list[int]()
    w = watched(model)
    handle = model.layer.register_forward_hook(lambda *given: heard.append(1))
    before, mode = [p.clone() for p in model.parameters()], model.training
    state = torch.get_rng_state()
    assert [f.as_dict() for f in w.findings] == [f.as_dict() for f in w.findings]
    handle.remove()
    assert not heard and model.training == mode and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert w._observer._asked._answers["future"] > 1e-3
