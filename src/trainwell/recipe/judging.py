"""From what the stages found and what was recorded to findings."""

from typing import Any

from trainwell.base import Outcome
from trainwell.diagnosis import Case, Finding, Remedy, diagnose_all
from trainwell.engine import Record
from trainwell.ingredients import Mismatch, check_pairing, gain_for
from trainwell.plan import Plan
from trainwell.recipe.stages.initial import chance_loss
from trainwell.recipe.workshop import Workshop


def findings_of(ws: Workshop, record: Record) -> list[Finding]:
    """What is worth knowing about this run: failed checks before the training, then the final members."""
    return [*_preflight(ws), *_trained(ws, record)]


def mismatches(plan: Plan) -> list[Mismatch]:
    """Choices of a complete plan that do not belong together (row A11)."""
    network, first = plan.network, plan.initialiser
    gain = first.gain * (gain_for(network.activation) if first.activation_gain else 1.0)
    scheme = first.name if network.depth else "auto"
    return check_pairing(network.activation, scheme, "identity", plan.loss.name, plan.task, gain=gain)


def _preflight(ws: Workshop) -> list[Finding]:
    found = [
        Finding(
            mismatch.kind,
            "warning" if mismatch.kind == "symmetric-units" else "info",
            mismatch.message,
            evidence={"activation": ws.plan.network.activation, "initialiser": ws.plan.initialiser.name},
            remedies=(
                Remedy("matching-initialiser", "the scheme that keeps the variance", {"initialiser.name": "auto"}),
            ),
        )
        for mismatch in mismatches(ws.plan)
    ]
    overfit, gradient = ws.journal.entries.get("stage.overfit-batch"), ws.journal.entries.get("stage.gradient-check")
    if overfit and overfit["passed"] is False:
        e = overfit["evidence"]
        found.append(
            Finding(
                "cannot-overfit-batch",
                "warning",
                f"The network could not learn {e['samples']} rows by heart in {e['steps']} steps: "
                f"its loss is still {e['loss_last']:.3g}.",
                evidence=_figures(e, "samples", "steps", "loss_first", "loss_last", "threshold", "score"),
                remedies=(
                    Remedy(
                        "wider", "a wider network can learn more by heart", {"network.width": 2 * ws.plan.network.width}
                    ),
                    Remedy("check-target", "look whether equal rows have different targets: then no network can", None),
                ),
            )
        )
    if gradient and gradient["passed"] is False:
        found.append(
            Finding(
                "gradient-check-failed",
                "critical",
                "The analytic gradient differs from the numerical one by up to "
                f"{gradient['evidence']['worst_relative_error']:.1e}.",
                evidence=_figures(gradient["evidence"], "worst_relative_error", "median_relative_error", "tolerance"),
            )
        )
    return found


def _figures(evidence: dict[str, Any], *names: str) -> dict[str, float | str]:
    return {name: evidence[name] for name in names if evidence.get(name) is not None}


def _trained(ws: Workshop, record: Record) -> list[Finding]:
    final = ws.carry.get("final", {})
    if not final:
        return []
    cases = [
        Case(
            record=record,
            member=member,
            plan=ws.plan,
            updates_per_epoch=final["updates_per_epoch"],
            facts=ws.facts,
            chance_loss=chance_loss(ws),
            outcome=Outcome(*outcome),
            input_scale=input_scale(ws),
        )
        for member, outcome in enumerate(final["judged"])
    ]
    return diagnose_all(cases)


def input_scale(ws: Workshop) -> dict[str, float]:
    """Extremes over the encoded inputs that vary: what the network is really fed."""
    x = ws.material(ws.plan).samples.x
    if not x.shape[1]:
        return {"largest_mean": 0.0, "largest_std": 1.0, "smallest_std": 1.0}
    mean, std = x.mean(dim=0).abs(), x.std(dim=0, correction=0)
    return {"largest_mean": float(mean.max()), "largest_std": float(std.max()), "smallest_std": float(std.min())}
