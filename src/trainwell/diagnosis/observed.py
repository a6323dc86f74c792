"""A user's training as it was observed, made a case for the rules."""

from dataclasses import replace

from trainwell.diagnosis.case import Case
from trainwell.vitals.observer import Observer


def case_of(observer: Observer, *, over: bool) -> Case:
    """What the rules are given; `over`: judge it as if it had ended here."""
    over = over or observer.closed
    program = replace(observer.program(), over=over, **(observer.asked() if over else {}))
    chance = program.loss.chance if program.targets is None else program.targets.chance(program.loss)
    return Case(record=observer.record, member=0, program=program, chance_loss=chance, input_scale=observer.input_scale)
