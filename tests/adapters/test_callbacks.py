"""Callbacks of four libraries: on the library itself where it is installed, and on the order of its events."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from trainwell.adapters.translate import accepted, base, judgement, mirrored, pair, part_with_all, together
from trainwell.base import InputError

os.environ["KERAS_BACKEND"], os.environ["KERAS_TORCH_DEVICE"] = "torch", "cpu"  # read while it is imported
BATCH, EPOCHS, ROWS = 16, 4, 64
STEPS = EPOCHS * ROWS // BATCH
HOMES = {  # of the class that each callback is derived from
    "skorch": ("skorch.callbacks", "Callback"),
    "lightning": ("lightning.pytorch", "Callback"),
    "keras": ("keras.callbacks", "Callback"),
    "huggingface": ("transformers", "TrainerCallback"),
}


def table() -> tuple[Tensor, Tensor]:
    """Rows (64, 5) and two classes."""
    x = torch.randn(ROWS, 5)
    return x, (x[:, 0] + x[:, 1] > 0).long()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


def batches(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


@pytest.fixture
def callback_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """The callback's class on a stand-in for the library: a module with an empty base."""
    taken: list[str] = []

    def make(name: str) -> Any:
        home, base_name = HOMES[name]
        parts = home.split(".")
        for end in range(1, len(parts) + 1):
            module = ModuleType(".".join(parts[:end]))
            monkeypatch.setitem(sys.modules, module.__name__, module)
        setattr(sys.modules[home], base_name, type(base_name, (), {}))
        monkeypatch.delitem(sys.modules, f"trainwell.adapters.{name}", raising=False)
        taken.append(f"trainwell.adapters.{name}")
        return importlib.import_module(taken[-1]).WatchCallback

    yield make
    for module in taken:
        sys.modules.pop(module, None)


class Diary:
    """Gradient norms and losses as they were at each update, noted beside the watch."""

    def __init__(self, weight: nn.Parameter) -> None:
        self.norms: list[float] = []
        self.losses: list[float] = []
        self._weight = weight

    def note(self, loss: Tensor) -> None:
        grad = self._weight.grad
        assert grad is not None
        self.norms.append(float(grad.norm()))
        self.losses.append(float(loss.detach()))


def agrees(callback: Any, diary: Diary, layer: str) -> None:
    """What was watched is what happened."""
    record = callback.watch.record
    steps, losses = record.series("loss", member=0)
    assert steps.tolist() == list(range(1, len(diary.losses) + 1))
    assert losses.tolist() == pytest.approx(diary.losses, rel=1e-6)
    looks, norms = record.series("gradient-norm", member=0, layer=layer)
    assert len(looks) == len(diary.losses), "a look at every step was asked for"
    assert norms.tolist() == pytest.approx([diary.norms[step - 1] for step in looks], rel=1e-5)
    assert [f.kind for f in callback.findings if f.severity != "info"] == []


def skorch_events(callback: Any, net: Any, diary: Diary) -> None:
    """`fit` of skorch 1.4: the update is made by a closure; a batch of the judgement ends like one of the training."""
    x, y = table()
    callback.on_train_begin(net, X=x, y=y)
    for _ in range(EPOCHS):
        net.module_.train()
        for batch in batches(x, y):
            callback.on_batch_begin(net, batch=batch, training=True) if hasattr(callback, "on_batch_begin") else None
            kept: dict[str, Tensor] = {}

            def closure(batch: Any = batch, kept: dict[str, Tensor] = kept) -> Tensor:
                net.optimizer_.zero_grad()
                kept["y_pred"] = net.module_(batch[0])
                kept["loss"] = nn.functional.cross_entropy(kept["y_pred"], batch[1])
                kept["loss"].backward()
                diary.note(kept["loss"])
                return kept["loss"]

            net.optimizer_.step(closure)
            callback.on_batch_end(net, batch=batch, training=True, **kept)
        net.module_.eval()
        with torch.no_grad():
            out = net.module_(x)
        valid = nn.functional.cross_entropy(out, y)
        callback.on_batch_end(net, batch=(x, y), training=False, loss=valid, y_pred=out)
        net.history.append({"epoch": 1, "train_loss": 1.0, "valid_loss": float(valid), "valid_acc": 0.5, "dur": 0.1})
        callback.on_epoch_end(net, dataset_train=None, dataset_valid=None)
    callback.on_train_end(net, X=x, y=y)


@pytest.mark.covers("D15")
def test_on_events_of_skorch_losses_gradients_and_scores_are_noted(callback_of: Any) -> None:
    callback, module = callback_of("skorch")(every=1), network()
    net = SimpleNamespace(module_=module, optimizer_=torch.optim.SGD(module.parameters(), 0.1), history=[])
    diary = Diary(module[0].weight)  # pyright: ignore[reportArgumentType]
    skorch_events(callback, net, diary)
    agrees(callback, diary, "0")
    steps, _ = callback.watch.record.series("validation_loss", member=0)
    assert steps.tolist() == [4, 8, 12, 16], "judged once an epoch, and batches of the judgement are no steps"
    assert callback.watch.record.series("validation_metric", member=0)[1].tolist() == [0.5] * EPOCHS
    assert module._forward_pre_hooks == {}, "the observation has ended"
    assert type(callback)(**callback.get_params()).get_params() == {"every": 1}, "as scikit-learn copies it"


def lightning_events(callback: Any, trainer: Any, module: Any, diary: Diary, parts: int) -> None:
    """`Trainer.fit` of Lightning 2.6: a judgement to begin with; closures; several batches to an update, if asked."""
    x, y = table()
    optimizer = trainer.optimizers[0]
    trainer.sanity_checking = True
    callback.on_validation_end(trainer, module)
    trainer.sanity_checking = False
    callback.on_train_start(trainer, module)
    for _ in range(EPOCHS):
        for index, batch in enumerate(batches(x, y)):

            def closure(batch: Any = batch, index: int = index) -> Tensor:
                loss = nn.functional.cross_entropy(module.net(batch[0]), batch[1]) / parts
                if index % parts == 0:
                    optimizer.zero_grad()
                callback.on_before_backward(trainer, module, loss)
                loss.backward()
                if (index + 1) % parts == 0:
                    diary.note(loss * parts)
                return loss

            if (index + 1) % parts:
                closure()
            else:
                optimizer.step(closure=closure)
                trainer.global_step += 1
            callback.on_train_batch_end(trainer, module, {}, batch, index)
        trainer.callback_metrics = {"train_loss": torch.tensor(1.0), "val_loss": torch.tensor(0.7), "val_mae": 3.0}
        callback.on_validation_end(trainer, module)
    callback.teardown(trainer, module, "fit")


@pytest.mark.parametrize("parts", [1, 2])
def test_on_events_of_lightning_an_update_is_a_step_whatever_its_batches(callback_of: Any, parts: int) -> None:
    callback, module = callback_of("lightning")(every=1), nn.Module()
    module.net = network()
    plugin = SimpleNamespace(scaler=None)
    optimizers = [torch.optim.SGD(module.parameters(), 0.1)]
    trainer = SimpleNamespace(
        optimizers=optimizers,
        global_step=0,
        is_global_zero=True,
        precision_plugin=plugin,
        accumulate_grad_batches=parts,
        callback_metrics={"val_loss": 9.0},
    )
    diary = Diary(module.net[0].weight)  # pyright: ignore[reportArgumentType, reportIndexIssue]
    lightning_events(callback, trainer, module, diary, parts)
    agrees(callback, diary, "0")
    assert callback.watch.record.series("validation_loss", member=0)[1].tolist() == pytest.approx([0.7] * EPOCHS)
    assert callback.watch.record.layers("activation-std", member=0) == ["0", "2"], "the part that is called is watched"


def huggingface_events(callback: Any, trainer: Any, diary: Diary, parts: int) -> None:
    """`Trainer.train` of transformers 5: `compute_loss` may take the labels out of the batch; several to an update."""
    x, y = table()
    model, optimizer = trainer.model, trainer.optimizer
    state, control = SimpleNamespace(is_world_process_zero=True), None
    wrapped = SimpleNamespace(optimizer=optimizer, param_groups=optimizer.param_groups)  # as accelerate does
    callback.on_train_begin(None, state, control, model=model, optimizer=wrapped)
    for _ in range(EPOCHS):
        means = []
        for index, (rows, labels) in enumerate(batches(x, y)):
            model.train()
            means.append(trainer.compute_loss(model, {"x": rows, "labels": labels}, num_items_in_batch=None))
            (means[-1] / parts).backward()
            if (index + 1) % parts == 0:
                diary.note(torch.stack(means).mean())
                optimizer.step()
                optimizer.zero_grad()
                callback.on_step_end(None, state, control, model=model)
                means = []
        model.eval()
        with torch.no_grad():
            trainer.compute_loss(model, {"x": x, "labels": y})
        figures = {"eval_loss": 0.6, "eval_accuracy": 0.7, "eval_samples_per_second": 400.0, "epoch": 1.0}
        callback.on_evaluate(None, state, control, metrics=figures)
    callback.on_train_end(None, state, control)


class Trainer:
    """As much of that of Hugging Face as the callback asks for."""

    model_accepts_loss_kwargs, compute_loss_func = False, None

    def __init__(self) -> None:
        self.model = network()
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], num_items_in_batch: object = None) -> Tensor:
        labels = inputs.pop("labels")
        return nn.functional.cross_entropy(model(inputs["x"]), labels)


@pytest.mark.parametrize("parts", [1, 2])
def test_on_events_of_hugging_face_the_loss_is_the_one_that_is_trained_on(callback_of: Any, parts: int) -> None:
    trainer = Trainer()
    callback = callback_of("huggingface")(trainer, every=1)
    diary = Diary(trainer.model[0].weight)  # pyright: ignore[reportArgumentType]
    huggingface_events(callback, trainer, diary, parts)
    agrees(callback, diary, "0")
    program = callback.watch.case().program
    assert program.loss.kind == "cross-entropy" and program.targets.classes == 2 and program.batch == BATCH
    assert callback.watch.record.series("validation_metric", member=0)[1].tolist() == pytest.approx([0.7] * EPOCHS)
    assert "compute_loss" not in vars(trainer), "the trainer is as before"


class KerasModel:
    """As much of a model of Keras as the callback asks for: layers with variables, a loss, an optimizer of its own."""

    def __init__(self) -> None:
        def variable(path: str, value: Tensor) -> Any:
            return SimpleNamespace(path=path, value=nn.Parameter(value, requires_grad=value.dim() > 0))

        self.kernels = [variable("a/kernel", torch.randn(5, 8) / 3), variable("b/kernel", torch.randn(8, 2) / 3)]
        seed = variable("a/seed", torch.tensor(1.0))
        self.layers = [
            SimpleNamespace(name="a.1", weights=[self.kernels[0], seed]),
            SimpleNamespace(name="b", weights=self.kernels[1:]),
        ]
        self.optimizer, self.training = Adam(), True

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, weight: Any = None) -> Tensor:
        return nn.functional.cross_entropy(y_pred, y)


class Adam:
    """An optimizer that torch does not know."""

    learning_rate = torch.tensor(0.1)

    def apply(self, grads: list[Tensor], variables: list[Any]) -> None:
        with torch.no_grad():
            for grad, variable in zip(grads, variables, strict=True):
                variable.value -= self.learning_rate * grad


@pytest.mark.parametrize("validated", [True, False])
def test_on_events_of_keras_batches_are_noted_though_it_tells_means_only(callback_of: Any, validated: bool) -> None:
    callback, model, (x, y) = callback_of("keras")(every=1), KerasModel(), table()
    callback.model = model
    diary = Diary(model.kernels[0].value)
    callback.on_train_begin()
    for epoch in range(EPOCHS):
        for rows, labels in batches(x, y):
            out = (rows @ model.kernels[0].value).relu() @ model.kernels[1].value
            for kernel in model.kernels:
                kernel.value.grad = None
            loss = model.compute_loss(rows, labels, out, None)
            loss.backward()
            diary.note(loss)
            model.optimizer.apply([kernel.value.grad for kernel in model.kernels], model.kernels)
        callback.on_epoch_end(epoch, {"loss": 1.0, "accuracy": 1.0, **({"val_loss": 0.6} if validated else {})})
    callback.on_train_end()
    agrees(callback, diary, "a-1")
    record = callback.watch.record
    assert record.layers("update-ratio", member=0) == ["a-1", "b"]
    assert set(record.series("learning_rate", member=0)[1].round(6)) == {0.1}
    assert len(record.series("validation_loss", member=0)[0]) == (EPOCHS if validated else 0)
    assert callback.watch.case().setting("optimizer.name") == "adam"
    assert not {"compute_loss", "apply"} & (vars(model).keys() | vars(model.optimizer).keys()), "as before"


def test_keras_on_another_backend_is_refused_in_one_line() -> None:
    layer = SimpleNamespace(name="a", weights=[SimpleNamespace(path="a/kernel", value=object())])
    with pytest.raises(InputError, match=r"needs Keras on torch; set KERAS_BACKEND=torch"):
        mirrored(SimpleNamespace(layers=[layer]))


@pytest.mark.parametrize("name", HOMES)
def test_nothing_is_found_before_the_training_and_wrong_settings_are_refused(callback_of: Any, name: str) -> None:
    make = callback_of(name)
    given = (Trainer(),) if name == "huggingface" else ()
    assert make(*given).findings == [] and make(*given).watch is None
    with pytest.raises(InputError, match=r"takes loss_fn, task, every, out, but got 'evry'. Did you mean 'every'\?"):
        make(*given, evry=2)


@pytest.mark.parametrize("name", HOMES)
def test_a_library_that_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for home in ("skorch", "lightning", "pytorch_lightning", "keras", "transformers"):
        for module in [key for key in sys.modules if key.partition(".")[0] == home]:
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Nothing(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, f"trainwell.adapters.{name}", raising=False)
    package = HOMES[name][0].partition(".")[0]
    with pytest.raises(
        ImportError, match=rf"^WatchCallback for .* needs its package; install it: pip install {package}$"
    ):
        importlib.import_module(f"trainwell.adapters.{name}")


class Nothing:
    """A finder for which these libraries are not there."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in ("skorch", "lightning", "pytorch_lightning", "keras", "transformers"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name.partition(".")[0])


def test_a_library_that_lacks_what_it_needs_says_so_itself(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_there.py").write_text("import not_there_at_all\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        base("Half", "half_there:Callback")


def test_inputs_and_targets_are_found_in_pairs_and_dictionaries() -> None:
    assert pair([1, 2, 3]) == (1, 2) and pair(5) == (5, None) and pair((1,)) == ((1,), None)
    assert pair({"input_ids": 1, "attention_mask": 2, "labels": 3}) == (1, 3)
    assert pair({"other": 1}) == (None, None)


def test_only_figures_of_a_judgement_that_grow_when_better_are_handed_on() -> None:
    logged = {"val_loss": torch.tensor(0.5), "validation/f1": 0.3, "valid_acc": 1, "valid_acc_best": True, "eval": 3}
    errors = {"val_rmse": 2.0, "eval_runtime": 1.0, "acc": 0.9, "val_recall": torch.zeros(2), "val_auc": "high"}
    assert judgement({**logged, **errors}) == {"loss": 0.5, "f1": 0.3, "acc": 1.0}


def test_losses_of_several_batches_are_one_with_the_graph_of_the_last() -> None:
    w = torch.ones((), requires_grad=True)
    assert together([w * 2, w * 4], shares=False).item() == 3 and together([w * 2, w * 4], shares=True).item() == 6
    alone = w * 2
    assert together([alone], shares=False) is alone
    (slope,) = torch.autograd.grad(together([w * 2, w * 4], shares=False), w)
    assert slope.item() == 4


def test_the_part_with_all_parameters_is_watched_in_place_of_the_whole() -> None:
    whole = nn.Module()
    whole.net, whole.loss = network(), nn.CrossEntropyLoss()
    assert part_with_all(whole) is whole.net
    whole.head = nn.Linear(2, 2)
    assert part_with_all(whole) is whole and part_with_all(nn.ReLU()).training
    assert accepted({"every": 3}) == {"every": 3}


# --- on the libraries themselves ---


def healthy(callback: Any, steps: int, judged: int) -> None:
    record = callback.watch.record
    assert len(record.series("loss", member=0)[0]) == steps
    assert len(record.series("validation_loss", member=0)[0]) == judged
    assert len(record.layers("update-ratio", member=0)) == 2
    assert [f.kind for f in callback.findings if f.severity != "info"] == []


@pytest.mark.filterwarnings("ignore")  # theirs
def test_skorch_is_watched() -> None:
    skorch = pytest.importorskip("skorch")
    callback, (x, y) = importlib.import_module("trainwell.adapters.skorch").WatchCallback(every=1), table()
    net = skorch.NeuralNetClassifier(
        network(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-2,
        batch_size=BATCH,
        max_epochs=EPOCHS,
        callbacks=[callback],
        verbose=0,
    )
    net.fit(x.numpy(), y.numpy())
    (watched,) = [c for _, c in net.callbacks_ if hasattr(c, "findings")]
    healthy(watched, EPOCHS * 4, EPOCHS)
    assert importlib.import_module("sklearn.base").clone(net).callbacks[0].get_params() == {"every": 1}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parts", [1, 2])
def test_lightning_is_watched(parts: int) -> None:
    library = pytest.importorskip("lightning")
    callback, (x, y) = importlib.import_module("trainwell.adapters.lightning").WatchCallback(every=1), table()
    diary: list[float] = []

    class Lit(library.LightningModule):
        """The network with its loss and optimizer."""

        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, index: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            diary.append(float(self.net[0].weight.grad.norm()))  # pyright: ignore

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), 1e-2)

    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    rows = DataLoader(TensorDataset(x, y), batch_size=BATCH)
    trainer = library.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", devices=1, callbacks=[callback], accumulate_grad_batches=parts, **off
    )
    trainer.fit(Lit(), rows, rows)
    healthy(callback, STEPS // parts, EPOCHS)
    norms = callback.watch.record.series("gradient-norm", member=0, layer="0")[1]
    assert norms.tolist() == pytest.approx(diary, rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_keras_is_watched() -> None:
    keras = pytest.importorskip("keras")
    callback, (x, y) = importlib.import_module("trainwell.adapters.keras").WatchCallback(every=1), table()
    layers = [keras.Input((5,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.1)]
    model = keras.Sequential([*layers, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss=loss, metrics=["accuracy"])
    given = (x.numpy(), y.numpy())
    model.fit(*given, batch_size=BATCH, epochs=EPOCHS, verbose=0, validation_data=given, callbacks=[callback])
    healthy(callback, STEPS, EPOCHS)
    assert len(callback.watch.record.series("validation_accuracy", member=0)[0]) == EPOCHS
    model.fit(*given, epochs=1, verbose=0)
    assert len(callback.watch.record.series("loss", member=0)[0]) == STEPS, "it no longer listens"


class Rows(Dataset[dict[str, Tensor]]):
    """The table as dictionaries."""

    def __init__(self) -> None:
        self.x, self.y = table()

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": self.x[index], "labels": self.y[index]}


class Model(nn.Module):
    """A network that gives its loss, as those of Hugging Face do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        out = self.net(x)
        return {"logits": out} if labels is None else {"loss": nn.functional.cross_entropy(out, labels), "logits": out}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parts", [1, 2])
def test_the_trainer_of_hugging_face_is_watched(tmp_path: Any, parts: int) -> None:
    library = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no", "use_cpu": True}
    arguments = library.TrainingArguments(
        str(tmp_path),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=parts,
        eval_strategy="epoch",
        learning_rate=1e-2,
        **quiet,
    )
    trainer = library.Trainer(Model(), arguments, train_dataset=Rows(), eval_dataset=Rows())
    callback = importlib.import_module("trainwell.adapters.huggingface").WatchCallback(trainer, every=1)
    trainer.add_callback(callback)
    trainer.train()
    healthy(callback, STEPS // parts, EPOCHS)
    assert "compute_loss" not in vars(trainer)
