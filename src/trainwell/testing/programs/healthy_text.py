"""Healthy trainings on a little text: the next letter, masked letters, words and their sentences."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, AdamW, lr_scheduler

import trainwell
from trainwell.testing.programs.program import Ended, Program

VERSE = (
    "the miller had three sons and when he died he left the mill to the eldest the donkey to the second and the cat to "
    "the third the third was sad and said my brothers can earn their bread together but what shall i do with a cat the "
    "cat heard it and said do not be sad give me a pair of boots and a bag and you will see that you have not come off "
    "so badly as you think so he gave the cat a pair of boots and a bag and the cat put on the boots and went into the "
    "wood where there were many rabbits "
) * 2
LETTERS = sorted(set(VERSE))
CODES = torch.tensor([LETTERS.index(c) for c in VERSE])
SIZE, STEPS, MASK = len(LETTERS), 16, len(LETTERS)


class LetterModel(nn.Module):
    """Letters to vectors, a recurrent layer, and logits of the next letter; output weights may be the vectors."""

    def __init__(self, kind: str, tied: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(SIZE, 32)
        made = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind]
        self.rnn = made(32, 32, batch_first=True)
        self.decoder = nn.Linear(32, SIZE)
        if tied:
            nn.init.normal_(self.embed.weight, std=0.1)
            self.decoder.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.rnn(self.embed(x))[0])


class Causal(nn.Module):
    """A transformer decoder in small: each letter sees those before it."""

    def __init__(self, mask: bool, layers: int = 2) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(SIZE + 1, 32), nn.Embedding(STEPS, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(32, SIZE)
        self.mask = nn.Transformer.generate_square_subsequent_mask(STEPS) if mask else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x) + self.places(torch.arange(x.shape[1]))
        return self.head(self.layers(h, mask=self.mask))


def next_letter(make: Callable[[], nn.Module], rate: float, steps: int, flat: bool) -> Ended:
    """Sound where it is surer of the next letter than the letters' counts are by far."""
    model = make()
    optimizer = AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    loss_fn = nn.CrossEntropyLoss()
    losses = []
    with trainwell.watch(model, optimizer, loss_fn=loss_fn) as w:
        for _ in range(steps):
            at = torch.randint(len(CODES) - STEPS - 1, (32,)).unsqueeze(1) + torch.arange(STEPS + 1)
            x, y = CODES[at[:, :-1]], CODES[at[:, 1:]]
            out = model(x)
            if flat:
                out, y = out.reshape(-1, SIZE), y.reshape(-1)
                loss = loss_fn(out, y)
            else:
                loss = loss_fn(out.transpose(1, 2), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            w.step(loss, inputs=x, targets=y, outputs=out)
            losses.append(loss.item())
    return Ended(w.findings, -sum(losses[-20:]) / 20, sum(losses[-20:]) / 20 < 2.0)


def masked_letters() -> Ended:
    """Fifteen in a hundred letters are hidden; the loss is theirs alone; the rate falls to 0 in a line."""
    model, losses, steps = Causal(mask=False, layers=1), [], 500
    optimizer = AdamW(model.parameters(), lr=1e-2)
    scheduler = lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=steps)
    with trainwell.watch(model, optimizer, task="multiclass") as w:
        for _ in range(steps):
            at = torch.randint(len(CODES) - STEPS, (32,)).unsqueeze(1) + torch.arange(STEPS)
            letters, hidden = CODES[at], torch.rand(32, STEPS) < 0.15
            x, y = letters.masked_fill(hidden, MASK), letters.masked_fill(~hidden, -100)
            out = model(x)
            loss = F.cross_entropy(out.reshape(-1, SIZE), y.reshape(-1), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            w.step(loss, inputs=x, targets=y, outputs=out)
            losses.append(loss.item())
    return Ended(w.findings, -sum(losses[-30:]) / 30, sum(losses[-30:]) / 30 < 1.8)


def sentences() -> tuple[Tensor, Tensor]:
    """Short rows of word numbers; the class is whether words of the first half outnumber those of the second."""
    draw = torch.Generator().manual_seed(4)
    words = torch.randint(1, 40, (900, 9), generator=draw)
    return words, ((words < 20).sum(1) > 4).long()


class Bag(nn.Module):
    """The mean of the words' vectors, and a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(40, 16, mode="mean")
        self.out = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.bag(x))


class WordGru(nn.Module):
    """Words to vectors, a recurrent layer, a class."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gru, self.out = nn.Embedding(40, 16), nn.GRU(16, 24, batch_first=True), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.gru(self.embed(x))[0][:, -1])


class WordConv(nn.Module):
    """Words to vectors, a convolution over them, the largest of each feature (Kim 2014)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.conv, self.out = nn.Embedding(40, 16), nn.Conv1d(16, 32, 3, padding=1), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.conv(self.embed(x).transpose(1, 2))).mean(2))


def judged_sentences(make: Callable[[], nn.Module], rate: float) -> Ended:
    """Classes of sentences, with a validation."""
    words, kinds = sentences()
    model = make()
    optimizer, criterion = Adam(model.parameters(), lr=rate), nn.CrossEntropyLoss()
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(10):
            model.train()
            for i in range(0, 700, 32):
                x, y = words[i : min(i + 32, 700)], kinds[i : min(i + 32, 700)]
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            with torch.no_grad():
                out = model(words[700:])
                w.validate(
                    loss=criterion(out, kinds[700:]), accuracy=float((out.argmax(1) == kinds[700:]).float().mean())
                )
    value = float((model(words[700:]).argmax(1) == kinds[700:]).float().mean())
    return Ended(w.findings, value, value >= 0.85)


TEXTS: dict[str, Callable[[], Ended]] = {
    "next letter, LSTM": lambda: next_letter(lambda: LetterModel("lstm", False), 1e-2, 200, True),
    "next letter, GRU": lambda: next_letter(lambda: LetterModel("gru", False), 5e-3, 250, False),
    "next letter, tied weights": lambda: next_letter(lambda: LetterModel("lstm", True), 1e-2, 220, True),
    "next letter, plain recurrent": lambda: next_letter(lambda: LetterModel("rnn", False), 3e-3, 250, True),
    "next letter, transformer": lambda: next_letter(lambda: Causal(True), 3e-3, 220, True),
    "masked letters": masked_letters,
    "sentences, bag of words": lambda: judged_sentences(Bag, 1e-2),
    "sentences, GRU": lambda: judged_sentences(WordGru, 5e-3),
    "sentences, convolution": lambda: judged_sentences(WordConv, 5e-3),
}


def texts() -> list[Program]:
    """All of them."""
    return [
        Program(f"healthy, {name}", None, (), lambda _seed, do=do: do(), "watch", name) for name, do in TEXTS.items()
    ]
