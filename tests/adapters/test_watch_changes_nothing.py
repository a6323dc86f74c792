"""A training that is watched ends as one that is not: weights bit for bit, random streams, modes, flags and hooks."""

import copy
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.optimizer import _global_optimizer_pre_hooks
from torch.overrides import _get_current_function_mode_stack
from torch.utils.checkpoint import checkpoint

import trainwell

STEPS, BATCH = 60, 16
Loop = Callable[["Training", Any], None]


class Training:
    """A module with its data and optimizers, as a person sets them up."""

    def __init__(self, make: Callable[[], nn.Module], shape: tuple[int, ...], optimizer: str = "adam") -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        self.model = make()
        self.x, self.y = torch.randn(4 * BATCH, *shape), torch.randint(0, 3, (4 * BATCH,))
        self.optimizers = OPTIMIZERS[optimizer](self.model)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        rows = slice(step % 4 * BATCH, (step % 4 + 1) * BATCH)
        return self.x[rows], self.y[rows]

    def state(self) -> dict[str, Any]:
        """All that a training leaves behind."""
        optimizers = [value for o in self.optimizers for entry in o.state.values() for value in entry.values()]
        return {
            "tensors": [t.detach().clone() for t in self.model.state_dict().values()],
            "gradients": [None if p.grad is None else p.grad.clone() for p in self.model.parameters()],
            "optimizers": [torch.as_tensor(value).clone() for value in optimizers if isinstance(value, Tensor | float)],
            "torch": torch.get_rng_state(),
            "numpy": torch.tensor(np.random.get_state()[1].astype(np.int64)),  # pyright: ignore
            "python": hash(random.getstate()),
            "modes": [module.training for module in self.model.modules()],
            "flags": [p.requires_grad for p in self.model.parameters()],
            "hooks": hooks_of(self.model, self.optimizers),
            "modes of torch": len(_get_current_function_mode_stack()),
        }


def hooks_of(model: nn.Module, optimizers: list[Any]) -> list[int]:
    """How many hooks of each kind there are."""
    kinds = [name for name in vars(model) if name.endswith("_hooks") or name.endswith("_hooks_with_kwargs")]
    kinds += ["_forward_hooks_always_called"]
    of_modules = [len(getattr(module, kind, ())) for module in model.modules() for kind in kinds]
    of_tensors = [len(p._backward_hooks or ()) for p in model.parameters()]
    of_optimizers = [len(o._optimizer_step_pre_hooks) + len(o._optimizer_step_post_hooks) for o in optimizers]
    return [*of_modules, *of_tensors, *of_optimizers, len(_global_optimizer_pre_hooks)]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0))
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def plain(training: Training, w: Any, steps: int = STEPS) -> None:
    """The loop of every tutorial, judged every twentieth step."""
    model = training.model
    for step in range(steps):
        x, y = training.batch(step)
        for optimizer in training.optimizers:
            optimizer.zero_grad()
        out = model(x)
        loss = F.cross_entropy(out, y)
        loss.backward()
        for optimizer in training.optimizers:
            optimizer.step()
        if w is not None:
            w.step(loss, inputs=x, targets=y, outputs=out)
        if step % 20 == 19:
            model.eval()
            with torch.no_grad():
                judged = F.cross_entropy(model(training.x), training.y)
            model.train()
            if w is not None:
                w.validate(loss=judged)
                _ = w.findings


def accumulating(training: Training, w: Any) -> None:
    """An update from three batches."""
    (optimizer,) = training.optimizers
    for step in range(STEPS):
        for x, y in (training.batch(step + part) for part in range(2)):
            (F.cross_entropy(training.model(x), y) / 3).backward()
        x, y = training.batch(step + 2)
        out = training.model(x)
        loss = F.cross_entropy(out, y) / 3
        loss.backward()
        nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
        optimizer.step()
        if w is not None:
            w.step(loss, inputs=x, targets=y, outputs=out)
        optimizer.zero_grad()


def half(training: Training, w: Any) -> None:
    """Autocast to bfloat16."""
    (optimizer,) = training.optimizers
    for step in range(STEPS):
        x, y = training.batch(step)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = training.model(x)
            loss = F.cross_entropy(out, y)
        loss.backward()
        optimizer.step()
        if w is not None:
            w.step(loss, inputs=x, targets=y, outputs=out)


def scaled(training: Training, w: Any) -> None:
    """Losses scaled as float16 needs it."""
    (optimizer,), scaler = training.optimizers, torch.amp.GradScaler("cpu")
    for step in range(STEPS):
        x, y = training.batch(step)
        optimizer.zero_grad()
        out = training.model(x)
        loss = F.cross_entropy(out, y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        if w is not None:
            w.step(loss, inputs=x, targets=y, outputs=out)


def with_closure(training: Training, w: Any) -> None:
    """The optimizer computes the gradients itself, perhaps several times."""
    (optimizer,) = training.optimizers
    for step in range(STEPS // 4):
        x, y = training.batch(step)
        kept: list[Any] = []

        def closure(x: Tensor = x, y: Tensor = y, kept: list[Any] = kept) -> Tensor:
            optimizer.zero_grad()
            kept[:] = [training.model(x)]
            kept.append(F.cross_entropy(kept[0], y))
            kept[1].backward()
            return kept[1]

        optimizer.step(closure)
        if w is not None:
            w.step(kept[1], inputs=x, targets=y, outputs=kept[0])


def diverging(training: Training, w: Any) -> None:
    """NaN from the tenth step on."""
    with torch.no_grad():
        training.x[BATCH + 3] = float("nan")
    plain(training, w, 12)


def penalised(training: Training, w: Any) -> None:
    """A gradient of the gradient within the loss."""
    (optimizer,) = training.optimizers
    for step in range(STEPS // 3):
        x, y = training.batch(step)
        x = x.clone().requires_grad_()
        optimizer.zero_grad()
        out = training.model(x)
        (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        loss = F.cross_entropy(out, y) + 0.1 * slope.square().mean()
        loss.backward()
        optimizer.step()
        if w is not None:
            w.step(loss, inputs=x, targets=y, outputs=out)


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))


def smooth() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def in_place() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 32), nn.ReLU(inplace=True), nn.Linear(32, 32), nn.SiLU(inplace=True), nn.Linear(32, 3)
    )


def convolutional() -> nn.Module:
    layers = [nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8), nn.GELU(), nn.Flatten(), nn.Linear(32, 3))


class Recurrent(nn.Module):
    """Of tokens drawn from the first input, with dropout between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.lstm, self.head = nn.LSTM(8, 16, 2, batch_first=True, dropout=0.2), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.words((x * 3).long().clamp(-5, 4) + 5))[0][:, -1])


class Attending(nn.Module):
    """An encoder with dropout."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.into, self.head = nn.Linear(4, 16), nn.Linear(16, 3)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.into(x)).mean(1))


class Sharing(nn.Module):
    """One layer twice, a tied matrix, functions instead of layers, noise of all three random streams."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.one(torch.sigmoid(self.one(x)))) + torch.rand(1) * float(np.random.rand())
        return self.last(F.dropout(F.gelu(self.two(h)), 0.1, self.training)) * (1 + 0.01 * random.random())


def frozen() -> nn.Module:
    model = dense()
    for p in model[0].parameters():  # pyright: ignore[reportIndexIssue]
        p.requires_grad = False
    return model


def spectral() -> nn.Module:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(16, 16))
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 16)), nn.ReLU(), layer, nn.Linear(16, 3))


class Recomputing(nn.Module):
    """A part of the pass is done again on the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = (
            nn.Linear(6, 16),
            nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.2)),
            nn.Linear(16, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        h: Any = checkpoint(self.inner, self.first(x).relu(), use_reentrant=False)
        return self.last(h)


def in_parallel() -> nn.Module:
    return nn.DataParallel(dense())


def _groups(model: nn.Module) -> list[Any]:
    first, *others = [p for p in model.parameters() if p.requires_grad]
    return [torch.optim.AdamW([{"params": [first], "lr": 1e-4}, {"params": others}], lr=1e-3)]


def _two(model: nn.Module) -> list[Any]:
    first, *others = [p for p in model.parameters() if p.requires_grad]
    return [torch.optim.SGD([first], 0.1, momentum=0.9), torch.optim.RMSprop(others, 1e-3)]


def _one(make: Any, **settings: Any) -> Callable[[nn.Module], list[Any]]:
    return lambda model: [make([p for p in model.parameters() if p.requires_grad], **settings)]


OPTIMIZERS: dict[str, Callable[[nn.Module], list[Any]]] = {
    "adam": _one(torch.optim.Adam, lr=1e-3),
    "fused": _one(torch.optim.Adam, lr=1e-3, fused=True),
    "sgd": _one(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "groups": _groups,
    "two": _two,
    "lbfgs": _one(torch.optim.LBFGS, lr=0.1, max_iter=3),
}

CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, Any]] = {
    "dense with dropout": (dense, (6,), "adam", plain),
    "functions in place": (in_place, (6,), "sgd", plain),
    "convolutions and norms": (convolutional, (2, 8, 8), "sgd", plain),
    "LSTM on embeddings": (Recurrent, (7,), "adam", plain),
    "transformer": (Attending, (5, 4), "adam", plain),
    "shared parts and noise": (Sharing, (6,), "adam", plain),
    "frozen parts": (frozen, (6,), "adam", plain),
    "parametrized weights": (spectral, (6,), "adam", plain),
    "recomputed parts": (Recomputing, (6,), "adam", plain),
    "DataParallel": (in_parallel, (6,), "adam", plain),
    "a fused optimizer": (dense, (6,), "fused", plain),
    "groups of parameters": (dense, (6,), "groups", plain),
    "two optimizers": (dense, (6,), "two", plain),
    "gradients of several batches": (dense, (6,), "adam", accumulating),
    "bfloat16 by autocast": (convolutional, (2, 8, 8), "adam", half),
    "scaled losses": (dense, (6,), "sgd", scaled),
    "LBFGS": (dense, (6,), "lbfgs", with_closure),
    "a closure": (dense, (6,), "adam", with_closure),
    "NaN in the inputs": (convolutional, (2, 8, 8), "adam", diverging),
    "a penalty on slopes": (smooth, (6,), "adam", penalised),
}


def end_of(case: str, *, watched: bool, given: bool = True, every: Any = "auto") -> tuple[dict[str, Any], Any]:
    """How a training of this case ends, and the watch."""
    make, shape, optimizer, loop = CASES[case]
    training = Training(make, shape, optimizer)
    w: Any = None
    if watched:
        with trainwell.watch(training.model, training.optimizers if given else None, every=every) as w:
            loop(training, w)
    else:
        loop(training, None)
    return training.state(), w


@pytest.mark.covers("D15")
@pytest.mark.parametrize("every", ["auto", 1])
@pytest.mark.parametrize("case", CASES)
def test_everything_ends_bit_for_bit_as_without_the_watch(case: str, every: Any) -> None:
    without, _ = end_of(case, watched=False)
    end, w = end_of(case, watched=True, every=every)
    assert [name for name in without if not same(without[name], end[name])] == []
    failed = [note for note in w.case().program.notes if "failed" in note]
    assert failed == [], "a look that fails is silent, and would make this test empty"
    assert len(w.record.layers("gradient-norm", member=0)) > 0


@pytest.mark.parametrize("case", ["dense with dropout", "two optimizers", "a closure"])
def test_nor_does_a_watch_that_finds_the_optimizers_by_itself(case: str) -> None:
    without, _ = end_of(case, watched=False)
    end, w = end_of(case, watched=True, given=False, every=1)
    assert [name for name in without if not same(without[name], end[name])] == []
    assert w.case().setting("optimizer.learning_rate", 0) > 0


@pytest.fixture
def armed() -> Iterator[tuple[Training, Any]]:
    """A training whose next pass is looked at."""
    training = Training(dense, (6,))
    before = training.state()
    w = trainwell.watch(training.model, training.optimizers, every=1)
    yield training, w
    w.close()
    after = training.state()
    assert [name for name in ("hooks", "modes", "flags", "modes of torch") if not same(before[name], after[name])] == []


def test_an_error_in_the_users_pass_leaves_no_mode_behind(armed: tuple[Training, Any]) -> None:
    training, w = armed
    handle = training.model[3].register_forward_pre_hook(lambda *ignored: 1 / 0)  # pyright: ignore[reportIndexIssue]
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            training.model(training.x)
        assert _get_current_function_mode_stack() == []
    handle.remove()
    plain(training, w, 5)
    assert len(w.record.series("update-ratio", member=0, layer="0")[0]) == 5, "and the looks go on"


def test_an_error_out_of_the_loop_closes_the_watch_and_is_handed_on() -> None:
    training = Training(dense, (6,))
    before = training.state()
    with pytest.raises(KeyError, match="mine"), trainwell.watch(training.model, training.optimizers):
        plain(training, None, 3)
        raise KeyError("mine")
    assert same(before["hooks"], training.state()["hooks"])


def is_free_of(twin: nn.Module, training: Training, w: Any) -> None:
    """Whether a module is one for itself: passes of it are not noted, and it drags nothing of the watch along."""
    assert all(same(a, b) for a, b in zip(training.model.parameters(), twin.parameters(), strict=True))
    given = w._observer._door.given
    twin(training.x + 1).sum().backward()
    assert w._observer._door.given is given and _get_current_function_mode_stack() == []
    assert len(pickle.dumps(twin)) < 1.5 * len(pickle.dumps(dense()))


def test_a_copy_of_the_module_within_a_watch_is_an_ordinary_module(armed: tuple[Training, Any]) -> None:
    training, w = armed
    plain(training, w, 3)
    training.model(training.x * torch.ones(6, requires_grad=True))  # a pass whose inputs are no leaves
    is_free_of(copy.deepcopy(training.model), training, w)


def test_a_module_can_be_saved_whole_within_a_watch(armed: tuple[Training, Any]) -> None:
    training, w = armed
    plain(training, w, 3)
    is_free_of(pickle.loads(pickle.dumps(training.model)), training, w)


def test_an_optimizer_can_be_copied_and_saved_within_a_watch(armed: tuple[Training, Any]) -> None:
    training, w = armed
    plain(training, w, 3)
    (optimizer,) = training.optimizers
    twin = copy.deepcopy(optimizer)
    assert len(twin.state) == len(optimizer.state) and pickle.dumps(optimizer.state_dict())


def test_a_trace_of_the_module_within_a_watch_is_that_without_it(armed: tuple[Training, Any]) -> None:
    training, _ = armed
    with torch.no_grad():
        out = training.model.eval()(training.x)
        exported = torch.export.export(training.model, (training.x,)).module()
        training.model.train()
    assert torch.equal(exported(training.x), out)


def compiled_training(watched: bool, whole: bool) -> dict[str, Any]:
    training = Training(dense, (6,))
    inner = training.model
    if whole:
        training.model = torch.compile(inner, backend="eager")  # pyright: ignore[reportAttributeAccessIssue]
    else:
        inner.compile(backend="eager")
    with trainwell.watch(training.model, training.optimizers) if watched else nullcontext() as w:
        plain(training, w, 12)
    training.model = inner
    return training.state()


@pytest.mark.filterwarnings("ignore")  # of torch, about itself
@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_module_is_watched_from_outside_and_not_changed(whole: bool) -> None:
    without, end = compiled_training(False, whole), compiled_training(True, whole)
    assert [name for name in without if not same(without[name], end[name])] == []


def distributed_training(watched: bool) -> dict[str, Any]:
    training = Training(dense, (6,))
    inner = training.model
    training.model = nn.parallel.DistributedDataParallel(inner)
    with trainwell.watch(training.model, training.optimizers, every=1) if watched else nullcontext() as w:
        plain(training, w, 12)
    if w is not None:
        assert w.record.layers("activation-std", member=0) == ["0", "3", "5"]
    training.model = inner
    return training.state()


@pytest.mark.filterwarnings("ignore")
def test_a_module_in_several_processes_is_not_changed(tmp_path: Any) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    store = torch.distributed.HashStore()  # pyright: ignore[reportPrivateImportUsage]
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        without, end = distributed_training(False), distributed_training(True)
    finally:
        torch.distributed.destroy_process_group()
    assert [name for name in without if not same(without[name], end[name])] == []


def test_the_first_use_of_watch_draws_nothing_though_it_imports_libraries_that_do() -> None:
    code = "import random, trainwell; random.seed(1); before = random.getstate(); trainwell.watch"
    code += "\nassert random.getstate() == before"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
