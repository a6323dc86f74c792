"""Whether one input of a table tells the number to predict."""

import torch
from torch import Tensor

from trainwell.vitals.telling import Telling

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(200, 6, generator=DRAW)
Y = X[:, :3].sum(1) + 0.1 * torch.randn(200, generator=DRAW)


def place_of(x: Tensor, y: Tensor, *, recurrent: bool = False) -> int | None:
    telling = Telling()
    for part in range(0, len(x), 50):
        telling.take(x[part : part + 50], y[part : part + 50])
    return telling.place(recurrent=recurrent)


def test_the_target_among_the_inputs_is_found_whatever_was_made_of_it() -> None:
    for made in (Y, -Y, Y.exp(), (Y * 30).round(), Y.clamp(-1.5, 1.5)):
        assert place_of(torch.cat([X, made[:, None]], 1), Y) == 6
        assert place_of(torch.cat([made[:, None], X], 1), Y[:, None]) == 0
    whole = (Y * 20).round()  # some targets come again, as does what they were made to
    assert place_of(torch.cat([X, whole[:, None]], 1), whole) == 6


def test_what_only_goes_along_with_the_target_does_not_tell_it() -> None:
    assert place_of(X, Y) is None
    assert place_of(torch.cat([X, (Y + 1e-3 * torch.randn(200, generator=DRAW))[:, None]], 1), Y) is None
    assert place_of(X, (X[:, 0] > 0).float()) is None  # two classes
    assert place_of(X, (X[:, 0] > 0).long()) is None
    assert place_of(X[:20], X[:20, 0]) is None  # of so few rows nothing is told
    assert place_of(X[:, :1], X[:, 0]) is None  # a curve over one input
    assert place_of(X, X) is None
    growth = torch.linspace(0, 3, 230).exp().unfold(0, 31, 1)  # windows of a series without noise
    assert place_of(growth[:, :30], growth[:, 30]) is None
    assert Telling().place() is None


def test_the_class_among_the_inputs_is_found_whatever_was_made_of_it() -> None:
    y = torch.randint(3, (200,), generator=DRAW)
    scaled = (y - y.float().mean()) / y.float().std()
    for made in (y.float(), scaled, torch.tensor([0.3, -2.0, 7.0])[y]):
        assert place_of(torch.cat([X, made[:, None]], 1), y) == 6
        assert place_of(torch.cat([made[:, None], X], 1), y.float()[:, None]) == 0
    two = (X[:, 0] > 0).long()
    assert place_of(torch.cat([X, two[:, None].float()], 1), two) == 6


def test_what_is_alike_in_some_classes_only_does_not_tell_them() -> None:
    y = torch.randint(3, (200,), generator=DRAW)
    one = (y == 1).float()
    assert place_of(torch.cat([X, one[:, None]], 1), y) is None  # tells one of three
    assert place_of(torch.cat([X, y[:, None] + 0.01 * X[:, :1]], 1), y) is None
    assert place_of(torch.eye(2)[y % 2], y % 2) is None  # states as inputs: all of them tell
    rare = (torch.arange(200) % 50 == 0).long()  # four rows, which one of many inputs may tell by accident
    assert place_of(torch.cat([X, rare[:, None].float()], 1), rare) is None


def test_to_remember_an_input_may_be_what_a_recurrent_network_learns() -> None:
    steps = torch.randn(200, 5, 2, generator=DRAW)
    assert place_of(steps, steps[:, 0, 0], recurrent=True) is None
    assert place_of(steps, steps[:, 0, 0]) == 0
    assert place_of(steps, steps[:, 4, 1], recurrent=True) == 9
    assert place_of(X, X[:, 2], recurrent=True) is None  # steps of one number
