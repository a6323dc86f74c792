"""Files that are replaced as a whole or not at all, and are on disk when that is said."""

import os
import sys
from pathlib import Path

import pytest

from tests.base.disk import Disk
from trainwell.base.files import previous, replace_file, replace_text, sync

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file is meant")


def test_what_was_put_in_place_outlives_a_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, path = Disk(monkeypatch), tmp_path / "a.json"
    for text in ("first", "second, größer"):
        replace_text(path, text)
        assert disk.states[-1].get(path) == text.encode() == path.read_bytes()
    assert os.listdir(tmp_path) == ["a.json"]


def test_at_no_time_would_a_power_failure_leave_less_than_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, path = Disk(monkeypatch), tmp_path / "a.safetensors"
    for text in ("first", "second", "third"):
        replace_file(path, lambda unfinished, text=text: unfinished.write_text(text), keep=True)
    held = [state.get(path, b"") for state in disk.states]
    assert list(dict.fromkeys(held)) == [b"", b"first", b"second", b"third"]
    assert disk.states[-1] == {path: b"third", previous(path): b"second"}


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    def fails(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise OSError("no space")

    path = tmp_path / "a.json"
    replace_text(path, "whole")
    with pytest.raises(OSError, match="no space"):
        replace_file(path, fails, keep=True)
    assert path.read_text() == "whole" and not previous(path).exists()


def test_a_folder_is_on_disk_with_all_that_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, inner = Disk(monkeypatch), tmp_path / "model" / "weights"
    inner.parent.mkdir()
    inner.write_text("numbers")
    (tmp_path / "plan").write_text("values")
    assert inner not in disk.states[-1]
    sync(tmp_path)
    assert disk.states[-1] == {inner: b"numbers", tmp_path / "plan": b"values"}
