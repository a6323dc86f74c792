"""Sick programs written from top to bottom, as they are asked about in forums: recurrent ones, and odd losses."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import trainwell
from trainwell.testing.programs.fault import SLOW, WILD
from trainwell.testing.programs.materials import figure, material
from trainwell.testing.programs.program import Ended, Program


class LSTMClassifier(nn.Module):
    """As in many tutorials; `batch_first` may be forgotten and the state may be detached."""

    def __init__(self, inputs: int, outputs: int, batch_first: bool = True, cut: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, 32, batch_first=batch_first)
        self.fc = nn.Linear(32, outputs)
        self.cut = cut

    def forward(self, x: Tensor) -> Tensor:
        out, (_h, _c) = self.lstm(x)
        last = out[:, -1, :]
        return self.fc(last.detach() if self.cut else last)


def detach_in_the_middle(_seed: int) -> Ended:
    """The recurrent layer gets no gradient."""
    m = material("rows")
    model = LSTMClassifier(8, 10, cut=True)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=5e-3)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(8):
            for i in range(0, len(m.x), 32):
                x, y = m.x[i : i + 32], m.y[i : i + 32]
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def stuck_at_one_third(_seed: int) -> Ended:
    """A rate of 1e-6, to be on the safe side."""
    m = material("wave steps")
    model = LSTMClassifier(1, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(10):
            model.train()
            for idx in torch.randperm(len(m.x)).split(32):
                out = model(m.x[idx])
                loss = F.cross_entropy(out, m.y[idx])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=m.x[idx], targets=m.y[idx], outputs=out)
            model.eval()
            with torch.no_grad():
                out = model(m.test_x)
                w.validate(loss=F.cross_entropy(out, m.test_y).item(), accuracy=figure(out, m.test_y))
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def temperature_forecast(_seed: int) -> Ended:
    """Nobody scaled the readings."""
    m = material("next value")
    x_all, y_all = 15 * m.x + 288, 15 * m.y + 288
    model = LSTMClassifier(1, 1)
    criterion, optimizer = nn.MSELoss(), torch.optim.Adam(model.parameters(), lr=1e-3)
    with trainwell.watch(model, optimizer, loss_fn=criterion, task="regression") as w:
        for _epoch in range(15):
            for idx in torch.randperm(len(x_all)).split(32):
                optimizer.zero_grad()
                out = model(x_all[idx])
                loss = criterion(out, y_all[idx])
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x_all[idx], targets=y_all[idx], outputs=out)
    return Ended(w.findings, figure((model(15 * m.test_x + 288) - 288) / 15, m.test_y))


def negative_loss(_seed: int) -> Ended:
    """NLLLoss on plain outputs."""
    m = material("rows")
    model = LSTMClassifier(8, 10)
    criterion, optimizer = nn.NLLLoss(), torch.optim.Adam(model.parameters(), lr=2e-3)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(8):
            for idx in torch.randperm(len(m.x)).split(32):
                optimizer.zero_grad()
                out = model(m.x[idx])
                loss = criterion(out, m.y[idx])
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=m.x[idx], targets=m.y[idx], outputs=out)
            with torch.no_grad():
                w.validate(loss=criterion(model(m.test_x), m.test_y).item())
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def never_below_zero(_seed: int) -> Ended:
    """A ReLU after the last layer of a regression."""
    m = material("adding")
    model = nn.Sequential(LSTMClassifier(2, 1), nn.ReLU())
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(20):
            for idx in torch.randperm(len(m.x)).split(32):
                pred = model(m.x[idx])
                loss = F.mse_loss(pred, m.y[idx])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                w.step(loss, inputs=m.x[idx], targets=m.y[idx], outputs=pred)
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def shuffled_labels(_seed: int) -> Ended:
    """The labels were sorted on their own."""
    m = material("rows")
    labels = m.y[torch.randperm(len(m.y))]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.05)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(10):
            for i in range(0, 1000, 50):
                optimizer.zero_grad()
                out = model(m.x[i : i + 50])
                loss = criterion(out, labels[i : i + 50])
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=m.x[i : i + 50], targets=labels[i : i + 50], outputs=out)
            with torch.no_grad():
                w.validate(loss=criterion(model(m.test_x), m.test_y))
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def forgotten_batch_first(_seed: int) -> Ended:
    """Time and batch changed places."""
    m = material("wave steps")
    model = LSTMClassifier(1, 3, batch_first=False)
    return Ended(trainwell.check(model, nn.CrossEntropyLoss(), m.x[:32], m.y[:32]), float("nan"))


def one_unit(_seed: int) -> Ended:
    """Softmax over one unit, as `check` sees it."""
    m = material("breast_cancer")
    model = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1), nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(model.parameters())
    y = m.y.float().unsqueeze(1)
    return Ended(trainwell.check(model, nn.BCELoss(), m.x[:64], y[:64], optimizer=optimizer), float("nan"))


def exploding_plain_rnn(_seed: int) -> Ended:
    """A plain recurrent layer with ReLU, and weights twice the identity."""
    m = material("wave steps")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(1, 32, nonlinearity="relu", batch_first=True)
            self.rnn.weight_hh_l0 = nn.Parameter(1.7 * torch.eye(32))
            self.fc = nn.Linear(32, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.rnn(x)[0][:, -1])

    model = Model()
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=1e-3)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(8):
            for idx in torch.randperm(len(m.x)).split(32):
                optimizer.zero_grad()
                out = model(m.x[idx])
                loss = criterion(out, m.y[idx])
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=m.x[idx], targets=m.y[idx], outputs=out)
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


OFF = (*WILD, *SLOW)
SEQUENCE_SCRIPTS = (
    Program("script: detach in the middle", "parameters-not-updated", (*SLOW, "learning-rate-too-small"),
            detach_in_the_middle, "watch", "recurrent", "rows"),
    Program("script: stuck at one third", "learning-rate-too-small", SLOW, stuck_at_one_third, "watch", "recurrent",
            "wave steps"),
    Program("script: temperature forecast", "unscaled-inputs", (*OFF, "vanishing-gradient", "learning-rate-too-small"),
            temperature_forecast, "watch", "recurrent", "next value"),
    Program("script: negative loss", "loss-output-mismatch", OFF, negative_loss, "watch", "recurrent", "rows"),
    Program("script: never below zero", "loss-output-mismatch", (*SLOW, "dead-units"), never_below_zero, "watch",
            "recurrent", "adding"),
    Program("script: shuffled labels", "not-learning", (*SLOW, "label-noise", "overfitting", "data-drift"),
            shuffled_labels, "watch", "dense", "rows"),
    Program("script: batch_first forgotten", "batch-leak", SLOW, forgotten_batch_first, "check", "recurrent",
            "wave steps"),
    Program("script: one unit", "loss-output-mismatch", (*OFF, "parameters-not-updated", "vanishing-gradient"),
            one_unit, "check", "dense", "breast_cancer"),
    Program("script: exploding plain RNN", "exploding-gradient", OFF, exploding_plain_rnn, "watch", "recurrent",
            "wave steps"),
)  # fmt: skip
