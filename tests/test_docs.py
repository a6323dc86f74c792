"""Everything shown is run, and reference pages say what the code says."""

import re
import shlex
from pathlib import Path

import pytest

from docs.generate import FOLDER, NOTE, PAGES
from tests.cli.test_app import OPTIONS

ROOT = Path(__file__).parents[1]
PROSE = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")) if path.name not in PAGES]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == NOTE + PAGES[name](), "mend with: make docs"


def test_the_examples_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = blocks(README, "python")
    assert len(examples) >= 3
    hurried = re.sub(r'budget="\d+s"', 'budget="1s"', "\n".join(examples))
    exec(compile(hurried, "README.md", "exec"), {})
    assert (tmp_path / "runs" / "wine" / "report.html").exists()


def test_the_commands_of_the_readme_exist() -> None:
    lines = [line for block in blocks(README, "console") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("trainwell ")]
    assert len(commands) >= 7
    for command, *rest in commands:
        assert [word for word in rest if word.startswith("--") and word not in OPTIONS[command]] == []
    targets = [line.split()[1] for line in lines if line.startswith("make ")]
    known = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(targets) <= set(known)


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_lines_are_short_enough_to_be_compared(path: Path) -> None:
    long = [
        line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 140 and not line.startswith("|")
    ]
    assert long == []


def test_every_benchmark_that_the_readme_names_exists() -> None:
    names = set(re.findall(r"python -m benchmarks\.(\w+)", README))
    assert names and [name for name in names if not (ROOT / "benchmarks" / f"{name}.py").exists()] == []
