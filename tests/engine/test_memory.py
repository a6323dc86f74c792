"""Freed memory stays with the process, unless the user says otherwise."""

import resource
import subprocess
import sys

import pytest

from trainwell.base import InputError
from trainwell.engine.memory import keep_freed_memory

FAULTS = """
import resource, torch
from trainwell.engine.memory import keep_freed_memory
kept = keep_freed_memory()
def once():
    return torch.ones(1 << 24).add(1)
for _ in range(3):
    once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    once()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(switch: str) -> tuple[bool, int]:
    """Whether memory is kept, and the pages that 40 tensors of 64 MiB had to be given anew.

    glibc by itself maps each tensor above 32 MiB anew; smaller ones it may keep or not, by what was freed before.
    """
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={"TRAINWELL_KEEP_MEMORY": switch},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, pages = done.stdout.split()
    return kept == "True", int(pages)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is asked")
def test_tensors_of_a_step_are_not_handed_out_anew_page_by_page() -> None:
    (kept, few), (left, many) = faults("1"), faults("0")
    assert not left
    one = (1 << 26) // resource.getpagesize()  # pages of one tensor: the heap may grow once more while it is watched
    assert not kept or few <= max(many / 10, 2 * one), (few, many)


def test_another_word_for_the_switch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINWELL_KEEP_MEMORY", "yes")
    with pytest.raises(InputError, match="TRAINWELL_KEEP_MEMORY must be 0 or 1, not 'yes'; unset it"):
        keep_freed_memory.__wrapped__()
