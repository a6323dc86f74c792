import json
from pathlib import Path

import pytest

from benchmarks import foreign
from benchmarks.foreign import Judged, digest, figures, judged
from benchmarks.harness import Bar

pytestmark = pytest.mark.covers("D15")

PROGRAM = """
import torch
from torch import nn
EXPECTED = {expected}
ALSO = ("not-learning",)

def made(seed):
    torch.manual_seed(seed)
    x = torch.randn(64, 4)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    return model, x, (x[:, 0] > 0).long(), torch.optim.Adam(model.parameters(), {rate})

def run(tw, seed):
    model, x, y, optimizer = made(seed)
    with tw.watch(model, optimizer) as w:
        for _ in range(120):
            optimizer.zero_grad()
            out = model(x)
            loss = nn.functional.cross_entropy(out, y)
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=x, targets=y, outputs=out)
    return w.findings

def check_args(seed):
    model, x, y, optimizer = made(seed)
    return model, nn.CrossEntropyLoss(), x, y, optimizer
"""


def written(path: Path, expected: str, rate: str) -> str:
    path.write_text(PROGRAM.format(expected=expected, rate=rate), encoding="utf-8")
    return str(path)


def test_a_program_is_judged_through_both_doors(tmp_path: Path) -> None:
    well = judged(written(tmp_path / "well.py", "()", "1e-2"), 0)
    assert (well.error, well.watched, well.checked, well.row["verdict"]) == (None, (), (), "silent")
    slow = judged(written(tmp_path / "slow.py", '("learning-rate-too-small",)', "1e-6"), 0)
    assert slow.error is None and slow.found("watched") and slow.found("checked")
    assert slow.row["verdict"] == "found" and slow.seconds > 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("EXPECTED = ()", "must have run, check_args"),
        (PROGRAM.format(expected='("overfiting",)', rate="1"), "Did you mean 'overfitting'"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_is_no_program_is_told(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "odd.py").write_text(text, encoding="utf-8")
    told = judged(str(tmp_path / "odd.py"), 0)
    assert reason in str(told.error) and told.row["verdict"] == "raised"


MADE = [
    Judged("a", ("dead-units", "plateau"), ("not-learning",), (("plateau", "…"), ("not-learning", "…"))),
    Judged("b", ("batch-leak",), (), (("overfitting", "…"),), (("batch-leak", "…"),)),
    Judged("c", ("batch-leak",)),
    Judged("d"),
    Judged("e", checked=(("plateau", "…"),)),
    Judged("f", error="ValueError: no"),
]


def test_the_figures_of_a_set() -> None:
    row, bars = figures(MADE, "abc")
    assert (row["sick"], row["recall_watch"], row["recall"]) == (3, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert row["precision"] == pytest.approx(3 / 4)
    assert (row["healthy"], row["blamed_watch"], row["blamed"], row["raised"]) == (2, 0, 1, 1)
    assert Bar("false alarms, watch or check", 0.5, 0.02, False) in bars and len(bars) == 5
    assert [bar.name for bar in figures(MADE[:3], "abc")[1]][2:] == ["programs that raised"]


def test_a_set_is_told_by_what_its_files_say(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("1", encoding="utf-8")
    before = digest([path])
    path.write_text("2", encoding="utf-8")
    assert len(before) == 12 and digest([path]) != before


def test_a_folder_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "well.py", "()", "1e-2")
    monkeypatch.setattr("sys.argv", ["foreign", str(tmp_path), "--json"])
    monkeypatch.setattr(foreign, "all_of", lambda job, names, seeds: [job(n, s) for n in names for s in seeds])
    foreign.main()
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["rows"][-1]["healthy"] == 1 and outcome["rows"][-1]["recall"] is None
    monkeypatch.setattr("sys.argv", ["foreign", str(tmp_path / "none")])
    with pytest.raises(SystemExit):
        foreign.main()
    assert "no .py file in" in capsys.readouterr().err
