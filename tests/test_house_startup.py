"""Heavy imports are late. Held by what is imported, which does not depend on how fast the machine is."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
HEAVY = {"cyclopts", "jinja2", "matplotlib", "numpy", "pandas", "polars", "pydantic", "sklearn", "torch", "yaml"}
ASK = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def imported_by(code: str) -> set[str]:
    """Top-level modules in memory after running `code` in a fresh interpreter."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}\n{ASK}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_importing_trainwell_imports_nothing_heavy() -> None:
    assert imported_by("import trainwell") & HEAVY == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["fit", "--help"], ["--version"], ["fit"], ["ft", "a.csv"]], ids=" ".join
)
def test_help_and_wrong_options_are_answered_without_heavy_imports(arguments: list[str]) -> None:
    code = f"import trainwell.cli.main\ntrainwell.cli.main.main({arguments})"
    assert imported_by(code) & HEAVY == {"cyclopts"}


def test_a_public_name_is_there_when_it_is_used() -> None:
    assert {"polars", "sklearn", "torch"} <= imported_by("import trainwell; trainwell.Classifier")
