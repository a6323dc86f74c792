"""What the rules found, or that they found nothing and what they looked for."""

from trainwell.diagnosis import RULES, SEVERITIES
from trainwell.report.blocks import Findings, Prose, Section, Tone
from trainwell.report.records import Records
from trainwell.report.words import code, counted, listed, stage_name


def findings(records: Records) -> Section:
    """Findings from grave to mild, each with its evidence and remedies."""
    if records.findings is None:
        return Section(
            "findings",
            "Findings",
            (Prose("No findings were recorded in this run, which does not mean that all is well.", "warn"),),
        )
    told = sorted(records.findings, key=lambda f: -SEVERITIES.index(f.severity))
    checked = what_was_checked(records)
    if not told:
        tone, text = (
            ("good", "All is well: no rule found anything.")
            if checked
            else ("warn", "No findings, but nothing was checked either.")
        )
        return Section(
            "findings",
            "Findings",
            (Prose(text, tone), Prose(checked, "muted")) if checked else (Prose(text, tone),),
            "none",
            tone,
        )
    grave = told[0].severity
    number_of = {name: sum(f.severity == name for f in told) for name in reversed(SEVERITIES)}
    counts = [counted(n, *NOUNS[name]) for name, n in number_of.items() if n]
    lead = f"{listed(counts)}."
    harmless = " Nothing here needs to be done." if grave == "info" else ""
    blocks = (Prose(lead + harmless), Findings(tuple(told)), Prose(checked, "muted"))
    return Section("findings", "Findings", blocks, str(len(told)), TONES[grave])


def what_was_checked(records: Records) -> str:
    """The rules that could look, the signals they looked at, and the checks that passed."""
    parts, vitals = [], records.vitals
    members = vitals.members()
    if members and records.evidence("final"):
        evaluations = sum(len(vitals.series("validation_loss", member=m)[0]) for m in members)
        layers = vitals.layers("gradient-norm", member=members[0])
        steps = len(vitals.series("gradient-norm", member=members[0], layer=layers[0])[0]) if layers else 0
        seen = f"{counted(evaluations, 'evaluation')} of {counted(len(members), 'network')}"
        seen += (
            f", gradients, updates and activations of {counted(len(layers), 'layer')} at {counted(steps, 'step')} each"
            if layers
            else ""
        )
        parts.append(f"The rules looked for {listed([code(kind) for kind in RULES], last='or')}, in {seen}.")
    passed = [stage_name(s["name"]).lower() for s in records.stages if s.get("passed") is True and s["name"] in CHECKED]
    if passed:
        parts.append(f"Passed on the way: {listed(passed)}.")
    return " ".join(parts)


TONES: dict[str, Tone] = {"info": "plain", "warning": "warn", "critical": "bad"}
NOUNS = {
    "info": ("finding for information", "findings for information"),
    "warning": ("warning", "warnings"),
    "critical": ("critical finding", "critical findings"),
}
CHECKED = ("initial-loss", "gradient-check", "overfit-batch", "rate-range")
