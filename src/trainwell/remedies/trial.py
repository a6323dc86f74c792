"""The whole trial of a training: rounds of races until nothing helps, then the proof on fresh seeds.

Contract: `tried` gives the steps that are proven, each with its evidence, within the budget. The rest is rolled back.
"""

from trainwell.remedies.arena import Arena
from trainwell.remedies.climb import Tell, climbed
from trainwell.remedies.diagnosed import joined, observed, observer_of
from trainwell.remedies.proving import Verdict, proved


def tried(arena: Arena, tell: Tell) -> Verdict:
    """Race and prove."""
    course = arena.course({}, arena.seed)
    assert course is not None, "the given training can be built: that was checked"
    course.observer = observer_of(course)
    arena.full(course)
    course.observer, seen = None, observed(course.observer)
    chain, findings = climbed(arena, course, tell)
    verdict = proved(arena, chain, course, tell)
    verdict.findings[:0] = joined(findings, seen)
    return verdict
