"""Random streams belong to (seed, member, purpose): equal everywhere, independent of each other."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import trainwell.base
from trainwell.base import Seeds, stream_seed
from trainwell.base.streams import stream

KEYS = st.lists(st.one_of(st.integers(), st.text(max_size=8)), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(KEYS, KEYS)
def test_different_keys_have_different_seeds(one: list[int | str], other: list[int | str]) -> None:
    assert (stream_seed(*one) == stream_seed(*other)) == (one == other)
    assert 0 <= stream_seed(*one) < 2**63


def test_a_number_and_its_text_are_different_keys() -> None:
    assert stream_seed(1, "2") != stream_seed(1, 2) != stream_seed("1", 2)
    assert stream_seed("a", "b") != stream_seed("ab") != stream_seed("a,b")


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_a_seed_is_the_same_in_every_process(hash_seed: str) -> None:
    code = "from trainwell.base import Seeds; print(Seeds.of(5, 3), Seeds.of(5, 3, shared_data=True))"
    source = str(Path(trainwell.base.__file__).parents[2])
    paths = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"{Seeds.of(5, 3)} {Seeds.of(5, 3, shared_data=True)}"


def test_seeds_are_the_same_on_every_machine_and_in_every_version() -> None:
    assert stream_seed(0, 3, "init") == 1057432962197545112


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8])
def test_a_number_of_numpys_is_the_same_key_as_pythons(kind: type[np.integer]) -> None:
    assert stream_seed(kind(3), "init") == stream_seed(3, "init")  # pyright: ignore[reportArgumentType]


def test_members_differ_in_all_streams_or_share_the_data() -> None:
    own = [Seeds.of(0, member) for member in range(50)]
    shared = [Seeds.of(0, member, shared_data=True) for member in range(50)]
    for name in ("init", "order", "noise"):
        assert len({getattr(seeds, name) for seeds in own}) == 50
        assert len({getattr(seeds, name) for seeds in shared}) == (50 if name == "init" else 1)
    assert len({s for seeds in own for s in (seeds.init, seeds.order, seeds.noise)}) == 150
    assert [seeds.init for seeds in own] == [seeds.init for seeds in shared]


def test_draws_of_neighbouring_streams_are_independent() -> None:
    draws = np.stack([stream(0, member, "noise").standard_normal(2_000) for member in range(20)])
    between = np.asarray(np.corrcoef(draws))[~np.eye(20, dtype=bool)]
    # 380 correlations of standard deviation 1/√2000 = 0.022; 4.5 of them, fixed seeds
    assert np.abs(between).max() < 0.1
    assert abs(draws.mean()) < 0.02 and abs(draws.std() - 1) < 0.02
