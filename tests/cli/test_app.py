"""The commands and their options are a contract: programs outside this repository rely on them."""

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from docs.generate import command_page
from trainwell.cli.app import app
from trainwell.cli.main import main
from trainwell.cli.options import TaskChoice
from trainwell.data import TASKS

TRAINING = [
    "--budget",
    "--device",
    "--json",
    "--out",
    "--plan",
    "--quiet",
    "--seed",
    "--set",
    "--target",
    "--task",
    "--test",
    "--test-size",
    "--trials",
]
OPTIONS = {
    "check": TRAINING,
    "explain": [],
    "fit": TRAINING,
    "lab": ["--json", "--out"],
    "list": [],
    "predict": ["--out", "--proba"],
    "report": [],
    "resume": [],
}


def told(command: str) -> dict[str, str]:
    """Arguments and options of a command with their help, as its reference page tells them."""
    page = command_page().split(f"## trainwell {command}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\* `([\w-]+)[^`]*`: ?(.*)$", page, flags=re.MULTILINE))


def test_the_commands_are_these() -> None:
    assert sorted(name for name in app if not name.startswith("-")) == sorted(OPTIONS)


@pytest.mark.parametrize("command", OPTIONS)
def test_the_options_of_a_command_are_these(command: str) -> None:
    assert sorted(name for name in told(command) if name.startswith("-")) == OPTIONS[command]


@pytest.mark.parametrize("command", OPTIONS)
def test_every_argument_and_option_has_a_line_of_help(command: str) -> None:
    assert told(command)
    assert [name for name, line in told(command).items() if len(line.split()) < 2] == []


def test_the_tasks_to_choose_from_are_those_of_the_data_layer() -> None:
    assert get_args(TaskChoice) == ("auto", *TASKS)


def test_the_installed_command_is_this_one() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    module, _, name = project["project"]["scripts"]["trainwell"].partition(":")
    assert getattr(import_module(module), name) is main
