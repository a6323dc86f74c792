"""What an optimizer step costs beside torch's fused AdamW: `python -m benchmarks.optimizers --json`.

For 16 and 256 members of a dense network 64-256-256-10 (85,002 parameters each), every rule of the registry: columns
and update, as written and compiled, alternately with torch's fused AdamW on as many parameters and, as information,
with torch's own form of the rule. Medians; gradients are restored outside the clock; compiling is told apart.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Bar, at_most, options, publish
from trainwell.base.layout import Layout, Slot
from trainwell.engine.updates import as_compiled
from trainwell.ingredients.optimizers import OPTIMIZERS, Update

SIZES = (64, 256, 256, 10)
MEMBERS = (16, 256)
SECONDS = 4.0  # of measuring a rule, at least ROUNDS rounds
ROUNDS = 9
BARS = {"adamw": 1.3}
OTHERS = 2.0
QUICK = ("sgd", "rmsprop", "adamw", "lamb", "muon")
PEERS: dict[str, Callable[[Sequence[Tensor]], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 1e-3, fused=True),
    "momentum": lambda p: torch.optim.SGD(p, 1e-3, 0.9, fused=True),
    "nesterov": lambda p: torch.optim.SGD(p, 1e-3, 0.9, nesterov=True, fused=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, 1e-3, fused=True),
    "adadelta": lambda p: torch.optim.Adadelta(p, 1e-3, foreach=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-3, foreach=True),
    "centred_rmsprop": lambda p: torch.optim.RMSprop(p, 1e-3, centered=True, foreach=True),
    "adam": lambda p: torch.optim.Adam(p, 1e-3, fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, 1e-3, amsgrad=True, fused=True),
    "nadam": lambda p: torch.optim.NAdam(p, 1e-3, foreach=True),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-3, fused=True),
    "radam": lambda p: torch.optim.RAdam(p, 1e-3, foreach=True),
    "muon": lambda p: torch.optim.Muon(p, 1e-3),
}


def layout_of(sizes: Sequence[int]) -> Layout:
    """A dense network's tensors."""
    slots = []
    for i, (inputs, units) in enumerate(zip(sizes, sizes[1:], strict=False)):
        name = "output" if i == len(sizes) - 2 else f"hidden.{i}"
        slots += [Slot(f"{name}.weight", (units, inputs), "weight"), Slot(f"{name}.bias", (units, 1))]
    return Layout(slots)


class Walk:
    """A population in front of one rule; a step is columns and update."""

    def __init__(self, name: str, members: int, layout: Layout) -> None:
        draw = torch.Generator().manual_seed(0)
        self.rule, self.layout, self.t = OPTIMIZERS[name], layout, 0
        self.θ = torch.randn(members, layout.size, generator=draw) * 0.05
        self.gradient = torch.randn(members, layout.size, generator=draw) * 0.01
        self.g, self.s = self.gradient.clone(), self.rule.start(self.θ)
        values = {"learning_rate": 1e-3, "weight_decay": 0.01, "epsilon": 1e-8, **self.rule.standard}
        self.h = {key: torch.full((members, 1), value) for key, value in values.items()}
        self.h["epsilon_inside"] = torch.zeros(members, 1)

    def step(self, update: Update) -> float:
        """Seconds of one step."""
        self.t += 1
        self.g.copy_(self.gradient)
        t = torch.tensor(float(self.t))
        began = time.perf_counter()
        update(self.θ, self.g, self.s, self.rule.columns(self.h, self.s, t), self.layout)
        return time.perf_counter() - began


def of_torch(build: Callable[[Sequence[Tensor]], torch.optim.Optimizer], shapes: Sequence[Sequence[int]]) -> Any:
    """Seconds of one step of torch's own on parameters of these shapes."""
    parameters = [torch.nn.Parameter(torch.randn(*shape) * 0.05) for shape in shapes]
    for p in parameters:
        p.grad = torch.randn_like(p) * 0.01
    optimizer = build(parameters)

    def step() -> float:
        began = time.perf_counter()
        optimizer.step()
        return time.perf_counter() - began

    return step


def peer_of(name: str, members: int, layout: Layout) -> Any:
    """Torch's own form of a rule: one parameter as large as the matrix; Muon's are the hidden matrices."""
    if name not in PEERS or (name == "muon" and not hasattr(torch.optim, "Muon")):
        return None
    hidden = [slot.shape for slot in layout.slots if slot.start == "weight" and slot.name != "output.weight"]
    shapes = hidden * members if name == "muon" else [(members * layout.size,)]
    return of_torch(PEERS[name], shapes)


def cost(name: str, members: int, layout: Layout, fused: Any, seconds: float) -> dict[str, Any]:
    """Milliseconds of a step, each way, measured alternately."""
    walk, written = Walk(name, members, layout), OPTIMIZERS[name].update
    compiled, peer = as_compiled(OPTIMIZERS[name]), peer_of(name, members, layout)
    ways: dict[str, Callable[[], float]] = {"written": lambda: walk.step(written), "fused_adamw": fused}
    compile_seconds = None
    if compiled is not written:
        compile_seconds = walk.step(compiled)
        ways["compiled"] = lambda: walk.step(compiled)
    if peer is not None:
        ways["torch_peer"] = peer
    times: dict[str, list[float]] = {way: [] for way in ways}
    for step in ways.values():
        step()
    began = time.perf_counter()
    while len(times["written"]) < ROUNDS or time.perf_counter() - began < seconds:
        for way, step in ways.items():
            times[way].append(step())
    figures = {f"{way}_ms": 1e3 * statistics.median(values) for way, values in times.items()}
    best = min(figures.get("compiled_ms", math.inf), figures["written_ms"])
    row = {"members": members, "optimizer": name, **figures, "compile_s": compile_seconds}
    return {**row, "ratio": best / figures["fused_adamw_ms"], "rounds": len(times["written"])}


def measure(members: Sequence[int], names: Sequence[str], seconds: float) -> tuple[list[dict[str, Any]], list[Bar]]:
    """A row for each rule and number of members; bars on the better way of each."""
    layout, rows = layout_of(SIZES), []
    for count in members:
        fused = of_torch(PEERS["adamw"], [(count * layout.size,)])
        rows += [cost(name, count, layout, fused, seconds) for name in names]
    title = "{optimizer}, {members} members: a step ÷ torch's fused AdamW"
    return rows, [at_most(title.format(**row), row["ratio"], BARS.get(row["optimizer"], OTHERS)) for row in rows]


def main() -> None:
    """Measure and print."""
    arguments = options("Cost of an optimizer step.").parse_args()
    quick = arguments.quick
    figures = measure(
        MEMBERS[:1] if quick else MEMBERS, QUICK if quick else list(OPTIMIZERS), 1.0 if quick else SECONDS
    )
    publish(*figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
