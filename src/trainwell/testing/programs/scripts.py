"""Sick programs written from top to bottom, as they are asked about in forums: dense and convolutional ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import trainwell
from trainwell.testing.programs.fault import SLOW, WILD
from trainwell.testing.programs.materials import figure, material
from trainwell.testing.programs.networks import ConvNet, Net
from trainwell.testing.programs.program import Ended, Program


def accuracy_of_zero_point_one(_seed: int) -> Ended:
    """Softmax in forward, and CrossEntropyLoss."""
    m = material("images")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 16, 3)
            self.fc1 = nn.Linear(16 * 36, 64)
            self.fc2 = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.conv(x)).view(-1, 16 * 36)
            return F.softmax(self.fc2(F.relu(self.fc1(x))), dim=1)

    net = Model()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    trainloader = DataLoader(TensorDataset(m.x, m.y), batch_size=32, shuffle=True)
    with trainwell.watch(net, optimizer, loss_fn=criterion) as w:
        for _epoch in range(6):
            for inputs, labels in trainloader:
                optimizer.zero_grad()
                outputs = net(inputs)
                loss = criterion(outputs, labels)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=inputs, targets=labels, outputs=outputs)
    return Ended(w.findings, figure(net(m.test_x), m.test_y))


def loss_goes_up_and_up(_seed: int) -> Ended:
    """zero_grad forgotten."""
    m = material("digits")
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    loss_function = nn.CrossEntropyLoss()
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    with trainwell.watch(model, opt, loss_fn=loss_function) as w:
        for _epoch in range(10):
            for i in range(0, 1000, 32):
                x, y = m.x[i : i + 32], m.y[i : i + 32]
                y_hat = model(x)
                loss = loss_function(y_hat, y)
                loss.backward()
                opt.step()
                w.step(loss, inputs=x, targets=y, outputs=y_hat)
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def regression_predicts_the_mean(_seed: int) -> Ended:
    """(B,) against (B, 1)."""
    m = material("friedman")
    x_train, y_train = m.x, m.y.squeeze()
    x_val, y_val = m.test_x, m.test_y.squeeze()
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(20):
            model.train()
            for i in range(0, len(x_train), 50):
                xb, yb = x_train[i : i + 50], y_train[i : i + 50]
                optimizer.zero_grad()
                pred = model(xb)
                loss = ((pred - yb) ** 2).mean()
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=xb, targets=yb, outputs=pred)
            model.eval()
            with torch.no_grad():
                w.validate(loss=((model(x_val) - y_val) ** 2).mean().item())
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def labels_scaled_inputs_not(_seed: int) -> Ended:
    """The wrong side of the data went through the scaler."""
    m = material("breast_cancer")
    sizes = torch.logspace(-2, 3, 30)  # as the columns of this set are: from hundredths to thousands
    x, x_test = (m.x + 3) * sizes, (m.test_x + 3) * sizes
    model = Net(30, 32, 2)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.01)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(15):
            for idx in torch.randperm(len(x)).split(32):
                optimizer.zero_grad()
                out = model(x[idx])
                loss = criterion(out, m.y[idx])
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x[idx], targets=m.y[idx], outputs=out)
            with torch.no_grad():
                out = model(x_test)
                w.validate(loss=criterion(out, m.test_y), accuracy=figure(out, m.test_y))
    return Ended(w.findings, figure(model(x_test), m.test_y))


def new_head_never_learns(_seed: int) -> Ended:
    """The optimizer was made before the last layer was replaced."""
    m = material("images")
    model = ConvNet(100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.fc2 = nn.Linear(32, 10)
    criterion = nn.CrossEntropyLoss()
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(6):
            for x, y in DataLoader(TensorDataset(m.x, m.y), batch_size=32, shuffle=True):
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def dropout_does_nothing(_seed: int) -> Ended:
    """eval() in the evaluation, and no train() afterwards."""
    m = material("images")
    model = ConvNet(10, 8, dropout=0.5)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=2e-3)
    loader = DataLoader(TensorDataset(m.x, m.y), batch_size=32, shuffle=True)
    model.train()
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(8):
            for x, y in loader:
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            with torch.no_grad():
                out = model(m.test_x)
            w.validate(loss=criterion(out, m.test_y).item(), accuracy=figure(out, m.test_y))
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def xavier_did_not_help(_seed: int) -> Ended:
    """All weights 0, 'to start from the same place'."""
    m = material("wine")
    net = Net(13, 20, 3)
    for layer in (net.fc1, net.fc2, net.fc3):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trainwell.watch(net, optimizer) as w:
        for _epoch in range(40):
            for idx in torch.randperm(len(m.x)).split(16):
                out = net(m.x[idx])
                loss = F.cross_entropy(out, m.y[idx])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=m.x[idx], targets=m.y[idx], outputs=out)
    return Ended(w.findings, figure(net(m.test_x), m.test_y))


class OwnNorm(nn.Module):
    """A batch norm by hand."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)) / x.std(0)


def loss_is_nan_after_a_while(_seed: int) -> Ended:
    """The last batch of the first epoch has one row, and one row has no deviation."""
    m = material("friedman")
    x, y = m.x[:577], m.y[:577]
    model = nn.Sequential(nn.Linear(10, 32), OwnNorm(), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(8):
            for idx in torch.randperm(len(x)).split(32):
                optimizer.zero_grad()
                out = model(x[idx])
                loss = F.mse_loss(out, y[idx])
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x[idx], targets=y[idx], outputs=out)
    return Ended(w.findings, float("nan"))


def entropy_by_hand(_seed: int) -> Ended:
    """log(0), where the bounded output reaches 0 or 1."""
    m = material("breast_cancer")
    model = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1), nn.Hardsigmoid())
    y = m.y.float().unsqueeze(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(20):
            for i in range(0, 400, 20):
                p = model(m.x[i : i + 20])
                loss = -(y[i : i + 20] * torch.log(p) + (1 - y[i : i + 20]) * torch.log(1 - p)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=m.x[i : i + 20], targets=y[i : i + 20], outputs=p)
    return Ended(w.findings, float("nan"))


def deep_and_sigmoid(_seed: int) -> Ended:
    """Ten sigmoid layers."""
    m = material("digits")
    layers: list[nn.Module] = [nn.Linear(64, 32), nn.Sigmoid()]
    for _ in range(9):
        layers += [nn.Linear(32, 32), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1)
    with trainwell.watch(model, optimizer, loss_fn=criterion, task="multiclass") as w:
        for _epoch in range(12):
            model.train()
            for x, y in DataLoader(TensorDataset(m.x, m.y), batch_size=40, shuffle=True):
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            with torch.no_grad():
                w.validate(loss=criterion(model(m.test_x), m.test_y).item())
    return Ended(w.findings, figure(model(m.test_x), m.test_y))


def rate_of_three(_seed: int) -> Ended:
    """lr=3.0 instead of 3e-3."""
    m = material("images")
    net = ConvNet(10)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=3.0)
    with trainwell.watch(net, optimizer, loss_fn=criterion) as w:
        for _epoch in range(6):
            for x, y in DataLoader(TensorDataset(m.x, m.y), batch_size=64, shuffle=True):
                optimizer.zero_grad()
                out = net(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            with torch.no_grad():
                w.validate(loss=criterion(net(m.test_x), m.test_y).item())
    return Ended(w.findings, figure(net(m.test_x), m.test_y))


NOT_LEARNED = (*SLOW, "learning-rate-too-small")
SCRIPTS = (
    Program("script: accuracy of 0.1", "double-softmax", (*SLOW, "loss-output-mismatch"), accuracy_of_zero_point_one,
            "watch", "convolutional", "images"),
    Program("script: loss goes up and up", "gradients-accumulate", (*WILD, *SLOW), loss_goes_up_and_up, "watch",
            "dense", "digits"),
    Program("script: it predicts the mean", "target-shape-mismatch", SLOW, regression_predicts_the_mean, "watch",
            "dense", "friedman"),
    Program("script: labels scaled", "unscaled-inputs", (*WILD, *SLOW, "vanishing-gradient"), labels_scaled_inputs_not,
            "watch", "dense", "breast_cancer"),
    Program("script: new head", "parameters-not-updated", NOT_LEARNED, new_head_never_learns, "watch",
            "convolutional", "images"),
    Program("script: dropout does nothing", "wrong-mode", ("overfitting",), dropout_does_nothing, "watch",
            "convolutional", "images"),
    Program("script: zeros", "symmetric-units", (*NOT_LEARNED, "vanishing-gradient", "dead-units",
            "parameters-not-updated", "shrinking-activations"), xavier_did_not_help, "watch", "dense", "wine"),
    Program("script: nan after a while", "non-finite", WILD, loss_is_nan_after_a_while, "watch", "dense", "friedman"),
    Program("script: entropy by hand", "non-finite", WILD, entropy_by_hand, "watch", "dense", "breast_cancer"),
    Program("script: deep and sigmoid", "vanishing-gradient", (*NOT_LEARNED, "saturated-units",
            "shrinking-activations", "layers-out-of-step"), deep_and_sigmoid, "watch", "dense", "digits"),
    Program("script: rate of three", "learning-rate-too-large", (*WILD, *SLOW, "vanishing-gradient"), rate_of_three,
            "watch", "convolutional", "images"),
)  # fmt: skip
