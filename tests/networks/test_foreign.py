"""A user's module in a population: the three ways against the module itself, called once for each member."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.networks.modules import ALL_WAYS, IMAGES, MODULES, ROWS, WORDS, Encoder, Residual, mlp
from trainwell.base import InputError, Seeds, stream_seed
from trainwell.networks import Noise, layer_rules
from trainwell.networks.foreign import WAYS, ModuleBlueprint

K = 3
KEPT = Residual(0.3)
NONE = torch.zeros(1, 0)


def population(
    blueprint: ModuleBlueprint, members: int = K
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
    """Weights and statistics as views into float64 matrices, and these."""
    rows = [blueprint.first(Seeds.of(0, k)) for k in range(members)]
    θ, s = (torch.stack([row[i] for row in rows]) for i in range(2))
    weights = {name: view.detach().requires_grad_() for name, view in blueprint.layout.views(θ).items()}
    return weights, blueprint.statistics.views(s), θ, s


def wide(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def batches(x: Tensor, shared: bool) -> Tensor:
    """(1 or K, B, …); members' own batches have their samples in another order, so that some sums differ."""
    return wide(x).unsqueeze(0) if shared else torch.stack([wide(x)[k : k + 4] for k in range(K)])


def noise(seed: int = 0, rate: Tensor | None = None) -> Noise:
    draw = torch.Generator().manual_seed(seed)
    return Noise(lambda name, units, samples: torch.rand(K, units, samples, generator=draw), dropout=rate)


def run(b: ModuleBlueprint, x: Tensor, *, training: bool = True, rate: Tensor | None = None) -> dict[str, Tensor]:
    """Outputs, gradients of a projection of them, and statistics afterwards."""
    weights, statistics, _, s = population(b)
    shown = noise(rate=rate) if training else None
    z = b.forward(weights, statistics, x, NONE, hypers={}, training=training, noise=shown)
    sides = torch.linspace(-1, 2, z.numel(), dtype=z.dtype).view(z.shape)
    slopes = torch.autograd.grad((z * sides).sum(), list(weights.values()))
    return {"outputs": z.detach(), "statistics": s, **dict(zip(weights, slopes, strict=True))}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-9, atol=1e-11, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("shared", [True, False], ids=["shared batch", "own batches"])
@pytest.mark.parametrize("name", [n for n in MODULES if "dropout" not in n])
def test_outputs_gradients_and_statistics_are_those_of_each_module_by_itself(name: str, shared: bool) -> None:
    make, example, way = MODULES[name]
    b = ModuleBlueprint(make, example)
    assert b.way == way and b.why
    x = batches(example, shared)
    found = run(b, x)
    sides = torch.linspace(-1, 2, found["outputs"].numel(), dtype=torch.float64).view(found["outputs"].shape)
    for k in range(K):
        torch.manual_seed(stream_seed(Seeds.of(0, k).init, "module"))
        module = make().double().train()
        z = module(x[0 if shared else k])
        z = z.unsqueeze(1) if z.dim() == 1 else z
        torch.testing.assert_close(found["outputs"][k], z.detach().T, rtol=1e-9, atol=1e-11)
        (z.T * sides[k]).sum().backward()
        for own, p in module.named_parameters():
            if p.requires_grad:
                slope = torch.zeros_like(p) if p.grad is None else p.grad
                torch.testing.assert_close(found[own][k].view(p.shape), slope, rtol=1e-8, atol=1e-10)
        after = b.statistics.views(found["statistics"])
        beside = {**dict(module.named_buffers()), **dict(module.named_parameters())}
        for own in after:
            torch.testing.assert_close(
                after[own][k].view(beside[own].shape), beside[own].detach(), rtol=1e-9, atol=1e-11
            )


@pytest.mark.parametrize("shared", [True, False], ids=["shared batch", "own batches"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(("name", "way"), [(name, way) for name, ways in ALL_WAYS.items() for way in ways])
def test_all_ways_agree(name: str, way: str, training: bool, shared: bool) -> None:
    make, example, _ = MODULES[name]
    x = batches(example, shared)
    loop, other = (run(ModuleBlueprint(make, example, way=w), x, training=training) for w in ("loop", way))
    assert_same(loop, other)


@pytest.mark.parametrize("name", MODULES)
def test_a_member_is_a_plain_module_with_the_same_outputs(name: str) -> None:
    make, example, _ = MODULES[name]
    b = ModuleBlueprint(make, example)
    run(b, batches(example, True))  # the template is in training, with other statistics
    weights, statistics, _, s = population(b)
    s.add_(0.25)
    z = b.forward(weights, statistics, batches(example, True), NONE, hypers={}, training=False)
    for k in range(K):
        member = b.member({n: v[k] for n, v in weights.items()}, {n: v[k] for n, v in statistics.items()})
        assert type(member) is type(make()) and not member.training
        torch.testing.assert_close(z[k].T.squeeze(1), member(wide(example)).detach().reshape(z[k].T.squeeze(1).shape))


@pytest.mark.parametrize("name", MODULES)
def test_a_member_alone_is_the_same_among_others_and_other_values_leave_its_bits(name: str) -> None:
    make, example, _ = MODULES[name]
    b = ModuleBlueprint(make, example)
    x, me = batches(example, True), 1
    weights, statistics, θ, s = population(b)
    z = b.forward(weights, statistics, x, NONE, hypers={}, training=True, noise=noise()).detach()
    fresh = population(b)
    others = [k for k in range(K) if k != me]
    fresh[2][others] *= 1.5
    again = b.forward(fresh[0], fresh[1], x, NONE, hypers={}, training=True, noise=noise()).detach()
    assert torch.equal(again[me], z[me]) and not torch.equal(again[0], z[0])
    assert torch.equal(fresh[3][me], s[me])
    draw = noise()
    mine = Noise(lambda *sizes: draw.uniform(*sizes)[me : me + 1])
    alone = population(b)
    row = {n: v[me : me + 1].detach() for n, v in alone[0].items()}, {n: v[me : me + 1] for n, v in alone[1].items()}
    torch.testing.assert_close(
        b.forward(*row, x, NONE, hypers={}, training=True, noise=mine)[0], z[me], rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize("name", ["mlp with dropout", "residual with dropout", "encoder with dropout"])
def test_noise_belongs_to_its_seed_and_leaves_the_global_stream(name: str) -> None:
    make, example, _ = MODULES[name]
    b = ModuleBlueprint(make, example)
    assert b.noisy
    state = torch.get_rng_state()
    one, again, other = (
        b.forward(*population(b)[:2], batches(example, True), NONE, hypers={}, training=True, noise=noise(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("way", WAYS)
def test_dropout_silences_units_at_each_members_rate_where_the_plan_decides(way: str) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Identity(), nn.Dropout(0.5), nn.Linear(400, 1, bias=False))

    b = ModuleBlueprint(make, torch.randn(4, 400), way=way, own_rates=False)
    weights, statistics, θ, _ = population(b)
    θ.fill_(1 / 400)
    rates = torch.tensor([[0.0], [0.3], [0.8]], dtype=torch.float64)
    x = torch.ones(1, 50, 400, dtype=torch.float64)
    z = b.forward(weights, statistics, x, NONE, hypers={}, training=True, noise=noise(rate=rates)).detach()[:, 0]
    torch.testing.assert_close(z[0], torch.ones(50, dtype=torch.float64))
    silent = 1 - z * (1 - rates)  # the share of units that gave 0
    spread = (rates * (1 - rates) / (400 * 50)).sqrt().flatten()
    assert ((silent.mean(dim=1) - rates.flatten()).abs() <= 4 * spread + 1e-12).all()
    assert b.member({n: v[1] for n, v in weights.items()}, {}, 0.3).get_submodule("1").p == 0.3


@pytest.mark.parametrize("name", ["mlp", "cnn", "residual", "recurrent"])
def test_a_tap_sees_each_layers_units_and_changes_nothing(name: str) -> None:
    make, example, _ = MODULES[name]
    b = ModuleBlueprint(make, example)
    seen: dict[str, Tensor] = {}
    x = batches(example, True)
    quiet, shown = (
        b.forward(*population(b)[:2], x, NONE, hypers={}, training=True, tap=tap) for tap in (None, seen.__setitem__)
    )
    assert torch.equal(quiet, shown)
    weights = b.layout.views(torch.zeros(K, b.layout.size))
    assert set(seen) <= set(b.layers) and len(seen) >= 1
    for layer, signal in seen.items():
        assert signal.shape[:2] == (K, weights[f"{layer}.weight"].shape[1])


def test_tied_tensors_stand_once_frozen_ones_beside_and_counters_nowhere() -> None:
    make, example, _ = MODULES["tied"]
    b = ModuleBlueprint(make, example)
    assert [slot.name for slot in b.layout.slots] == ["spare", "words.weight"]
    assert [slot.name for slot in b.statistics.slots] == ["frozen.weight", "frozen.bias"]
    assert [slot.name for slot in ModuleBlueprint(mlp, ROWS).statistics.slots] == ["1.running_mean", "1.running_var"]
    starts = {slot.name: (slot.shape, slot.start) for slot in ModuleBlueprint(*MODULES["cnn"][:2]).layout.slots}
    assert starts["0.0.weight"] == ((4, 18), "weight") and starts["0.1.weight"] == ((4, 1), "one")
    assert starts["0.0.bias"] == ((4, 1), "zero")
    assert {s.start for s in ModuleBlueprint(Encoder, WORDS).layout.slots if s.name == "words.weight"} == {"embedding"}


class Counting(nn.Module):
    """Reads how often it was called: a counter that matters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(6, 1), nn.Buffer(torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.layer(x) * self.calls


@pytest.mark.parametrize("way", ["vmap", "loop"])
def test_a_counter_that_training_writes_to_is_each_members_own(way: str) -> None:
    b = ModuleBlueprint(Counting, ROWS, way=way)
    weights, statistics, _, s = population(b)
    s[1] += 5
    _, z = (b.forward(weights, statistics, wide(ROWS)[None], NONE, hypers={}, training=True) for _ in range(2))
    assert s.flatten().tolist() == [2, 7, 2]
    plain = b.member({n: v[1] for n, v in weights.items()}, {n: v[1] for n, v in statistics.items()})
    assert plain.get_buffer("calls").dtype == torch.int64 and int(plain.get_buffer("calls")) == 7
    torch.testing.assert_close(z[1].T, plain(wide(ROWS)))


def test_first_weights_are_the_modules_own_under_the_members_seed() -> None:
    b = ModuleBlueprint(Residual, ROWS)
    torch.manual_seed(stream_seed(Seeds.of(4, 9).init, "module"))
    plain = Residual()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    θ, _ = b.first(Seeds.of(4, 9))
    assert torch.equal(torch.get_rng_state(), state)
    for name, view in b.layout.views(θ[None]).items():
        assert torch.equal(view.flatten().float(), plain.get_parameter(name).flatten())
    assert not torch.equal(b.first(Seeds.of(4, 8))[0], θ)


def test_two_inputs_are_numbers_and_categories() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.layer = nn.Embedding(11, 2), nn.Linear(8, 3)

        def forward(self, x: Tensor, categories: Tensor) -> Tensor:
            return self.layer(torch.cat([x, self.words(categories).squeeze(1)], 1))

    b = ModuleBlueprint(Both, (ROWS, WORDS[:, :1]))
    assert b.way == "vmap"
    weights, statistics, _, _ = population(b)
    z = b.forward(weights, statistics, wide(ROWS)[None], WORDS[None, :, :1], hypers={}, training=False)
    plain = b.member({n: v[2] for n, v in weights.items()}, {})
    torch.testing.assert_close(z[2].T, plain(wide(ROWS), WORDS[:, :1]))


def test_a_shared_layer_without_a_rule_is_called_by_torchs_own_rules_or_in_turn_and_says_so() -> None:
    reflected = lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.LazyLinear(2)
    )
    assert "options without a rule" in ModuleBlueprint(reflected, IMAGES).why
    lazy = ModuleBlueprint(lambda: nn.Sequential(nn.LazyLinear(4), nn.Softmax(dim=1), nn.Linear(4, 2)), ROWS)
    assert lazy.way == "vmap" and "no rule for Softmax" in lazy.why
    recurrent = ModuleBlueprint(*MODULES["recurrent"][:2])
    assert "not vmap: Batching rule not implemented" in recurrent.why
    written_in = ModuleBlueprint(lambda: Narrow(), ROWS)
    assert written_in.way == "vmap"


@pytest.mark.parametrize("name", ["cnn", "waves"])
def test_convolutions_in_groups_and_in_turn_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, example, _ = MODULES[name]
    b, x = ModuleBlueprint(make, example, way="batched"), batches(example, False)
    grouped = run(b, x)
    monkeypatch.setattr(layer_rules, "SMALL", 0)
    assert_same(grouped, run(b, x))


class Sly(nn.Module):
    """Gives something else under vmap, as wrong batching rules do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (1.001 if torch._C._functorch.is_batchedtensor(self.layer.weight) else 1)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_way_that_gives_other_numbers_is_not_taken() -> None:
    b = ModuleBlueprint(Sly, ROWS)
    assert b.way == "loop"
    assert "not vmap: outputs differ by" in b.why and b.why.endswith("from members computed alone")


class Narrow(nn.Module):
    """Has float32 written in."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(6, 6), torch.ones(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) @ self.scale


class Changing(nn.Module):
    """Has another structure at each call."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Changing.made += 1
        self.layer = nn.Linear(6, 1 + (Changing.made > 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@pytest.mark.parametrize(
    ("make", "example", "message"),
    [
        (nn.Linear(6, 2), ROWS, r"^make must be a function that builds the module anew, but is a module: pass 'lambda"),
        (lambda: torch.relu, ROWS, r"^make must build a torch\.nn\.Module, but gives builtin_function_or_method\.$"),
        (lambda: KEPT, ROWS, r"^make must build a new module at each call, but gives the same one"),
        (lambda: nn.Embedding(11, 4, max_norm=0.1), WORDS[:, 0], r"^The module can't be called with other weights: "),
        (lambda: nn.ReLU(), ROWS, r"^The module has no parameter to train"),
        (lambda: nn.Linear(6, 2).requires_grad_(False), ROWS, r"^The module has no parameter to train"),
        (lambda: nn.Linear(7, 2), ROWS, r"^The module fails on the example \(6, 6\): mat1 and mat2 shapes"),
        (lambda: nn.Conv2d(2, 3, 3), IMAGES, r"gives \(6, 3, 6, 6\) for 6: flatten or average"),
        (lambda: nn.LSTM(6, 2), ROWS, r"gives tuple for 6"),
        (
            lambda: nn.Linear(6, 2),
            [1, 2],
            r"^example must be a batch of inputs \(B, …\), or a pair .* \['int', 'int'\]\.$",
        ),
        (Changing, ROWS, r"^make must build the same structure at each call, but 'layer\.weight' was not the same"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make: Callable[[], nn.Module], example: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ModuleBlueprint(make, example)


def test_a_way_that_does_not_fit_is_refused_and_an_unknown_one_is() -> None:
    with pytest.raises(InputError, match=r"^way must be auto, batched, vmap, loop, but is 'fast'\.$"):
        ModuleBlueprint(mlp, ROWS, way="fast")
    with pytest.raises(
        InputError, match=r"^The module can't be computed by way=batched: there is no rule for Residual\.$"
    ):
        ModuleBlueprint(Residual, ROWS, way="batched")
    with pytest.raises(InputError, match=r"way=vmap: the module draws random numbers of its own"):
        ModuleBlueprint(lambda: Encoder(0.1), WORDS, way="vmap")


@pytest.mark.parametrize("way", WAYS)
def test_batch_norm_of_one_sample_is_refused(way: str) -> None:
    b = ModuleBlueprint(mlp, ROWS, way=way)
    weights, statistics, _, _ = population(b)
    with pytest.raises(
        InputError, match=r"^The module's batch norm can't train on a batch of one sample: set training"
    ):
        b.forward(weights, statistics, wide(ROWS)[None, :1], NONE, hypers={}, training=True)


def test_noise_on_whole_numbers_is_refused() -> None:
    b = ModuleBlueprint(Encoder, WORDS)
    jitter = Noise(noise().uniform, inputs=(torch.zeros(1, 7, 6), torch.ones(K, 1)))
    with pytest.raises(InputError, match=r"^Noise on the inputs and mixup need numbers"):
        b.forward(*population(b)[:2], WORDS[None], NONE, hypers={}, training=True, noise=jitter)
