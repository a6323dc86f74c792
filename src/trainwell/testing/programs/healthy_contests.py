"""Healthy trainings in which examples meet: two networks against one another, rows that should be near or far."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, AdamW

import trainwell
from trainwell.diagnosis import Finding
from trainwell.testing.programs.healthy_aims import train
from trainwell.testing.programs.healthy_networks import dense_with
from trainwell.testing.programs.materials import material
from trainwell.testing.programs.program import Ended, Program


def contest(both: bool) -> Ended:
    """A small GAN on two features (Goodfellow et al. 2014), watched on both sides or on the discriminator's."""
    m = material("wine")
    real = m.x[:, [0, 9]]
    real = real / real.std(0)
    generator, judge = dense_with((4, 32, 2)), dense_with((2, 32, 1), act=lambda: nn.LeakyReLU(0.2))
    of_generator, of_judge = Adam(generator.parameters(), 1e-3, (0.5, 0.9)), Adam(judge.parameters(), 1e-3, (0.5, 0.9))
    bce = nn.BCEWithLogitsLoss()
    findings: list[Finding] = []
    with trainwell.watch(judge, of_judge) as w, trainwell.watch(generator, of_generator) as v:
        for _step in range(400):
            x = real[torch.randint(len(real), (32,))]
            made = generator(torch.randn(32, 4))
            out = judge(torch.cat([x, made.detach()]))
            target = torch.cat([torch.ones(32, 1), torch.zeros(32, 1)])
            of_judge.zero_grad()
            loss = bce(out, target)
            loss.backward()
            of_judge.step()
            w.step(loss, inputs=x, targets=target, outputs=out)
            of_generator.zero_grad()
            fooled = judge(made)
            loss = bce(fooled, torch.ones(32, 1))
            loss.backward()
            of_generator.step()
            if both:
                v.step(loss, inputs=x, targets=torch.ones(32, 1), outputs=fooled)
    findings = [*w.findings, *(v.findings if both else [])]
    with torch.no_grad():
        apart = float((generator(torch.randn(500, 4)).mean(0) - real.mean(0)).abs().max())
    return Ended(findings, -apart, apart < 0.8)


def compared(temperature: float) -> Ended:
    """Two noisy views of a row should lie near one another and far from others (Chen et al. 2020)."""
    m, model = material("digits"), dense_with((64, 64, 16))
    optimizer = AdamW(model.parameters(), lr=2e-3)

    def step(x: Tensor, _y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        views = [F.normalize(model(x + 0.3 * torch.randn_like(x)), dim=1) for _ in range(2)]
        logits, target = views[0] @ views[1].T / temperature, torch.arange(len(x))
        return F.cross_entropy(logits, target), logits, target

    findings = train(model, optimizer, m, step, 8)
    with torch.no_grad():
        known, new = (F.normalize(model(x), dim=1) for x in (m.x, m.test_x))
        value = float((m.y[(new @ known.T).argmax(1)] == m.test_y).float().mean())
    return Ended(findings, value, value >= 0.85)


def triplets() -> Ended:
    """A margin between rows of the same and of another class."""
    m, model = material("digits"), dense_with((64, 64, 8))
    optimizer = Adam(model.parameters(), lr=2e-3)
    rows = [torch.nonzero(m.y == c).flatten() for c in range(10)]

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        draw = lambda c: m.x[rows[c][int(torch.randint(len(rows[c]), (1,)))]]
        same, other = (torch.stack([draw((int(c) + d) % 10) for c in y]) for d in (0, int(torch.randint(1, 10, (1,)))))
        out = model(x)
        return F.triplet_margin_loss(out, model(same), model(other)), out, y

    findings = train(model, optimizer, m, step, 4)
    with torch.no_grad():
        near = torch.cdist(model(m.test_x), model(m.x)).argmin(1)
    value = float((m.y[near] == m.test_y).float().mean())
    return Ended(findings, value, value >= 0.85)


CONTESTS: dict[str, Callable[[], Ended]] = {
    "GAN, both watched": lambda: contest(True),
    "GAN, discriminator watched": lambda: contest(False),
    "contrastive": lambda: compared(0.2),
    "contrastive, warm": lambda: compared(0.5),
    "triplets": triplets,
}


def contests() -> list[Program]:
    """All of them."""
    return [Program(f"healthy, {n}", None, (), lambda _seed, do=do: do(), "watch", n) for n, do in CONTESTS.items()]
