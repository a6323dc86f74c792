"""An update is run as written or compiled: which of the two depends on sizes alone, and the outcome on neither."""

import doctest
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trainwell.base import InputError, PlanError
from trainwell.engine import compiling, updates
from trainwell.engine.compiling import MARGIN, has_compiler
from trainwell.engine.updates import COMPILE_SECONDS, SAVED_A_STEP, SAVED_SECONDS, compiled, pays, updater
from trainwell.ingredients.optimizers import OPTIMIZERS
from trainwell.testing.optimizers import FEW, LAYOUT, descent, winds

LARGE: dict[str, Any] = {"elements": 10**9, "steps": 10**6}
SMALL: dict[str, Any] = {"elements": 1000, "steps": 1000}


@pytest.fixture(autouse=True)
def sizes_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINWELL_COMPILE", raising=False)
    monkeypatch.setattr(compiling, "has_compiler", lambda: True)


def test_compiling_pays_from_where_the_time_saved_is_thrice_the_time_it_takes() -> None:
    enough = MARGIN * COMPILE_SECONDS / (SAVED_A_STEP + 1000 * SAVED_SECONDS)
    assert pays(1000, int(enough) + 1)
    assert not pays(1000, int(enough) - 1)
    assert doctest.testmod(updates, extraglobs={"updater": None}).failed == 0


def test_a_small_training_is_updated_as_written() -> None:
    for name, rule in OPTIMIZERS.items():
        assert updater(name, **SMALL) is rule.update


def test_a_large_training_is_compiled_once_a_rule_where_elements_do_not_look_at_each_other() -> None:
    for name, rule in OPTIMIZERS.items():
        assert (updater(name, **LARGE) is not rule.update) == (name != "muon"), name
    assert updater("adamw", **LARGE) is updater("adamw", elements=10**8, steps=10**6)
    assert updater("adamw", **LARGE) is not updater("adam", **LARGE)


def test_without_a_compiler_all_is_updated_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "has_compiler", lambda: False)
    assert updater("adamw", **LARGE) is OPTIMIZERS["adamw"].update


def test_a_compiler_is_looked_for_where_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not has_compiler()
    monkeypatch.setenv("CXX", "python3")
    assert has_compiler()


@pytest.mark.parametrize(("switch", "sizes"), [("0", LARGE), ("1", SMALL)])
def test_the_environment_overrules_the_sizes(switch: str, sizes: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setenv("TRAINWELL_COMPILE", switch)
    assert (updater("adamw", **sizes) is OPTIMIZERS["adamw"].update) == (switch == "0")


def test_another_value_of_the_switch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINWELL_COMPILE", "yes")
    message = (
        r"^TRAINWELL_COMPILE must be 0 \(never compile\) or 1 \(always\), not 'yes'; unset it to let sizes decide\.$"
    )
    with pytest.raises(InputError, match=message):
        updater("adamw", **SMALL)


def test_an_unknown_optimizer_is_answered_with_the_nearest() -> None:
    with pytest.raises(PlanError, match=r"Unknown optimizer 'adanw'\. Did you mean 'adamw'\?"):
        updater("adanw", **SMALL)


def walk(name: str, update: Any, members: int = FEW) -> Tensor:
    walked = descent(name, range(members))
    noise = winds(range(members))
    for t in range(10):
        c = OPTIMIZERS[name].columns(walked.h, walked.s, torch.tensor(t + 1.0, dtype=torch.float64))
        update(walked.θ, walked.θ + noise[t], walked.s, c, LAYOUT)
    return walked.θ


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """torch.compile as it is where the tool chain is broken."""

    def compile(formula: Any, **options: Any) -> Any:
        def fail(*arguments: Any) -> None:
            raise RuntimeError("the compiler failed:\nC++ compile error\nmany lines")

        return fail

    monkeypatch.setattr(torch, "compile", compile)
    return compiled.__wrapped__


def test_where_compiling_fails_the_formula_runs_as_written_and_says_so_once(broken: Callable[..., Any]) -> None:
    update = broken(OPTIMIZERS["adam"].update)
    with pytest.warns(
        RuntimeWarning, match="^The update is not compiled and so slower: the compiler failed: C\\+\\+ compile error$"
    ) as seen:
        θ = walk("adam", update)
    assert len(seen) == 1
    assert torch.equal(θ, walk("adam", OPTIMIZERS["adam"].update))


def test_a_single_row_is_updated_as_written(broken: Callable[..., Any]) -> None:
    with warnings.catch_warnings(action="error"):
        θ = walk("adam", broken(OPTIMIZERS["adam"].update), members=1)
    assert torch.equal(θ, walk("adam", OPTIMIZERS["adam"].update, members=1))


@pytest.mark.covers("O6", "O7", "O9")
@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
@pytest.mark.parametrize("name", ["rmsprop", "lamb"])
def test_compiled_and_as_written_are_one_to_rounding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINWELL_COMPILE", "1")
    update = updater(name, **SMALL)
    written = OPTIMIZERS[name].update
    torch.testing.assert_close(walk(name, update), walk(name, written), rtol=1e-12, atol=1e-14)
    with torch.compiler.set_stance("fail_on_recompile"):  # rows leave: the same kernel
        torch.testing.assert_close(walk(name, update, 3), walk(name, written, 3), rtol=1e-12, atol=1e-14)
