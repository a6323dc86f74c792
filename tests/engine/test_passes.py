"""The passes, compiled or as written, in halves or not, at once or in portions: one and the same training."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from trainwell.base import RunError, Seeds
from trainwell.engine import Course, Population, passes, train
from trainwell.engine.compiling import has_compiler
from trainwell.engine.kernel import kernel_for
from trainwell.engine.memory import Portions
from trainwell.engine.precision import precision_for, speed_of_halves
from trainwell.ingredients import LOSSES
from trainwell.networks import Blueprint
from trainwell.plan import Plan
from trainwell.testing.members import Case

EVERYTHING = Case(
    "everything",
    {"network.norm": "batch", "network.residual": True, "network.activation": "leaky_relu", "training.drop_last": True},
    own_batches=True,
    regularisers=("dropout", "input_noise", "mixup", "clip_norm"),
)
WITH_COMPILER = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")


def trained(course: Course, steps: int = 8, **options: Any) -> Course:
    for _ in train(course, until=steps, **options):
        pass
    return course


def course_of(case: Case, who: Sequence[int], *, compiled: bool) -> Course:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINWELL_COMPILE", str(int(compiled)))
        return case.course(who)


@pytest.fixture(scope="module")
def both() -> tuple[Course, Course, Course]:
    """A course after some steps as written, compiled, and compiled with an onlooker."""
    written, compiled, watched = (course_of(EVERYTHING, range(5), compiled=switch) for switch in (False, True, True))
    return trained(written), trained(compiled), trained(watched, wants_layers=lambda step: True)


@WITH_COMPILER
def test_compiled_passes_train_as_those_written(both: tuple[Course, Course, Course]) -> None:
    written, compiled, _ = both
    assert compiled.population.passes.compiled and not written.population.passes.compiled
    for name in ("theta", "statistics"):
        ours, theirs = (getattr(c.population, name) for c in (compiled, written))
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    assert written.population.statistics.numel()


@WITH_COMPILER
def test_whoever_looks_at_compiled_passes_changes_nothing(both: tuple[Course, Course, Course]) -> None:
    _, compiled, watched = both
    assert torch.equal(compiled.population.theta, watched.population.theta)
    assert torch.equal(compiled.population.statistics, watched.population.statistics)


@WITH_COMPILER
def test_members_leave_without_compiling_anew(
    both: tuple[Course, Course, Course], monkeypatch: pytest.MonkeyPatch
) -> None:
    written, compiled, _ = both
    monkeypatch.setattr(torch, "compile", lambda *a, **k: pytest.fail("compiled anew"))
    for course in (written, compiled):
        course.end([1, 4], "interrupted")
        trained(course, 12)
    assert len(compiled.population) == 3
    torch.testing.assert_close(compiled.population.theta, written.population.theta, rtol=1e-7, atol=1e-9)


@WITH_COMPILER
def test_one_member_alone_is_compiled_too() -> None:
    one = Case("one", {"network.depth": 1})
    written, compiled = (trained(course_of(one, [3], compiled=switch)) for switch in (False, True))
    assert compiled.population.passes.compiled
    torch.testing.assert_close(compiled.population.theta, written.population.theta, rtol=1e-9, atol=1e-11)


def test_sizes_alone_decide_whether_passes_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINWELL_COMPILE", raising=False)
    monkeypatch.setattr("trainwell.engine.compiling.has_compiler", lambda: True)
    loss, wide = LOSSES["mse"], {"members": 64, "batch": 256, "steps": 20_000}
    assert kernel_for(Blueprint(10, 1, width=256), loss, **wide) is not None
    assert kernel_for(Blueprint(10, 1, width=256), loss, **{**wide, "steps": 1000}) is None
    assert kernel_for(Blueprint(10, 1, (5,), width=256), loss, **wide) is None  # has embeddings
    monkeypatch.setattr("trainwell.engine.compiling.has_compiler", lambda: False)
    assert kernel_for(Blueprint(10, 1, width=256), loss, **wide) is None


def test_where_compiling_fails_training_goes_on_as_written_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("plain")
    written = trained(course_of(case, range(3), compiled=False))

    def broken(*arguments: Any, **options: Any) -> Callable[..., Any]:
        def fail(*arguments: Any) -> None:
            raise RuntimeError("the compiler failed:\nC++ compile error\nmany lines")

        return fail

    course = course_of(case, range(3), compiled=True)
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(RuntimeWarning, match=r"^The .* is not compiled and so slower: the compiler failed") as said:
        trained(course, 1)
    assert any(str(warning.message).startswith("The training step") for warning in said)
    trained(course)
    torch.testing.assert_close(course.population.theta, written.population.theta, rtol=1e-9, atol=1e-11)


# ---- products in halves


def halves(norm: str = "none", weight_norm: str = "none") -> Population:
    values = {
        "network.width": 32,
        "network.norm": norm,
        "network.weight_norm": weight_norm,
        "loss.name": "cross_entropy",
    }
    plan = Plan().edited({**values, "training.precision": "bfloat16", "training.batch_size": 64}, by="user", why="test")
    blueprint = Blueprint.of(plan, inputs=12, outputs=3, cardinalities=(4,))
    return Population(blueprint, [plan] * 3, [Seeds.of(0, k) for k in range(3)])


@pytest.mark.parametrize(("norm", "weight_norm"), [("none", "none"), ("batch", "none"), ("layer", "weight")])
def test_slopes_in_halves_are_those_of_float32_to_their_rounding(norm: str, weight_norm: str) -> None:
    population = halves(norm, weight_norm)
    exact = Population(
        population.blueprint,
        [p.edited({"training.precision": "float32"}, by="user", why="test") for p in population.plans],
        population.seeds,
    )
    batch = _batch()
    assert (population.theta == exact.theta).all() and population.theta.dtype == torch.float32
    ours, theirs = population.backward(batch), exact.backward(batch)
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.0)
    error = (population.gradient - exact.gradient).norm(dim=1) / exact.gradient.norm(dim=1)
    assert ((error > 1e-4) & (error < 0.03)).all(), error  # 8 bits are 0.4 % a product


def test_what_is_written_into_the_weights_is_what_halves_are_made_of() -> None:
    population, batch = halves(), _batch()
    before = population.backward(batch)
    population.theta[1] = 0.0
    after = population.backward(batch)
    assert after[1] == pytest.approx(torch.tensor(3.0).log().item(), rel=1e-6)  # all outputs equal: chance
    assert torch.equal(after[[0, 2]], before[[0, 2]])


def test_in_float64_nothing_is_halved() -> None:
    case = Case("plain", {"training.precision": "bfloat16"})
    exact = trained(Case("plain").course(range(2)))
    assert torch.equal(trained(case.course(range(2))).population.theta, exact.population.theta)


@pytest.mark.parametrize(
    ("width", "speed", "expected"), [(64, 5.0, "float32"), (512, 5.0, "bfloat16"), (512, 0.9, "float32")]
)
def test_wide_networks_are_halved_where_the_processor_gains_by_it(
    width: int, speed: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainwell.engine.precision.speed_of_halves", lambda device: speed)
    assert precision_for(Blueprint(20, 3, width=width), torch.device("cpu"))[0] == expected


def test_the_speed_of_products_is_measured_and_draws_no_random_number() -> None:
    state = torch.get_rng_state()
    assert 0 < speed_of_halves("cpu") < 1000
    assert torch.get_rng_state().equal(state)


def _batch() -> Any:
    from trainwell.data.batches import Samples

    draw = torch.Generator().manual_seed(1)
    x, categories = torch.randn(64, 12, generator=draw), torch.randint(4, (64, 1), generator=draw)
    return Samples(x, categories, torch.randint(3, (64,), generator=draw)).take(torch.arange(64))


# ---- portions


@pytest.mark.parametrize(
    "case", [replace(EVERYTHING, name="own batches"), Case("dense", regularisers=("dropout",))], ids=str
)
def test_a_step_in_portions_is_the_step_at_once(case: Case) -> None:
    whole, parts = case.course(range(7)), case.course(range(7))
    parts.population.passes.portions.size = 3
    trained(whole)
    trained(parts)
    torch.testing.assert_close(parts.population.theta, whole.population.theta, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(parts.population.statistics, whole.population.statistics, rtol=1e-9, atol=1e-11)


def test_memory_that_runs_out_halves_the_portion_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, poor = EVERYTHING.course(range(7)), EVERYTHING.course(range(7))
    trained(whole)
    compute = passes.slopes_of

    def with_little_memory(structure: Any, loss: Any, given: Any, leaves: Any, running: Any, **options: Any) -> Any:
        found = compute(structure, loss, given, leaves, running, **options)  # statistics have been updated by then
        if len(next(iter(leaves.values()))) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return found

    monkeypatch.setattr(passes, "slopes_of", with_little_memory)
    trained(poor)
    assert poor.population.passes.portions.size == 2
    torch.testing.assert_close(poor.population.theta, whole.population.theta, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(poor.population.statistics, whole.population.statistics, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."
        ),
    ],
)
def test_memory_for_not_even_one_is_said(error: Exception) -> None:
    asked: list[int] = []

    def work(part: slice) -> None:
        asked.append(part.stop - part.start)
        raise error

    with pytest.raises(RunError, match="Memory is too small to train even one network"):
        Portions(8).each(8, work)
    assert asked == [8, 4, 2, 1]


def test_other_errors_are_no_lack_of_memory() -> None:
    def work(part: slice) -> Sequence[Tensor]:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Portions(8).each(8, work)
