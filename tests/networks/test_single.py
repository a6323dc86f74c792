"""A member leaves as a plain torch module: same outputs, exportable, usable alone."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.networks.blueprints import BLUEPRINTS, DTYPE, B, K, inputs, matrices
from trainwell.networks import Blueprint, DenseNetwork


def member(b: Blueprint, k: int, dropout: float = 0.0) -> DenseNetwork:
    weights, statistics = matrices(b)
    weights, statistics = ({name: view[k] for name, view in part.items()} for part in (weights, statistics))
    return DenseNetwork.from_rows(b, weights, statistics, {"dropout": dropout})


def test_a_member_gives_the_populations_outputs() -> None:
    for b in BLUEPRINTS:
        x, c = inputs(b, 1)
        z = b.forward(*matrices(b), x, c, hypers={}, training=False)
        for k in range(K):
            alone = member(b, k, dropout=0.5)(x[0].T, c[0].T)
            torch.testing.assert_close(alone, z[k].T, rtol=1e-9, atol=1e-9)


def test_a_member_is_built_of_torchs_own_layers_and_ready_to_judge() -> None:
    network = member(Blueprint(5, 2, (3,), norm="batch"), 0, dropout=0.3)
    parts = {type(part).__module__.partition(".")[0] for part in network.modules()} - {"trainwell"}
    assert isinstance(network, nn.Module) and parts == {"torch"}
    assert not network.training and network.dropout.p == 0.3
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_member_without_categories_needs_none() -> None:
    b = Blueprint(5, 2)
    x, c = inputs(b, 1)
    assert member(b, 0)(x[0].T).equal(member(b, 0)(x[0].T, c[0].T))


def test_a_member_owns_its_weights() -> None:
    b = Blueprint(5, 2, norm="batch")
    weights, statistics = matrices(b)
    row, running = ({name: view[1] for name, view in part.items()} for part in (weights, statistics))
    network = DenseNetwork.from_rows(b, row, running)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for view in (*weights.values(), *statistics.values()):
        view.fill_(float("nan"))
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def exported(b: Blueprint) -> tuple[torch.export.ExportedProgram, DenseNetwork, tuple[Tensor, ...]]:
    """A member as torch's program for any number of rows, the member itself, and inputs for it."""
    x, c = (part[0].T.contiguous() for part in inputs(b, 1))
    network, arguments = member(b, 2), (x, c) if b.cardinalities else (x,)
    rows = torch.export.Dim("rows", min=1, max=4096)
    program = torch.export.export(network, arguments, dynamic_shapes=tuple({0: rows} for _ in arguments))
    return program, network, arguments


@pytest.mark.filterwarnings("ignore")
def test_a_member_is_exported_for_any_number_of_rows() -> None:
    program, network, (x,) = exported(Blueprint(5, 2))
    for rows in (1, B, 100):
        batch = x[:1].repeat(rows, 1)
        torch.testing.assert_close(program.module()(batch), network(batch))


@pytest.mark.filterwarnings("ignore")
def test_an_exported_member_runs_in_a_process_without_trainwell(tmp_path: Path) -> None:
    b = Blueprint(5, 3, (3, 8), depth=2, width=5, activation="gelu", norm="batch", residual=True)
    program, network, arguments = exported(b)
    torch.export.save(program, tmp_path / "member.pt2")
    torch.save({"inputs": [part[:3] for part in arguments], "output": network(*arguments)[:3]}, tmp_path / "case.pt")
    code = (
        "import sys, torch\n"
        "case = torch.load('case.pt'); program = torch.export.load('member.pt2').module()\n"
        "torch.testing.assert_close(program(*case['inputs']), case['output'])\n"
        "assert not any(name.startswith('trainwell') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_member_that_left_can_be_trained_further() -> None:
    b = Blueprint(5, 2, norm="layer")
    network, x = member(b, 0), torch.randn(B, 5, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = network(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
